"""How a film is divided: into shots, which nothing crosses, and segments, the unit of work.

Both follow from the frames alone, whatever model colours them and wherever a run was interrupted.
A segment ends at the first cut after SHORTEST frames, or after LONGEST frames without one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidcolor.shots import CutDetector

Frame = TypeVar("Frame")

SHORTEST = 24
"""Frames: a second. Each segment opens an encoder and begins with a keyframe, which in a film
that flickers would otherwise happen at every frame."""
LONGEST = 240
"""Frames: ten seconds, about as often as encoders place a keyframe anyway (x264: 250), so that
dividing costs no bits. It is the most that an interruption can undo."""


@dataclass(frozen=True)
class Placed(Generic[Frame]):
    """A frame and its place in the film."""

    frame: Frame
    starts_shot: bool
    """It is the first of its shot."""
    segment: int
    """Number of its segment, from 0."""


def divide(
    frames: Iterable[Frame],
    *,
    luma: Callable[[Frame], NDArray[np.float32]],
    first_segment: int = 0,
    is_done: Callable[[Frame], bool] = lambda _: False,
) -> Iterator[Placed[Frame]]:
    """Yield each frame with its place.

    Args:
        frames: a film's frames in order.
        luma: returns a frame's Y', (H, W) in [0, 1].
        first_segment: above 0 in a film that goes on: the frames are then those of the segment
            before, for their neighbours' sake, and all that follow.
        is_done: tells the frames of the segment before from those that follow.
    """
    detector = CutDetector()
    segment, length = first_segment - 1, LONGEST
    for number, frame in enumerate(frames):
        is_cut = detector.is_cut(luma(frame))
        if not is_done(frame):
            if length == LONGEST or (is_cut and length >= SHORTEST):
                segment, length = segment + 1, 0
            length += 1
        yield Placed(frame, is_cut or number == 0, segment)
