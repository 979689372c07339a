"""One file a network, and the encoders that they share."""
