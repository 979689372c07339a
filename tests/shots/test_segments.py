"""Segments are a partition of the film that depends on its frames and on nothing else."""

from itertools import groupby, pairwise
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reels import Reel
from vidcolor.shots import segments
from vidcolor.shots.detector import SHORTEST_SHOT, ShotFrame
from vidcolor.shots.segments import LONGEST, SHORTEST, divide
from vidcolor.shots.thumbnail import Thumbnail

GENERATOR = np.random.default_rng(5)
SHOTS = [GENERATOR.random((18, 32), dtype=np.float32) for _ in range(4)]

shot_lengths = st.lists(st.integers(1, 2 * LONGEST + 10), max_size=6)
short_lengths = st.lists(st.integers(SHORTEST_SHOT, 40), max_size=6)


def film_of(lengths):
    """Return frames as (number, shot): shots that follow each other are different pictures."""
    shots = [shot for shot, length in enumerate(lengths) for _ in range(length)]
    return list(enumerate(shots))


def place(frames, **how):
    return list(divide(frames, luma=lambda frame: SHOTS[frame[1] % len(SHOTS)], **how))


def known_shots(frames, luma):
    """Stand in for the detector: say where shots begin without looking."""
    thumbnail, last = Thumbnail.of(SHOTS[0]), None
    for frame in frames:
        yield ShotFrame(frame, thumbnail, 0.0, starts_shot=last is not None and frame[1] != last)
        last = frame[1]


def place_knowing(frames):
    with mock.patch.object(segments, "find_shots", known_shots):
        return place(frames)


@given(shot_lengths)
@settings(deadline=None, max_examples=25)
def test_segments_are_a_partition_of_the_frames_in_order(lengths):
    frames = film_of(lengths)
    placed = place_knowing(frames)
    assert [p.frame for p in placed] == frames
    segments = [p.segment for p in placed]
    assert all(later - earlier in (0, 1) for earlier, later in pairwise([0, *segments]))
    assert sorted(set(segments)) == list(range(len(set(segments))))


@given(shot_lengths)
@settings(deadline=None, max_examples=25)
def test_a_segment_is_neither_long_nor_short(lengths):
    segments = [
        list(group) for _, group in groupby(place_knowing(film_of(lengths)), lambda p: p.segment)
    ]
    assert all(len(segment) <= LONGEST for segment in segments)
    for segment, following in pairwise(segments):
        assert len(segment) == LONGEST or (len(segment) >= SHORTEST and following[0].starts_shot)
        assert not any(p.starts_shot for p in segment[SHORTEST:])


@given(short_lengths)
@settings(deadline=None, max_examples=25)
def test_shots_begin_where_the_picture_changes(lengths):
    placed = place(film_of(lengths))
    begins = [p.frame[0] for p in placed if p.starts_shot]
    assert begins == [sum(lengths[:n]) for n in range(len(lengths))]


@given(short_lengths, st.data())
@settings(deadline=None, max_examples=25)
def test_entering_the_film_at_any_segment_divides_the_rest_as_before(lengths, data):
    placed = place(film_of(lengths))
    begins = [
        b.frame[0] for a, b in pairwise([None, *placed]) if a is None or a.segment < b.segment
    ]
    if not begins:
        return
    first = data.draw(st.sampled_from(begins))
    segment = placed[first].segment
    rest = place(film_of(lengths)[first:], first_segment=segment)
    assert [p.segment for p in rest] == [p.segment for p in placed[first:]]
    settled = [n for n, p in enumerate(rest) if p.segment > segment]
    assert [rest[n] for n in settled] == [placed[first + n] for n in settled]


def test_dissolves_are_placed_alike_wherever_the_film_was_entered():
    reel = Reel(5).shot(40)
    for _ in range(3):
        reel.dissolve(20).shot(40)
    frames, _ = reel.finish(grain=0.01)
    placed = list(divide(frames, luma=lambda frame: frame))
    assert len({p.segment for p in placed}) == 4
    assert min(p.shot_weight for p in placed) == 0.5
    for segment in (1, 2):
        first = next(n for n, p in enumerate(placed) if p.segment == segment)
        rest = list(divide(frames[first:], luma=lambda frame: frame, first_segment=segment))
        again = next(n for n, p in enumerate(rest) if p.segment == segment + 1)
        told = [(p.starts_shot, p.segment, p.shot_weight) for p in placed[first:]]
        assert [(p.starts_shot, p.segment, p.shot_weight) for p in rest][again:] == told[again:]
