"""A network run on frames: engines, batches, memory."""
