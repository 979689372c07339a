"""Words in, options built, one verb called."""
