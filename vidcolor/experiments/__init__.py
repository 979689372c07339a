"""Experiments: train several models and compare them."""
