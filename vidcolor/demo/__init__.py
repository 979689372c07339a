"""The drawn film."""
