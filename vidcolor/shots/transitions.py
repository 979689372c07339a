"""Find dissolves and fades: where pictures change along a straight line from one to another.

In a dissolve every picture is a weighted mean of two shots, so the pictures lie on a straight line
between two unrelated ones. A camera that moves changes the picture as much, but along a curve. In
a fade, one end of the line is black.
"""

from collections.abc import Sequence

import numpy as np

from vidcolor.shots.thumbnail import Plane, Thumbnail, thumbnail_difference

HALF_LENGTHS = (4, 6, 8, 12)
"""Frames between the middle of a transition and its ends. Of a longer dissolve, up to two seconds,
the middle half is found: it is as straight."""

STRAIGHT = 0.15
"""Largest squared distance of pictures from the line, as a share of the line's own length.

A pan that moves a pattern back and forth by an eighth of its period has 0.17 in its middle, the
squared tangent of 22.5 degrees; dissolves of calm shots have less than 0.1.
"""

NEW_PICTURE = 0.6
"""Least difference between the ends: a camera that zooms by a tenth reaches 0.58."""

MOST_CORRELATION = 0.6
"""Between the ends: those of the middle half of a dissolve have this much."""

LEAST_CHANGE = 0.01
"""Deviation of half the difference between the ends (luma 0 to 1) that half of the picture must
have: less is grain; a change in a smaller part is something that enters the picture."""

CALM_TILES = 9
"""Of twelve parts of the picture, the number nearest to the line that is used: a moving object
disturbs the others."""


def straightness(thumbnails: Sequence[Thumbnail], middle: int) -> tuple[float, int]:
    """Return how likely a frame is the middle of a transition, and its half length in frames.

    Of all lines through the frame this is the longest that is straight: its squared length times
    what is left of STRAIGHT; 0 if nothing is.

    Args:
        thumbnails: of consecutive frames.
        middle: index of the frame.
    """
    best = 0.0, 0
    for half in HALF_LENGTHS:
        if half <= middle < len(thumbnails) - half:
            line = thumbnails[middle - half : middle + half + 1]
            best = max(best, (_straightness(line), half))
    return best


def _straightness(line: Sequence[Thumbnail]) -> float:
    first, last = line[0].coarse_hw, line[-1].coarse_hw
    across_hw = (last - first) / np.float32(2)
    if np.median(_tiles(np.square(across_hw))) < LEAST_CHANGE**2:
        return 0.0
    if _correlation(first, last) > MOST_CORRELATION:
        return 0.0
    bend = _bend([thumbnail.coarse_hw for thumbnail in line], across_hw)
    if bend > STRAIGHT or thumbnail_difference(line[0], line[-1]) < NEW_PICTURE:
        return 0.0
    return float(np.square(across_hw).mean()) * (1 - bend / STRAIGHT)


def _correlation(one_hw: Plane, other_hw: Plane) -> float:
    sizes = np.square(one_hw).mean() * np.square(other_hw).mean()
    return float((one_hw * other_hw).mean() / np.sqrt(sizes)) if sizes > 0 else 0.0


def _bend(line: Sequence[Plane], across_hw: Plane) -> float:
    """Return how far the quarters of a line lie from it, squared, as a share of its own half."""
    half = len(line) // 2
    away_hw = np.mean([_away(line, half + step) for step in (-half // 2, 0, half // 2)], axis=0)
    away, across = _tiles(away_hw), _tiles(np.square(across_hw))
    calm = np.argsort(away)[:CALM_TILES]
    return float(away[calm].sum() / max(across[calm].sum(), CALM_TILES * LEAST_CHANGE**2))


def _away(line: Sequence[Plane], at: int) -> Plane:
    """Return the squared distance of a picture from a dissolve at its place."""
    share = np.float32(at / (len(line) - 1))
    away_hw: Plane = np.square(line[at] - (1 - share) * line[0] - share * line[-1])
    return away_hw


def _tiles(plane_hw: Plane) -> Plane:
    """Return the means of twelve parts of a (9, 16) plane."""
    means: Plane = plane_hw.reshape(3, 3, 4, 4).mean(axis=(1, 3)).ravel()
    return means
