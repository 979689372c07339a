"""Which frames must be looked at so that some of them get the colour they have in the whole film.

A frame's colour depends on a few neighbours, and where a network embeds what a shot shows, on the
frame from which it does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from vidcolor.shots.segments import Placed

Frame = TypeVar("Frame")


def with_context(
    places: Iterable[Placed[Frame]], is_wanted: Callable[[Placed[Frame]], bool], reach: int
) -> Iterator[Placed[Frame]]:
    """Yield the wanted frames, their neighbours, and the first of each shot and segment, in order.

    Args:
        places: a film's frames in order.
        is_wanted: tells the frames whose colour is wanted.
        reach: frames on either side on which a frame's colour depends; so many are held.
    """
    waiting: deque[tuple[Placed[Frame], bool]] = deque()
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
