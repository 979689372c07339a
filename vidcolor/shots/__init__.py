"""Where shots begin, and how a film is divided into segments and windows."""
