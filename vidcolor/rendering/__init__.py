"""One film: driven from its first frame to its verified result."""
