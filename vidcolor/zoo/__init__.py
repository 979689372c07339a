"""Models from elsewhere and for elsewhere: added, listed, exported."""
