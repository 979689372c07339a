"""Color one segment, on any machine: from decoded frames to the segment's file."""
