"""When the frames are shown that the user means, and from when to when their shots go."""

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
    """A frame that is meant, and its shot."""

    seconds: Fraction
    """When it is shown, by the film's clock."""
    shot: Span


def find_shown(
    places: Iterable[PlacedFrame[Frame]], moments: Iterable[Fraction], half_frame: Fraction
) -> dict[Fraction, FoundFrame]:
    """Return the frame that is shown at each moment that lies within the frames.

    Args:
        places: a film's frames in order; drawn to the end of the last moment's shot.
        moments: by the film's clock, seconds.
        half_frame: so much later than a moment the frame may come that is meant: times are
            written down rounded.
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
