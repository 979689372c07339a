"""A picture at another size."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def working_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return (h, w) with the given short side and the picture's shape, to the nearest pixel."""
    factor = short_side / min(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize(plane_hw: NDArray[Any], height: int, width: int) -> Plane:
    """Return a plane at another size: areas averaged on the way down, bilinear on the way up.

    Codes (uint8, uint16) are rounded to integers; the result is float32 all the same.
    """
    is_smaller = height <= plane_hw.shape[0] and width <= plane_hw.shape[1]
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane_hw, (width, height), interpolation=how), dtype=np.float32)
