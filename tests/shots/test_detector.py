"""Shots, seen on reels whose cuts, dissolves and fades are known."""

from functools import cache

import numpy as np
import pytest

from tests.clips import picture
from tests.reels import Reel
from vidcolor.images.image_files import rough_luma
from vidcolor.shots.detector import CUT_REACH, CutDetector, find_shots


def _seen(frames):
    return list(find_shots(frames, lambda frame: frame))


@cache
def _reel(name):
    """Return what is seen of a reel, and the truth."""
    frames, truth = REELS[name]
    return _seen(frames), truth


def _cuts(seen):
    return [number for number, each in enumerate(seen) if each.is_cut]


def _starts(seen):
    return [number for number, each in enumerate(seen) if each.starts_shot]


def _transitions(seen):
    return [(n, each.transition.kind) for n, each in enumerate(seen) if each.transition]


def _shots(seed, join=lambda reel, random: None, **camera):
    """Draw five shots; `join` says after each how the next one follows."""
    random, reel = np.random.default_rng(seed), Reel(seed)
    for _ in range(4):
        reel.shot(int(random.integers(30, 45)), shape_px=random.uniform(0, 3), **camera)
        join(reel, random)
    return reel.shot(30)


def _flash(reel, random):
    reel.flash(int(random.integers(1, 5)), ago=int(random.integers(8, 20)), level=0.8)


def _dissolve(reel, random):
    reel.dissolve(int(random.integers(10, 30)))


def _fade(reel, random):
    reel.fade(int(random.integers(8, 24)), black=int(random.integers(3, 12)))


REELS = {
    "calm": _shots(1).finish(grain=0.01),
    "slow pans": _shots(2, pan_px=3).finish(grain=0.01),
    "fast pans": _shots(3, pan_px=12).finish(grain=0.01),
    "zooms": _shots(4, zoom=0.01).finish(grain=0.01),
    "flashes": _shots(5, _flash).finish(grain=0.01),
    "grain": _shots(6).finish(grain=0.08),
    "flicker": _shots(7).finish(grain=0.02, flicker=0.1),
    "dissolves": _shots(28, _dissolve).finish(grain=0.01),
    "fades": _shots(9, _fade).finish(grain=0.01),
}


def test_cuts_are_found_with_an_f1_of_95_percent_and_more():
    right = wrong = missed = 0
    for name in REELS:
        seen, truth = _reel(name)
        found = set(_cuts(seen))
        right += len(found & set(truth.cuts))
        wrong += len(found - set(truth.cuts))
        missed += len(set(truth.cuts) - found)
    assert right + missed == 28
    assert 2 * right / (2 * right + wrong + missed) >= 0.95


@pytest.mark.parametrize("name", ["flashes", "fast pans", "dissolves", "fades", "flicker"])
def test_what_only_looks_like_a_cut_is_none(name):
    seen, truth = _reel(name)
    assert set(_cuts(seen)) <= set(truth.cuts)


def test_dissolves_are_found_and_a_shot_begins_in_the_middle_of_each():
    seen, truth = _reel("dissolves")
    middles = [number for number, kind in _transitions(seen) if kind == "dissolve"]
    assert len(middles) == len(truth.dissolves) == 4
    assert _starts(seen) == middles
    for middle, (first, last) in zip(middles, truth.dissolves, strict=True):
        assert abs(middle - (first + last) / 2) <= (last - first) / 4


def test_fades_are_found_and_a_shot_begins_where_the_picture_comes_back():
    seen, truth = _reel("fades")
    for kind, spans in (("fade-out", truth.fade_outs), ("fade-in", truth.fade_ins)):
        middles = [number for number, each in _transitions(seen) if each == kind]
        assert len(middles) == len(spans) == 4
        assert all(a <= middle <= b for middle, (a, b) in zip(middles, spans, strict=True))
    late = [s - a for s, (a, _) in zip(_starts(seen), truth.fade_ins, strict=True)]
    assert all(0 <= frames <= 4 for frames in late)


@pytest.mark.parametrize("name", ["calm", "slow pans", "fast pans", "zooms", "flashes", "grain"])
def test_no_transition_is_seen_where_there_is_none(name):
    assert _transitions(_reel(name)[0]) == []


def test_in_a_dissolve_the_share_of_the_shot_fades_to_a_half_and_back():
    seen, _ = _reel("dissolves")
    middle = _starts(seen)[0]
    shares = [each.shot_weight for each in seen[middle - 8 : middle + 9]]
    assert shares == shares[::-1]
    assert shares[:9] == sorted(shares[:9], reverse=True)
    assert (shares[0], shares[8]) == (1.0, 0.5)
    assert {each.shot_weight for each in _reel("calm")[0]} == {1.0}


@pytest.mark.parametrize("name", ["dissolves", "fades"])
@pytest.mark.parametrize("early", [3, 20])
def test_where_shots_begin_does_not_depend_on_where_reading_began(name, early):
    frames, _ = REELS[name]
    seen = _reel(name)[0]
    first = _starts(seen)[1] - early
    whole = [each.starts_shot for each in seen]
    rest = [each.starts_shot for each in _seen(frames[first:])]
    assert rest[CUT_REACH:] == whole[first + CUT_REACH :]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_some_white_frames_are_no_cut(count):
    frames, _ = Reel(1).shot(40).flash(count, ago=20).finish(grain=0.01)
    assert _cuts(_seen(frames)) == []


def test_a_pan_that_is_too_fast_to_follow_has_no_cut_but_the_one_at_its_end():
    frames, _ = Reel(3).shot(30, pan_px=18).shot(30, pan_px=18).finish(grain=0.01)
    assert _cuts(_seen(frames)) == [30]


def test_a_quick_fade_is_no_cut():
    frames, _ = Reel(3).shot(30).fade(8).shot(30).finish()
    assert _cuts(_seen(frames)) == []


def test_someone_else_before_the_same_wall_is_another_shot():
    wall, _ = Reel(1).shot(24, pan_px=0, shape_px=0).finish()
    someone, _ = Reel(2).shot(24, pan_px=0, shape_px=0).finish()
    other = [frame.copy() for frame in wall]
    for frame, body in zip(other, someone, strict=True):
        frame[20:, 50:64] = body[20:, 50:64]
    assert _cuts(_seen(wall + other)) == [24]


def test_a_shape_that_jumps_is_no_cut():
    pictures = [picture(number, 1, 96, 64) for number in (*range(15), *range(40, 55))]
    assert _starts(_seen([rough_luma(each) for each in pictures])) == []


def test_black_frames_with_noise_are_one_shot():
    random = np.random.default_rng(0)
    black = [0.02 + random.normal(0, 0.004, (90, 160)).astype(np.float32) for _ in range(20)]
    assert _starts(_seen(black)) == []


@pytest.mark.parametrize("frames", [[], [np.zeros((4, 3), np.float32)]])
def test_films_of_no_frame_and_of_one_have_no_cut(frames):
    seen = _seen(frames)
    assert (len(seen), _starts(seen)) == (len(frames), [])


def test_told_at_once_cuts_are_those_between_calm_shots():
    frames, truth = REELS["calm"]
    detector = CutDetector()
    assert [n for n, frame in enumerate(frames) if detector.is_cut(frame)] == truth.cuts
