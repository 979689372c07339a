"""A frame with known colors (exemplar), and the frames that it applies to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

NEAR_SECONDS = 0.04
"""Known frames this close in time, a frame at 25 a second, get about the same weight."""
TIMELESS_SECONDS = 3600.0
"""Distance of a picture without a time: any picture with a time in the same shot is nearer."""


@dataclass(frozen=True)
class Known:
    """A frame whose colors are known, at the working size."""

    luma_hw: Plane
    """Y' in [0, 1]."""
    chroma_2hw: Plane
    """Cb, Cr in [-0.5, 0.5], in the film's matrix."""
    weight_hw: Plane
    """How far each pixel's color is known, in [0, 1]."""


@dataclass(frozen=True)
class Span:
    """The frames of a shot, film time in seconds."""

    first: Fraction
    end: Fraction | None
    """Not included; None: the film's end."""

    def holds(self, seconds: Fraction) -> bool:
        """Tell whether a frame at that time is one of them."""
        return self.first <= seconds and (self.end is None or seconds < self.end)


@dataclass(frozen=True, eq=False)
class Given:
    """The known colors of a frame, read when they are needed, and its time."""

    known: Callable[[int, int], Known]
    """Returns them at a working size, height and width."""
    seconds: Fraction | None = None
    """When the film shows that frame; None: any time."""
    shot: Span | None = None
    """The frames that it applies to; None: all."""

    def nearness(self, seconds: Fraction) -> float:
        """Return its weight at a time; 0 in another shot.

        That is the inverse square of the time between them, as in inverse distance weighting.
        """
        if self.shot is not None and not self.shot.holds(seconds):
            return 0.0
        if self.seconds is None:
            return TIMELESS_SECONDS**-2
        return float(NEAR_SECONDS + abs(seconds - self.seconds)) ** -2


@dataclass(frozen=True)
class Layer:
    """Known frames of one kind; later layers override earlier ones."""

    given: Sequence[Given]
    most: int
    """Number of nearest ones that a frame is matched with."""
