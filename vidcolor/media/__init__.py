"""Films in and out, through PyAV: probe, decode, encode, mux. No torch here.

A film's way: `probe` -> `read_frames` -> `SegmentWriter` -> `join`; `check_output` decides how the
result is written before any work is done. PyAV's rationals become `Fraction` at this border.
"""
