"""Training frames: extract, list, pack and sample them."""
