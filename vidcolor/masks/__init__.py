"""Where there shall be colour: masks drawn by words, read beside a film, and drawn for training.

A mask is a plane (h, w) of float32 in [0, 1]: 1, white, where there shall be colour, and 0, black,
where the picture stays exactly grey.
"""
