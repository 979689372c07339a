"""Match places of two frames by features of the network's encoder.

Both frames are divided into cells. A cell takes the colors of the other frame's cells, weighted by
similarity, as attention does (Zhang et al. 2019, "Deep exemplar-based video
colorization", eq. 2 and 3). Nothing depends on the frames in between.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.network.generator import Features

CELLS = 1200
"""Of a picture, about: 26 by 46 of a wide one. Twice as many halve no error and cost four times
the time."""
SHARPNESS = 1 / 0.03
"""Factor of the similarities before their softmax; 20 to 100 gave errors within 5 %."""
LEAST_SIDE = 4
"""Cells of a scale's shorter side below which it cannot locate anything."""
LEAST_CHANNELS = 8
"""Channels of a scale below which most places look alike."""
UNSURE, SURE = 0.5, 0.65
"""Similarities (cosines) at which a match starts to count, and counts fully.

The best matches between unrelated films measured 0.5 on average, those within a shot 0.7 to 0.9.
"""


@dataclass(frozen=True)
class Cells:
    """A picture in cells."""

    grid: tuple[int, int]
    """How many, down and across."""
    looks_CN: Tensor
    """A unit feature vector for each (or 0: nothing); row by row."""


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Return how many cells a picture is divided into, down and across: about square ones."""
    per_pixel = (CELLS / (height * width)) ** 0.5
    return max(1, round(height * per_pixel)), max(1, round(width * per_pixel))


def cells_of(features: Features, luma_11hw: Tensor, grid: tuple[int, int]) -> Cells:
    """Return the cells of a picture: the features of each scale, and the surrounding luma.

    Each scale is centred and scaled to unit length, so that all have the same weight, whatever
    network they are from.

    Args:
        features: of one frame, (1, C, h, w) each.
        luma_11hw: its Y' in [0, 1].
        grid: how many cells, down and across.
    """
    levels = [_resampled(level.float(), grid) for level in features if _tells_places_apart(level)]
    scales = [_unit(level) for level in [*levels, _surroundings(luma_11hw, grid)]]
    looks_CN = functional.normalize(torch.cat(scales, dim=1)[0].flatten(1), dim=0)
    return Cells(grid, looks_CN)


def _tells_places_apart(level: Tensor) -> bool:
    is_map = level.ndim == 4 and min(level.shape[-2:]) >= LEAST_SIDE
    return is_map and level.shape[1] >= LEAST_CHANNELS


def _surroundings(luma_11hw: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the luma of each cell and of those around it, (1, C, *grid)."""
    fine = functional.adaptive_avg_pool2d(luma_11hw, (2 * grid[0], 2 * grid[1]))
    around_1CN = functional.unfold(functional.pad(fine, (2, 2, 2, 2), "replicate"), 6, stride=2)
    surroundings: Tensor = around_1CN.unflatten(2, grid)
    return surroundings


def _resampled(level_1Chw: Tensor, grid: tuple[int, int]) -> Tensor:
    if level_1Chw.shape[-2] > grid[0]:
        return functional.adaptive_avg_pool2d(level_1Chw, grid)
    return functional.interpolate(level_1Chw, size=grid, mode="bilinear", align_corners=False)


def _unit(level_1Chw: Tensor) -> Tensor:
    own_1Chw = level_1Chw - level_1Chw.mean(dim=(2, 3), keepdim=True)
    # Lengths far below the usual one are rounding errors.
    usual = own_1Chw.square().sum(dim=1).mean().sqrt().item()
    return functional.normalize(own_1Chw, dim=1, eps=max(usual / 100, 1e-6))


def match(frame: Cells, other: Cells, values_cM: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values that a frame's cells find in another frame, and their similarities.

    Args:
        frame: the frame's cells, N of them.
        other: the other frame's, M of them.
        values_cM: known values of the other frame's cells.

    Returns:
        (c, N), each the mean of `values_cM` by similarity; and (N,), the largest similarities.
    """
    similarity_NM = frame.looks_CN.T @ other.looks_CN
    values_cN = values_cM @ torch.softmax(similarity_NM * SHARPNESS, dim=1).T
    return values_cN, similarity_NM.amax(dim=1)


def sureness(similarity: Tensor) -> Tensor:
    """Return the confidence of matches with such similarity, in [0, 1]."""
    return ((similarity - UNSURE) / (SURE - UNSURE)).clamp(0, 1)
