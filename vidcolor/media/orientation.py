"""The display matrix: how a stored picture is turned and mirrored when it is shown."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DisplayMatrix = tuple[int, ...] | None
"""Nine numbers; None: the picture is shown as it is stored."""


class Orientation(NamedTuple):
    """What a display matrix does with rows and columns: these are swapped first, then flipped."""

    is_turned: bool
    """Rows become columns."""
    down: int
    """Step along the rows of the picture as shown: 1, or -1 where they are flipped."""
    across: int
    """Step along its columns."""


def orientation(matrix: DisplayMatrix) -> Orientation:
    """Return what a display matrix does, to the nearest quarter turn.

    It takes a stored x, y to a x + c y, b x + d y, its first five numbers being a, b, 0, c and d
    (ISO/IEC 14496-12, 6.2.2).
    """
    if matrix is None:
        return Orientation(False, 1, 1)
    a, b, _, c, d = matrix[:5]
    is_turned = abs(b) > abs(a)
    down, across = (b, c) if is_turned else (d, a)
    return Orientation(is_turned, 1 if down >= 0 else -1, 1 if across >= 0 else -1)


def shown_from_stored(stored: NDArray[Any], matrix: DisplayMatrix) -> NDArray[Any]:
    """Return a picture (H, W, ...) turned and mirrored as it is shown."""
    is_turned, down, across = orientation(matrix)
    turned = stored.swapaxes(0, 1) if is_turned else stored
    return np.ascontiguousarray(turned[::down, ::across])


def stored_from_shown(shown: NDArray[Any], matrix: DisplayMatrix) -> NDArray[Any]:
    """Return a picture (H, W, ...) that was drawn as shown, turned and mirrored as it is stored."""
    is_turned, down, across = orientation(matrix)
    flipped = shown[::down, ::across]
    return np.ascontiguousarray(flipped.swapaxes(0, 1) if is_turned else flipped)
