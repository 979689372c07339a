"""Divide a film into shots, which nothing crosses, and segments, the unit of work.

Both depend on the frames alone, not on the model or on where a run was interrupted.
A segment ends at the first cut after SHORTEST frames, or after LONGEST frames without one.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidcolor.shots.detector import CUT_REACH, find_shots

Frame = TypeVar("Frame")

SHORTEST = CUT_REACH
"""Frames: a second. Each segment opens an encoder and starts with a keyframe, which in a film
that flickers would otherwise happen at every frame. And only one segment has to be decoded again so
that shots start in the next one where they did."""
LONGEST = 240
"""Frames: ten seconds, about as often as encoders place a keyframe anyway (x264: 250), so that
dividing costs no bits. An interruption loses at most this much."""


@dataclass(frozen=True)
class PlacedFrame(Generic[Frame]):
    """A frame and its place in the film."""

    frame: Frame
    starts_shot: bool
    """It is the first of its shot."""
    segment: int
    """Number of its segment, from 0."""
    shot_weight: float = 1.0
    """Share of its shot in the picture: less than 1 in a dissolve."""


Place = TypeVar("Place", bound=PlacedFrame[Any])


def divide(
    frames: Iterable[Frame],
    *,
    luma: Callable[[Frame], NDArray[np.float32]],
    starts_shot: Callable[[Frame], bool] | None = None,
    first_segment: int = 0,
) -> Iterator[PlacedFrame[Frame]]:
    """Yield each frame with its place, about 40 frames behind the input.

    Args:
        frames: a film's frames in order.
        luma: returns a frame's Y', (H, W) in [0, 1].
        starts_shot: called for each frame in order, whether it starts a shot; None: detect shots.
        first_segment: number of the segment that the first frame starts. Above 0, the film was
            read from there: places are as in the whole film from the next segment on.
    """
    segment, length = first_segment, 0
    for number, (frame, starts, shot_weight) in enumerate(_shot_starts(frames, luma, starts_shot)):
        if length == LONGEST or (starts and length >= SHORTEST):
            segment, length = segment + 1, 0
        length += 1
        yield PlacedFrame(frame, starts or number == 0, segment, shot_weight)


def _shot_starts(
    frames: Iterable[Frame],
    luma: Callable[[Frame], NDArray[np.float32]],
    starts_shot: Callable[[Frame], bool] | None,
) -> Iterator[tuple[Frame, bool, float]]:
    """Yield each frame, whether it starts a shot, and its share."""
    if starts_shot is not None:
        yield from ((frame, starts_shot(frame), 1.0) for frame in frames)
    else:
        yield from ((s.frame, s.starts_shot, s.shot_weight) for s in find_shots(frames, luma))


def with_context(
    places: Iterable[Place], is_wanted: Callable[[Place], bool], reach: int
) -> Iterator[Place]:
    """Yield the wanted frames, their neighbours, and the first of each shot and segment, in order.

    Args:
        places: a film's frames in order.
        is_wanted: whether a frame's color is wanted.
        reach: frames on either side on which a frame's color depends; this many are buffered.
    """
    waiting: deque[tuple[Place, bool]] = deque()
    segment, following = -1, 0
    for place in places:
        is_first = place.starts_shot or place.segment != segment
        segment = place.segment
        if is_wanted(place):
            yield from (before for before, _ in waiting)
            waiting.clear()
            following = reach + 1
        if following:
            following -= 1
            yield place
            continue
        waiting.append((place, is_first))
        if len(waiting) > reach:
            before, is_needed = waiting.popleft()
            if is_needed:
                yield before
