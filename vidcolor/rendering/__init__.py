"""Render one film, from its first frame to the verified result."""
