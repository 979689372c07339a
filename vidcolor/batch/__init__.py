"""Many films: found, rendered, skipped or recorded as failed."""
