"""Chroma up to the size of the film, guided by the film's luma.

Chroma is smooth where luma is smooth and jumps where luma jumps. The guided filter (He, Sun and
Tang 2013, eq. 5 and 6) says so locally: chroma = a * luma + b in every small window. Its slope a
is found at the working size and enlarged (He and Sun 2015, "Fast guided filter"); multiplied with
the detail that the small luma lost, it draws the film's own edges into the enlarged chroma.
"""

import cv2
import numpy as np

from vidcolor.images.resize import Plane

GUIDE_RADIUS = 2
"""Radius of the windows, pixels at the working size: an edge's surroundings, no more."""

GUIDE_EPSILON = 4e-3
"""Variance of luma (0 to 1) under which a window counts as flat: contrasts of about 6 %.

Of 0.0001 to 0.004 the largest lost least of true chroma that was shrunk and enlarged again.
"""


def enlarge_chroma(chroma_2hw: Plane, luma_hw: Plane, luma_HW: Plane) -> Plane:
    """Return Cb, Cr (2, H, W) with the edges of the luma.

    Args:
        chroma_2hw: (2, h, w) in [-0.5, 0.5], at the working size.
        luma_hw: (h, w) in [0, 1], at the working size.
        luma_HW: (H, W) in [0, 1], at the size of the chroma planes.
    """
    height, width = luma_HW.shape
    radii = (GUIDE_RADIUS, GUIDE_RADIUS)
    mean_luma = window_mean(luma_hw, radii)
    variance = window_mean(luma_hw * luma_hw, radii) - mean_luma * mean_luma
    detail_HW = np.subtract(luma_HW, _enlarged(luma_hw, height, width), dtype=np.float32)
    enlarged = np.empty((len(chroma_2hw), height, width), dtype=np.float32)
    for chroma_hw, target_HW in zip(chroma_2hw, enlarged, strict=True):
        covariance = window_mean(luma_hw * chroma_hw, radii) - mean_luma * window_mean(
            chroma_hw, radii
        )
        slope_hw = np.divide(covariance, variance + GUIDE_EPSILON, dtype=np.float32)
        np.multiply(_enlarged(slope_hw, height, width), detail_HW, out=target_HW)
        target_HW += _enlarged(chroma_hw, height, width)
    return enlarged


def window_mean(plane_hw: Plane, radii: tuple[int, int]) -> Plane:
    """Return the mean of the window around each pixel, (h, w): the guided filter's box filter.

    Args:
        plane_hw: (h, w); it may be smaller than a window.
        radii: of the windows, pixels down and across.
    """
    down, across = (2 * radius + 1 for radius in radii)
    # Replicated borders keep means within the plane's values.
    mean = cv2.blur(plane_hw, (across, down), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mean, dtype=np.float32)


def _enlarged(plane_hw: Plane, height: int, width: int) -> Plane:
    enlarged = cv2.resize(plane_hw, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, dtype=np.float32)
