"""The verb `render`: a film in, the same film in colour out.

The line: decode, look, colour, enlarge the chroma under the luma's guidance, merge, encode, and
carry everything else over.
"""
