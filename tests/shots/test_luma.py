"""Smaller luma: within a code of what floats of the whole frame would give."""

import numpy as np
import pytest

from vidcolor.images.resize import resize
from vidcolor.media.decode import read_frames, unit_luma
from vidcolor.media.probe import probe
from vidcolor.shots.luma import half_res_luma, luma_at, shot_luma


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_smaller_luma_is_within_a_code_of_the_whole_frames(draw, pix_fmt, full_range):
    frame = _first(draw("film.mkv", frames=2, pix_fmt=pix_fmt, full_range=full_range, codec="ffv1"))
    code = 1 / (219 << frame.depth - 8)
    for height, width in ((24, 32), (48, 64), (17, 31)):
        wanted_hw = resize(unit_luma(frame), height, width)
        found_hw = luma_at(frame, height, width)
        assert found_hw.dtype == np.float32
        assert found_hw.shape == (height, width)
        np.testing.assert_allclose(found_hw, wanted_hw, atol=0.75 * code)


@pytest.mark.parametrize(
    ("size", "short_side", "found"),
    [
        ((64, 48), 24, (24, 32)),
        ((64, 48), 25, (48, 64)),
        ((64, 48), 5, (24, 32)),
        ((62, 49), 24, (49, 62)),  # an odd side cannot be halved: the shape would change
    ],
)
def test_luma_is_halved_only_if_the_short_side_is_left(draw, size, short_side, found):
    frame = _first(draw("film.mkv", frames=1, width=size[0], height=size[1], pix_fmt="gray"))
    assert half_res_luma(frame, short_side).shape == found


def test_shots_are_looked_for_in_luma_of_the_frames_shape(draw):
    frame = _first(draw("film.mkv", frames=1, width=160, height=90))
    assert shot_luma(frame).shape == (45, 80)


def _first(path):
    return next(read_frames(probe(path)))
