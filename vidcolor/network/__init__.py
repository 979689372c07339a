"""Networks: tensors in, tensors out.

Axes, as the suffixes of names: B clip, T frame of a window, h w network size, then a digit for
channels (1 grey, 2 chroma, 3 R'G'B'). `grey_BT1hw` is a batch of windows of grey frames.
"""
