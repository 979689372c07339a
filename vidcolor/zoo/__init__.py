"""Add, list and export models."""
