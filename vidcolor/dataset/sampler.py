"""Batches of training windows: which ones, cropped how, in which order.

A batch depends only on the seed and the step's number, so a resumed training sees exactly the same
batches as an uninterrupted one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.dataset.camera_motion import moving_window
from vidcolor.dataset.dataset import FrameTable, window_indices

SMALLEST_CROP = 0.6
"""Least share of a frame's short side that a random crop keeps: objects stay recognisable."""


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The shape and content of a batch."""

    batch_size: int
    """Windows in a batch."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    window: int
    """Frames of a window: 3, or 1 for the middle one alone."""
    augment: bool
    """Crop and mirror at random, the three frames alike; else squash, as seed 002 does."""
    balance: bool
    """Draw sources by the square root of their size rather than frame by frame."""
    still_motion: bool = False
    """Make a window of three out of a run of one frame by moving a camera over it."""
    seed: int
    """Decides order and crops."""


class Batches:
    """Batches of windows of a table of frames.

    batches = Batches(table, plan)
    rgb_BT3hw = batches.read(step)
    """

    def __init__(self, table: FrameTable, plan: BatchPlan) -> None:
        self.table, self.plan = table, plan
        self.per_epoch = max(1, len(table) // plan.batch_size)
        self._weights = _source_weights(table) if plan.balance else None
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def indices(self, step: int) -> list[int]:
        """Return the middle frames of the windows of a step."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._draw_order(epoch)
        size = self.plan.batch_size
        # A table smaller than a batch is repeated to fill it.
        return [
            int(self._order[i % len(self._order)])
            for i in range(position * size, (position + 1) * size)
        ]

    def read(self, step: int, places: Iterable[int] | None = None) -> Tensor:
        """Return the windows of a step, R'G'B' (B, T, 3, h, w) float in [0, 1].

        Args:
            step: its number.
            places: of the wanted windows in the batch; default: all.
        """
        indices = self.indices(step)
        places = range(len(indices)) if places is None else places
        return torch.stack(
            [
                self._read_window(indices[i], np.random.default_rng((self.plan.seed, step, i)))
                for i in places
            ]
        )

    def window(self, index: int) -> Tensor:
        """Return the window around one frame, R'G'B' (T, 3, h, w) float in [0, 1]."""
        return self._read_window(index, np.random.default_rng((self.plan.seed, index)))

    def _draw_order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + epoch)
        if self._weights is None:
            return torch.randperm(len(self.table), generator=generator)
        return torch.multinomial(
            self._weights, len(self.table), replacement=True, generator=generator
        )

    def _read_window(self, index: int, random: np.random.Generator) -> Tensor:
        neighbours = window_indices(self.table, index)
        frames = {
            i: torch.from_numpy(self.table.read(i)).permute(2, 0, 1)
            for i in (set(neighbours) if self.plan.window == 3 else {index})
        }
        wanted = neighbours if self.plan.window == 3 else (index,)
        window_T3HW = torch.stack([frames[i] for i in wanted])
        if self.plan.augment:
            window_T3HW = _random_crop(window_T3HW, self.plan.height / self.plan.width, random)
        size = (self.plan.height, self.plan.width)
        if self.plan.still_motion and self.plan.window == 3 and len(frames) == 1:
            window_T3hw = moving_window(window_T3HW[1].float(), *size, random)
        else:
            window_T3hw = functional.interpolate(
                window_T3HW.float(), size, mode="bilinear", antialias=True, align_corners=False
            )
        return (window_T3hw / 255).clamp(0, 1)


def _random_crop(window_T3HW: Tensor, aspect: float, random: np.random.Generator) -> Tensor:
    """Return a random part of random size with height / width = aspect, mirrored half the time."""
    height, width = window_T3HW.shape[-2:]
    largest = min(height, width * aspect)
    crop_height = largest * random.uniform(SMALLEST_CROP, 1)
    crop_width = crop_height / aspect
    top, left = random.uniform(0, height - crop_height), random.uniform(0, width - crop_width)
    part = window_T3HW[..., int(top) : int(top + crop_height), int(left) : int(left + crop_width)]
    return part.flip(-1) if random.random() < 0.5 else part


def _source_weights(table: FrameTable) -> Tensor:
    """Return a weight for each frame: a source of n distinct images gets sqrt(n) of the draws.

    A run of n frames, which resemble each other, counts as sqrt(n) images; a photo as one.
    """
    weights = torch.zeros(len(table))
    shown: dict[int, float] = {}
    for run in table.runs:
        shown[run.source] = shown.get(run.source, 0) + run.count**0.5
    for run in table.runs:
        of_run = run.count**0.5 / shown[run.source] ** 0.5
        weights[run.first : run.first + run.count] = of_run / run.count
    return weights
