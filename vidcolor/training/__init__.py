"""Train a generator: steps, losses, discriminators, checkpoints."""
