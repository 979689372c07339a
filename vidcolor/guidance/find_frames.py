"""Find the frames at the user's times, and the shots that they belong to."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest

from vidcolor.guidance.exemplar import Span
from vidcolor.media.frame import Frame
from vidcolor.shots.segments import PlacedFrame


@dataclass(frozen=True)
class FoundFrame:
    """A frame at a given time, and its shot."""

    seconds: Fraction
    """Its time in the film."""
    shot: Span


def find_shown(
    places: Iterable[PlacedFrame[Frame]], moments: Iterable[Fraction], half_frame: Fraction
) -> dict[Fraction, FoundFrame]:
    """Return the frame shown at each moment, for the moments within the frames.

    Args:
        places: a film's frames in order; drawn to the end of the last moment's shot.
        moments: film time, seconds.
        half_frame: tolerance, seconds: a frame may start this much later than the moment,
            because users round times.
    """
    waiting = deque(sorted(set(moments)))
    found: dict[Fraction, tuple[Fraction, int]] = {}
    starts: list[Fraction] = []
    end = Fraction(0)
    for place in places:
        seconds = place.frame.seconds
        while waiting and waiting[0] + half_frame < seconds:
            waiting.popleft()
        if place.starts_shot:
            starts.append(seconds)
            if not waiting:
                break
        # Until a later frame is nearer.
        found.update((moment, (seconds, len(starts) - 1)) for moment in waiting)
        end = seconds + max(place.frame.duration * place.frame.time_base, 2 * half_frame)
    shots = [Span(first, last) for first, last in zip_longest(starts, starts[1:])]
    return {
        moment: FoundFrame(seconds, shots[shot])
        for moment, (seconds, shot) in found.items()
        if moment not in waiting or moment < end
    }
