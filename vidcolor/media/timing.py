"""When the packets of the result are decoded and shown: arithmetic on ticks, no files."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

MATROSKA_TICKS_PER_SECOND = 1000
"""FFmpeg always writes milliseconds to Matroska files."""
FINE_TICKS_PER_SECOND = 10000
LATE_START_TICKS = 8


@dataclass(frozen=True)
class PacketTimes:
    """The times of all packets, in the order they are stored, in ticks of the result."""

    ticks_per_second: int
    shown: "array[int]"
    decoded: "array[int]"
    """Rising, and never later than `shown`."""
    last_duration: int
    """How long the last frame is shown."""

    @property
    def tick(self) -> Fraction:
        """Seconds."""
        return Fraction(1, self.ticks_per_second)


def packet_times(
    stored: "array[int]", time_base: Fraction, *, last_duration: int, is_matroska: bool
) -> PacketTimes:
    """Plan the times of the result.

    Args:
        stored: when each packet is shown, ticks of the film, in the order they are stored; no two
            alike.
        time_base: seconds of such a tick.
        last_duration: how long the last frame is shown, in such ticks; 0 if unknown.
        is_matroska: times are whole milliseconds then.
    """
    if is_matroska:
        ticks_per_second = MATROSKA_TICKS_PER_SECOND
        shown = _on_own_ticks(stored, time_base * ticks_per_second)
    else:
        ticks_per_second = _exact_ticks_per_second(time_base, min(stored))
        scale = int(time_base * ticks_per_second)
        shown = array("q", (time * scale for time in stored))
    duration = max(1, round(last_duration * time_base * ticks_per_second))
    return PacketTimes(ticks_per_second, shown, _decoded(shown), duration)


def _on_own_ticks(stored: "array[int]", scale: Fraction) -> "array[int]":
    """Round to other ticks; where two frames round to one, the later moves to the next tick."""
    rising = sorted(stored)
    rounded = [round(time * scale) for time in rising]
    for number in range(1, len(rounded)):
        rounded[number] = max(rounded[number], rounded[number - 1] + 1)
    return array("q", (rounded[bisect_left(rising, time)] for time in stored))


def _exact_ticks_per_second(time_base: Fraction, first: int) -> int:
    """Return a timescale that holds the film's ticks exactly and a late start precisely."""
    ticks = time_base.denominator
    while ticks < FINE_TICKS_PER_SECOND or 0 < first * time_base * ticks < LATE_START_TICKS:
        ticks *= 2
    return ticks


def _decoded(shown: "array[int]") -> "array[int]":
    """Return rising decoding times, none after its packet is shown.

    They are the display times in order, all earlier by the longest delay of a packet. In a film
    that starts late only the first may be zero or less: FFmpeg's MOV muxer looks for the start
    among all those packets, and takes the shortest delay of them.
    """
    rising = sorted(shown)
    delay = max(late - early for late, early in zip(rising, shown, strict=True))
    decoded = array("q", (time - delay for time in rising))
    if rising[0] > 0:
        for number in range(1, len(decoded)):
            decoded[number] = max(decoded[number], number)
    return decoded
