"""Scale a mask to the chroma planes and soften its edges.

Black stays black, to the last sample. Inside the white, color fades in over a few pixels, and
where the picture has an edge of its own, there: a guided filter (He, Sun and Tang 2013, eq. 5, 6
and 8) asks of each pixel near the border whether its luma is that of the white or of the black.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.guidance.mask_shapes import Mask
from vidcolor.images.guided_upsampling import window_mean

EDGE_EPSILON = 1e-3
"""Variance of luma (0 to 1) under which a window counts as flat: grain, contrasts of 3 %."""


def scale_mask(mask_hw: Mask, height: int, width: int) -> Mask:
    """Return a mask at another size, (height, width).

    On the way up pixels are repeated. On the way down areas are averaged, but are black wherever
    any part of them was: of the pixels that share a chroma sample, a black one stays grey.
    """
    if mask_hw.shape == (height, width):
        return mask_hw
    scaled_HW = np.clip(_resized(mask_hw, height, width), 0, 1)
    # Sums of floats miss 0 and 1 by a rounding error.
    scaled_HW[_resized(mask_hw < 1, height, width) == 0] = 1
    scaled_HW[_resized(mask_hw == 0, height, width) > 0] = 0
    return scaled_HW


def _resized(plane_hw: NDArray[Any], height: int, width: int) -> Mask:
    mask_hw = plane_hw.astype(np.float32)
    small = (min(width, mask_hw.shape[1]), min(height, mask_hw.shape[0]))
    smaller = cv2.resize(mask_hw, small, interpolation=cv2.INTER_AREA)
    # OpenCV's own repetition is a pixel off where the sizes do not divide.
    rows = np.arange(height) * small[1] // height
    columns = np.arange(width) * small[0] // width
    return np.asarray(smaller[rows[:, None], columns], dtype=np.float32)


def soften(mask_hw: Mask, luma_hw: Mask, radii: tuple[int, int]) -> Mask:
    """Return a mask whose white fades towards black within twice the radii, as the picture does.

    The fade is 2 q - 1, cut to [0, 1], of the guided filter's q, its belief that a pixel is not
    black: on an even picture it rises from 0 at the border to 1; at an edge of the picture it
    jumps. Black is left as it is, and so is all that no window of a window joins with black.

    Args:
        mask_hw: (h, w) in [0, 1].
        luma_hw: the picture's Y', (h, w) in [0, 1].
        radii: of the filter's windows, pixels down and across.
    """
    if radii == (0, 0) or mask_hw.all():
        return mask_hw
    is_white_hw = (mask_hw > 0).astype(np.float32)
    mean_luma, mean_white = window_mean(luma_hw, radii), window_mean(is_white_hw, radii)
    variance = window_mean(luma_hw * luma_hw, radii) - mean_luma * mean_luma
    covariance = window_mean(luma_hw * is_white_hw, radii) - mean_luma * mean_white
    slope_hw = np.divide(covariance, variance + EDGE_EPSILON, dtype=np.float32)
    offset_hw = np.subtract(mean_white, slope_hw * mean_luma, dtype=np.float32)
    belief_hw = window_mean(slope_hw, radii) * luma_hw + window_mean(offset_hw, radii)
    fade_hw = np.clip(2 * belief_hw - 1, 0, 1)
    reach = np.ones((4 * radii[0] + 1, 4 * radii[1] + 1), np.uint8)
    # Far from black the mask is unchanged, in spite of rounding errors.
    fade_hw[cv2.erode(is_white_hw, reach) == 1] = 1
    return np.asarray(mask_hw * fade_hw, dtype=np.float32)


def chroma_mask(
    mask_hw: Mask, luma_hw: Mask, feather: int, film_height_width: tuple[int, int]
) -> Mask:
    """Return what a film's chroma planes are multiplied with, (h, w) in [0, 1], or (1, 1) ones.

    Args:
        mask_hw: of any size.
        luma_hw: the picture's Y' in [0, 1] at the size of the chroma planes.
        feather: pixels of the film over which white fades; 0: none, edges are hard.
        film_height_width: size of the film's luma.
    """
    if mask_hw.min() == 1:
        return np.ones((1, 1), np.float32)
    height, width = luma_hw.shape
    film_height, film_width = film_height_width
    radii = feather * height // film_height // 2, feather * width // film_width // 2
    return soften(scale_mask(mask_hw, height, width), luma_hw, radii)
