"""Compare two frames by thumbnails of their luma.

Brightness and contrast of the whole frame are normalised, so that flicker and exposure do not
count, and every part of a thumbnail may have moved, so that a panning camera does not.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

WIDTH, HEIGHT = 64, 36
"""Of a thumbnail: enough to follow motion, too little to show grain."""

TILE = (16, 12)
"""Width and height of the twelve tiles that are searched in the other thumbnail."""

MOTION_REACH = (8, 6)
"""How far a part may have moved, across and down: an eighth of the picture in one frame."""

ANYWHERE = (WIDTH, HEIGHT)
"""A reach across the whole picture."""

FLAT_CONTRAST = 0.015
"""Standard deviation of luma (0 to 1) below which a frame is empty: black with grain."""

UNRELATED_STRUCTURE, UNRELATED_TONE = 0.64, 1.11
"""Medians of the two measures over 400 pairs of frames, each of two films."""


@dataclass(frozen=True)
class Thumbnail:
    """A frame's luma at thumbnail size."""

    plane_hw: Plane
    """(36, 64) in [0, 1]."""
    tone_hw: Plane
    """(18, 32), minus its mean, divided by its deviation."""
    coarse_hw: Plane
    """(9, 16), minus its mean: robust to small motion."""
    contrast: float
    """Standard deviation at (18, 32)."""

    @classmethod
    def of(cls, luma_hw: Plane) -> "Thumbnail":
        """Return the thumbnail of Y' (h, w) in [0, 1], of any size and shape."""
        plane_hw = _shrunk(luma_hw, WIDTH, HEIGHT)
        half_hw = _shrunk(plane_hw, WIDTH // 2, HEIGHT // 2)
        coarse_hw = _shrunk(plane_hw, WIDTH // 4, HEIGHT // 4)
        contrast = float(half_hw.std())
        tone_hw = (half_hw - half_hw.mean()) / np.float32(max(contrast, FLAT_CONTRAST))
        return cls(plane_hw, tone_hw, coarse_hw - coarse_hw.mean(), contrast)

    @property
    def is_flat(self) -> bool:
        """The frame is empty."""
        return self.contrast < FLAT_CONTRAST


def _shrunk(plane_hw: Plane, width: int, height: int) -> Plane:
    small = cv2.resize(plane_hw, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32)


def thumbnail_difference(
    one: Thumbnail, other: Thumbnail, reach: tuple[int, int] = MOTION_REACH
) -> float:
    """Return the difference of two frames: 0 for equal frames, about 1 for unrelated ones.

    It is the geometric mean of two measures, each divided by its value for unrelated frames: how
    much of the structure of each cannot be found in the other within the reach, and how much their
    tones differ without motion. A pan changes tones but not structure, a shape that moves on a
    still background changes structure but few tones.

    Args:
        one: a frame.
        other: another one; the order does not matter.
        reach: how far a part may have moved, across and down.
    """
    structure = _lost(one.plane_hw, other.plane_hw, reach)
    tone = float(np.abs(one.tone_hw - other.tone_hw).mean())
    return float(np.sqrt(structure / UNRELATED_STRUCTURE * tone / UNRELATED_TONE))


def _lost(one_hw: Plane, other_hw: Plane, reach: tuple[int, int]) -> float:
    """Return the share of structure, 0 to 1, that cannot be found in the other thumbnail.

    A tile's weight is its deviation. Empty tiles count as found.
    """
    sums = np.zeros(2)
    for here_hw, there_hw in ((one_hw, other_hw), (other_hw, one_hw)):
        for top in range(0, HEIGHT, TILE[1]):
            for left in range(0, WIDTH, TILE[0]):
                tile_hw = here_hw[top : top + TILE[1], left : left + TILE[0]]
                deviation = float(tile_hw.std())
                rows = slice(max(0, top - reach[1]), top + TILE[1] + reach[1])
                columns = slice(max(0, left - reach[0]), left + TILE[0] + reach[0])
                found = _found(tile_hw, there_hw[rows, columns])
                sums += deviation * (1 - found), deviation + FLAT_CONTRAST / 2
    return float(sums[0] / sums[1])


def _found(tile_hw: Plane, there_hw: Plane) -> float:
    """Return the best correlation, 0 to 1, of a tile with any place of a larger plane."""
    best = float(cv2.matchTemplate(there_hw, tile_hw, cv2.TM_CCOEFF_NORMED).max())
    return min(max(best, 0.0), 1.0) if np.isfinite(best) else 0.0
