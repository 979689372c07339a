"""Luma down, chroma up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidcolor.images.guided_upsampling import enlarge_chroma
from vidcolor.images.resize import resize, working_size


@given(st.integers(2, 2200), st.integers(2, 4100), st.integers(32, 512))
def test_the_working_size_has_the_short_side_and_the_films_shape(height, width, short_side):
    h, w = working_size(height, width, short_side)
    assert min(h, w) == short_side
    assert abs(h * width - w * height) <= max(height, width)


def test_constant_chroma_stays_constant_whatever_the_luma():
    luma_HW = np.random.default_rng(0).random((90, 120), dtype=np.float32)
    chroma_2hw = np.stack([np.full((45, 60), 0.1), np.full((45, 60), -0.2)]).astype(np.float32)
    enlarged = enlarge_chroma(chroma_2hw, resize(luma_HW, 45, 60), luma_HW)
    np.testing.assert_allclose(enlarged[0], 0.1, atol=1e-6)
    np.testing.assert_allclose(enlarged[1], -0.2, atol=1e-6)


def test_an_edge_in_chroma_follows_the_edge_in_luma():
    luma_HW = np.where(np.arange(160) < 75, 0.2, 0.8).astype(np.float32) * np.ones((120, 1), "f4")
    truth_HW = (luma_HW - 0.5) * 0.5
    luma_hw, chroma_hw = resize(luma_HW, 30, 40), resize(truth_HW, 30, 40)
    chroma_2hw = np.stack([chroma_hw, -chroma_hw])
    guided = np.abs(enlarge_chroma(chroma_2hw, luma_hw, luma_HW)[0] - truth_HW).mean()
    plain = np.abs(resize(chroma_hw, 120, 160) - truth_HW).mean()
    assert guided < plain / 3
