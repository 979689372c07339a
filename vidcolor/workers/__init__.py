"""Who renders segments: processes of this machine, or of a Ray cluster."""
