"""Codes and what they mean, by ITU-T H.273."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcolor.media.quantization import (
    chroma_from_unit,
    luma_at_depth,
    sample_type,
    unit_from_chroma,
    unit_from_luma,
)

DEPTHS = st.sampled_from([8, 9, 10, 12, 14, 16])


@pytest.mark.parametrize(
    ("depth", "full_range", "black", "white"),
    [
        (8, False, 16, 235),
        (10, False, 64, 940),
        (12, False, 256, 3760),
        (8, True, 0, 255),
        (10, True, 0, 1023),
    ],
)
def test_black_is_zero_and_white_is_one(depth, full_range, black, white):
    codes = np.array([[black, white]], sample_type(depth))
    unit = unit_from_luma(codes, depth=depth, full_range=full_range)
    np.testing.assert_allclose(unit, [[0, 1]], atol=1e-7)


@pytest.mark.parametrize(
    ("depth", "full_range", "codes"),
    [(8, False, (16, 128, 240)), (10, False, (64, 512, 960)), (10, True, (0, 512, 1023))],
)
def test_chroma_spans_minus_half_to_half(depth, full_range, codes):
    unit = np.array([-0.5, 0, 0.5], np.float32).reshape(1, 1, 3).repeat(2, axis=0)
    found = chroma_from_unit(unit, depth=depth, full_range=full_range)
    assert found.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert tuple(int(code) for code in found[0, 0]) == codes


@given(DEPTHS, st.booleans(), st.integers(0, 65535))
def test_chroma_codes_survive_the_way_to_unit_and_back(depth, full_range, number):
    low, high = (1, (1 << depth) - 1) if full_range else (16 << (depth - 8), 240 << (depth - 8))
    code = low + number % (high - low + 1)
    codes = np.full((2, 1, 1), code, np.uint8 if depth == 8 else np.uint16)
    unit = unit_from_chroma(codes, depth=depth, full_range=full_range)
    back = chroma_from_unit(unit, depth=depth, full_range=full_range)
    assert abs(int(back[0, 0, 0]) - code) <= (depth == 16)


@given(DEPTHS, DEPTHS, st.booleans(), st.integers(0, 65535))
def test_luma_survives_the_way_to_more_bits_and_back(depth, more, full_range, number):
    if more < depth:
        depth, more = more, depth
    codes = np.full((1, 1), number % (1 << depth), np.uint8 if depth == 8 else np.uint16)
    wide = luma_at_depth(codes, depth=depth, to_depth=more, full_range=full_range)
    back = luma_at_depth(wide, depth=more, to_depth=depth, full_range=full_range)
    assert int(back[0, 0]) == int(codes[0, 0])


@given(DEPTHS, DEPTHS, st.integers(0, 65535))
def test_luma_means_the_same_at_another_depth(depth, other, number):
    codes = np.full((1, 1), number % (1 << depth), np.uint8 if depth == 8 else np.uint16)
    for full_range in (False, True):
        moved = luma_at_depth(codes, depth=depth, to_depth=other, full_range=full_range)
        a = unit_from_luma(codes, depth=depth, full_range=full_range)
        b = unit_from_luma(moved, depth=other, full_range=full_range)
        np.testing.assert_allclose(a, b, atol=0.6 / 219 * 2 ** (8 - min(depth, other)))
