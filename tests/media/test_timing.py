"""Packets are decoded in order and before they are shown, and shown when they were."""

from array import array
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vidcolor.media.timing import packet_times

TIME_BASES = st.sampled_from(
    [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1, 90000)]
)


@st.composite
def stored_times(draw):
    """Times in the order packets are stored: each group of four is shown as I, B, b, b or so."""
    gaps = draw(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
    first = draw(st.integers(0, 3) | st.integers(0, 10**6))
    rising = [first + sum(gaps[:number]) for number in range(len(gaps))]
    stored = []
    for start in range(0, len(rising), 4):
        stored += draw(st.permutations(rising[start : start + 4]))
    stored.remove(first)
    return array("q", [first, *stored])


@given(stored_times(), TIME_BASES, st.booleans())
def test_decoding_times_rise_and_come_before_showing(stored, time_base, is_matroska):
    times = packet_times(stored, time_base, last_duration=1, is_matroska=is_matroska)
    assert all(earlier < later for earlier, later in pairwise(times.decoded))
    assert all(d <= s for d, s in zip(times.decoded, times.shown, strict=True))


@given(stored_times(), TIME_BASES)
def test_mp4_times_are_exact(stored, time_base):
    times = packet_times(stored, time_base, last_duration=1, is_matroska=False)
    assert [t * times.tick for t in times.shown] == [t * time_base for t in stored]


@given(stored_times(), TIME_BASES)
def test_a_late_start_is_the_first_packets_alone(stored, time_base):
    times = packet_times(stored, time_base, last_duration=1, is_matroska=False)
    if stored[0] > 0:
        assert all(decoded > 0 for decoded in times.decoded[1:])


@given(stored_times(), TIME_BASES)
def test_matroska_times_are_the_nearest_milliseconds_that_keep_frames_apart(stored, time_base):
    times = packet_times(stored, time_base, last_duration=1, is_matroska=True)
    assert len(set(times.shown)) == len(stored)
    order = sorted(range(len(stored)), key=stored.__getitem__)
    assert order == sorted(range(len(stored)), key=times.shown.__getitem__)
    if time_base >= Fraction(1, 1000):
        late = [t * times.tick - s * time_base for t, s in zip(times.shown, stored, strict=True)]
        assert max(abs(seconds) for seconds in late) <= Fraction(1, 2000)
