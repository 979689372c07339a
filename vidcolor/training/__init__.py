"""A generator learns: steps, losses, discriminators, checkpoints."""
