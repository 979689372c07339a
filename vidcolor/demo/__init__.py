"""The demo and its drawn films."""
