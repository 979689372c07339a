"""A frame's luma at a smaller size, for networks, filters and the shot detector.

Codes are averaged as integers and rounded: that is precise enough, and ten times as fast as with
floats on a large frame.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidcolor.images.resize import resize
from vidcolor.media.frame import Frame
from vidcolor.media.quantization import unit_from_luma
from vidcolor.shots.thumbnail import HEIGHT

Plane = NDArray[np.float32]


def luma_at(frame: Frame, height: int, width: int) -> Plane:
    """Return a frame's Y' (height, width) in [0, 1]."""
    codes_hw: NDArray[Any] = frame.luma
    if codes_hw.shape != (height, width):
        codes_hw = resize(codes_hw, height, width)
    return unit_from_luma(codes_hw, depth=frame.depth, full_range=frame.full_range)


def shot_luma(frame: Frame) -> Plane:
    """Return the Y' (h, w) in [0, 1] for shot detection."""
    return half_res_luma(frame, HEIGHT)


def half_res_luma(frame: Frame, short_side: int) -> Plane:
    """Return a frame's Y' (h, w) in [0, 1], halved if at least this short side is left of it.

    Two by two pixels are averaged ten times as fast as areas that do not divide.
    """
    height, width = frame.luma.shape
    can_halve = min(height, width) >= 2 * short_side and height % 2 == width % 2 == 0
    return luma_at(frame, height // 2, width // 2) if can_halve else luma_at(frame, height, width)
