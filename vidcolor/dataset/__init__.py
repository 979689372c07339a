"""Frames to learn from: extracted, listed, packed and sampled."""
