"""Conversion between code values and Y' in [0, 1], Cb and Cr in [-0.5, 0.5].

The formulas are ITU-T H.273, 8.3 (equations 24 to 29 for limited, 30 to 35 for full range).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.unsignedinteger[Any]]
"""Samples of a plane: uint8, or uint16 from 9 bits on."""


def sample_type(depth: int) -> type[np.unsignedinteger[Any]]:
    """Return the type that holds samples of so many bits."""
    return np.uint8 if depth == 8 else np.uint16


def unit_from_luma(luma_hw: Codes, *, depth: int, full_range: bool) -> NDArray[np.float32]:
    """Return Y' (h, w) of luma codes, clipped to [0, 1]."""
    if full_range:
        return luma_hw.astype(np.float32) / np.float32((1 << depth) - 1)
    step = 1 << (depth - 8)
    unit = (luma_hw.astype(np.float32) - np.float32(16 * step)) / np.float32(219 * step)
    return np.clip(unit, 0, 1, out=unit)


def unit_from_chroma(chroma_2hw: Codes, *, depth: int, full_range: bool) -> NDArray[np.float32]:
    """Return Cb, Cr (2, h, w), cut to [-0.5, 0.5], of chroma codes."""
    span = (1 << depth) - 1 if full_range else 224 << (depth - 8)
    unit = (chroma_2hw.astype(np.float32) - np.float32(1 << (depth - 1))) / np.float32(span)
    return np.clip(unit, -0.5, 0.5, out=unit)


def chroma_from_unit(chroma_2hw: NDArray[np.float32], *, depth: int, full_range: bool) -> Codes:
    """Return chroma codes (2, h, w), uint8 or uint16, of Cb and Cr in [-0.5, 0.5]."""
    top = (1 << depth) - 1
    span = top if full_range else 224 << (depth - 8)
    codes = np.rint(chroma_2hw * np.float32(span)) + np.float32(1 << (depth - 1))
    cut: NDArray[np.float32] = np.clip(codes, 0, top)
    return cut.astype(sample_type(depth))


def luma_at_depth(luma_hw: Codes, *, depth: int, to_depth: int, full_range: bool) -> Codes:
    """Return luma codes at another depth; to more bits and back gives the same codes."""
    if depth == to_depth:
        return luma_hw
    top, to_top = (1 << depth) - 1, (1 << to_depth) - 1
    wide = luma_hw.astype(np.uint32)
    if full_range:
        return ((wide * to_top + top // 2) // top).astype(sample_type(to_depth))
    if to_depth > depth:
        return (wide << (to_depth - depth)).astype(sample_type(to_depth))
    half = 1 << (depth - to_depth - 1)
    rounded: NDArray[np.uint32] = np.minimum((wide + half) >> (depth - to_depth), to_top)
    return rounded.astype(sample_type(to_depth))
