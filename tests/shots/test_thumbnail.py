"""How much two frames differ: not by brightness, hardly by motion, much by what they show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reels import HEIGHT, WIDTH, Reel
from vidcolor.shots.thumbnail import ANYWHERE, Thumbnail, thumbnail_difference


def _picture(seed: int) -> np.ndarray:
    """Return a picture three frames wide and high."""
    parts = [Reel(seed + n).shot(1, shape_px=0).finish()[0][0] for n in range(3)]
    return np.vstack([np.hstack(parts), np.hstack(parts[::-1]), np.hstack(parts)])


PICTURE, OTHER = _picture(1), _picture(11)


def _look(right: int = 0, down: int = 0, picture: np.ndarray = PICTURE) -> Thumbnail:
    top, left = HEIGHT + down, WIDTH + right
    return Thumbnail.of(picture[top : top + HEIGHT, left : left + WIDTH].copy())


@given(st.floats(0.3, 1), st.floats(0, 0.2))
def test_brightness_and_contrast_make_no_difference(gain, offset):
    changed = Thumbnail.of((PICTURE[:HEIGHT, :WIDTH] * gain + offset).astype(np.float32))
    assert thumbnail_difference(changed, Thumbnail.of(PICTURE[:HEIGHT, :WIDTH])) < 0.01


@pytest.mark.parametrize(("right", "down"), [(12, 0), (-12, 0), (0, 8), (0, -8), (10, -6)])
def test_what_has_moved_is_found_in_every_direction(right, down):
    moved = thumbnail_difference(_look(), _look(right, down))
    assert moved < 0.5
    assert moved < 0.75 * thumbnail_difference(_look(), _look(picture=OTHER))


def test_what_has_moved_far_is_found_only_where_it_is_looked_for():
    near, far = _look(), _look(right=50)
    assert thumbnail_difference(near, far, ANYWHERE) < 0.6 * thumbnail_difference(near, far)


@pytest.mark.parametrize("seed", [21, 31, 41])
def test_unrelated_pictures_differ_by_about_one(seed):
    assert 0.6 < thumbnail_difference(_look(), _look(picture=_picture(seed))) < 1.3


def test_a_frame_differs_from_itself_by_nothing_and_order_does_not_matter():
    one, other = _look(), _look(picture=OTHER)
    assert thumbnail_difference(one, one) == pytest.approx(0, abs=1e-3)
    assert thumbnail_difference(one, other) == pytest.approx(thumbnail_difference(other, one))


def test_black_frames_do_not_differ_by_their_noise():
    random = np.random.default_rng(0)
    black = [
        Thumbnail.of(random.normal(0.02, 0.01, (HEIGHT, WIDTH)).astype(np.float32))
        for _ in range(2)
    ]
    assert black[0].is_flat
    assert thumbnail_difference(black[0], black[1]) < 0.4
    assert not _look().is_flat
