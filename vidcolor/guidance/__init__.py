"""User guidance: per-shot settings, reference images, colour hints, masks."""
