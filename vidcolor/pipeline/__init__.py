"""One segment, colored anywhere: from decoded frames to a segment's file."""
