"""Pixels, not films: image files, contact sheets, sizes, optical flow."""
