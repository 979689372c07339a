"""Spread color hints over the areas that they are in, up to the picture's edges.

Chrominance blending (Yatziv and Sapiro 2006, "Fast image and video colorization using chrominance
blending", eq. 1 to 3): a pixel is as far from a hint as the luma changes on the shortest path
between the two, and takes the colors of all hints weighted by distance. A pixel far from all of
them keeps its color.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.guidance.exemplar import Plane

Length = NDArray[np.float64]

CONTRAST = 0.1
"""Change of luma (0 to 1) on the way to a pixel at which a hint counts there by 1/e."""
EVEN_REACH = 2.0
"""Way through an even picture at which it does too, in shorter sides of the picture: one hint
fills a sky."""
SMOOTH_PIXELS, SMOOTH_CONTRAST = 5, 0.1
"""Diameter and contrast of the bilateral filter (Tomasi and Manduchi 1998) that takes grain away,
which would add up on the way; edges stay."""


def spread_hints(
    luma_hw: Plane, places: Sequence[NDArray[np.bool_]], chroma: Sequence[tuple[float, float]]
) -> tuple[Plane, Plane]:
    """Return Cb, Cr (2, h, w), and how far they are known (h, w), in [0, 1].

    Args:
        luma_hw: Y' in [0, 1].
        places: where each hint is, (h, w); true somewhere.
        chroma: Cb, Cr of each.
    """
    smooth_hw = cv2.bilateralFilter(
        luma_hw, SMOOTH_PIXELS, SMOOTH_CONTRAST, SMOOTH_PIXELS, borderType=cv2.BORDER_REPLICATE
    )
    ways_Nhw = np.stack([_ways(np.asarray(smooth_hw, np.float64), place) for place in places])
    nearest_hw = ways_Nhw.min(axis=0)
    # Far from all of them the nearest one decides, too: no weight is below its share of it.
    shares_Nhw = np.exp(np.square(nearest_hw) - np.square(ways_Nhw))
    shares_Nhw /= shares_Nhw.sum(axis=0)
    chroma_2hw = np.einsum("nhw,nc->chw", shares_Nhw, np.array(chroma))
    weight_hw = np.exp(-np.square(nearest_hw))
    return chroma_2hw.astype(np.float32), weight_hw.astype(np.float32)


def _ways(luma_hw: Length, place_hw: NDArray[np.bool_]) -> Length:
    """Return the length of the easiest way from a place to each pixel.

    A step costs what the luma changes, and a little for itself. Rows are gone through down and up
    until no way gets shorter; all steps along a row are taken at once.
    """
    step = 1 / (EVEN_REACH * min(luma_hw.shape))
    across_hw = np.abs(np.diff(luma_hw, axis=1, prepend=luma_hw[:, :1])) / CONTRAST + step
    down_hw = np.abs(np.diff(luma_hw, axis=0, prepend=luma_hw[:1])) / CONTRAST + step
    column_hw = np.cumsum(across_hw, axis=1)
    ways_hw = _along(np.where(place_hw, 0.0, np.inf), column_hw)
    before_hw = np.full_like(ways_hw, np.inf)
    while not np.allclose(ways_hw, before_hw, rtol=0, atol=step / 100):
        before_hw = ways_hw.copy()
        for y in range(1, len(ways_hw)):
            nearer = np.minimum(ways_hw[y], ways_hw[y - 1] + down_hw[y])
            ways_hw[y] = _along(nearer, column_hw[y])
        for y in reversed(range(len(ways_hw) - 1)):
            nearer = np.minimum(ways_hw[y], ways_hw[y + 1] + down_hw[y + 1])
            ways_hw[y] = _along(nearer, column_hw[y])
    return ways_hw


def _along(ways: Length, column: Length) -> Length:
    """Return the ways (..., w) after all steps along rows: column says how far each pixel is."""
    right = np.minimum.accumulate(ways - column, axis=-1) + column
    left = np.minimum.accumulate((ways + column)[..., ::-1], axis=-1)[..., ::-1] - column
    return np.minimum(right, left)
