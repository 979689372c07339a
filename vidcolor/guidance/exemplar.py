"""A frame whose colours the user gave, and of which frames it tells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

NEAR_SECONDS = 0.04
"""Two known frames so near, a frame at 25 a second, count about alike."""
TIMELESS_SECONDS = 3600.0
"""As far away is a picture that has no time: any that has one, of the same shot, is nearer."""


@dataclass(frozen=True)
class Known:
    """A frame whose colours are known, at the working size."""

    luma_hw: Plane
    """Y' in [0, 1]."""
    chroma_2hw: Plane
    """Cb, Cr in [-0.5, 0.5], in the film's matrix."""
    weight_hw: Plane
    """How far each pixel's colour is known, in [0, 1]."""


@dataclass(frozen=True)
class Span:
    """The frames of a shot, by the film's clock, seconds."""

    first: Fraction
    end: Fraction | None
    """Not included; None: the film's end."""

    def holds(self, seconds: Fraction) -> bool:
        """Tell whether a frame of that moment is one of them."""
        return self.first <= seconds and (self.end is None or seconds < self.end)


@dataclass(frozen=True, eq=False)
class Given:
    """Colours of a frame, read when they are needed, and of when they are."""

    known: Callable[[int, int], Known]
    """Returns it at a working size, height and width."""
    seconds: Fraction | None = None
    """When the film shows that frame; None: any time."""
    shot: Span | None = None
    """The frames that it tells of; None: all."""

    def nearness(self, seconds: Fraction) -> float:
        """Return how much it counts at a moment beside others; 0 in another shot.

        That is the inverse square of the time between them, as in inverse distance weighting.
        """
        if self.shot is not None and not self.shot.holds(seconds):
            return 0.0
        if self.seconds is None:
            return TIMELESS_SECONDS**-2
        return float(NEAR_SECONDS + abs(seconds - self.seconds)) ** -2


@dataclass(frozen=True)
class Layer:
    """Known frames of one kind; those of a later layer go over those of the layers before."""

    given: Sequence[Given]
    most: int
    """How many of them, the nearest, a frame is matched with."""
