"""Many networks, trained and compared."""
