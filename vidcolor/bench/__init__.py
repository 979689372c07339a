"""What a render costs."""
