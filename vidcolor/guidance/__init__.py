"""User guidance: per-shot settings, reference images, color hints, masks."""
