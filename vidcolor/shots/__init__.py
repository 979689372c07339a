"""Find shots, and divide a film into segments and windows."""
