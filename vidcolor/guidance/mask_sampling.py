"""Masks for training: for each sample a random kind, and a random mask of that kind.

A mask is a function of the seed, the step and the sample's place in the batch alone, so a resumed
training, or one shared by several processes, sees the same ones. All are black or white: the
shades that JPEG adds were in the masks of seed 004's network.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidcolor.errors import InputError, OptionsError
from vidcolor.guidance.mask_shapes import Mask, grid, half, noise, random_shapes, stripes
from vidcolor.images.image_files import picture_paths, read_labels, read_picture, rough_luma

DrawAny = Callable[[int, int, np.random.Generator], Mask]
"""Draws some mask of a height and a width."""

MOST_STRIPES = 8
"""Of 224 pixels they are 28 wide: seed 004 has 4."""

GRID_SHARES = (1 / 8, 1 / 2)
"""A cell's side, of the picture's short side; seed 004 has a quarter."""

NOISE_SHARES = (0.2, 0.8)
"""Of white cells: less or more would be specks."""


def _any_half(height: int, width: int, random: np.random.Generator) -> Mask:
    return half(height, width, str(random.choice(["left", "right", "top", "bottom"])))


def _any_stripes(height: int, width: int, random: np.random.Generator) -> Mask:
    count = int(random.integers(2, MOST_STRIPES + 1))
    return _either(stripes(height, width, str(random.choice(["v", "h"])), count), random)


def _any_grid(height: int, width: int, random: np.random.Generator) -> Mask:
    cell = max(1, round(random.uniform(*GRID_SHARES) * min(height, width)))
    return _either(grid(height, width, cell), random)


def _any_shapes(height: int, width: int, random: np.random.Generator) -> Mask:
    return _either(random_shapes(height, width, random), random)


def _any_noise(height: int, width: int, random: np.random.Generator) -> Mask:
    return noise(height, width, random.uniform(*NOISE_SHARES), random)


def _either(mask_hw: Mask, random: np.random.Generator) -> Mask:
    """Return a mask or its opposite."""
    return mask_hw if random.random() < 0.5 else 1 - mask_hw


KINDS: dict[str, DrawAny] = {
    "full": lambda height, width, _: np.ones((height, width), np.float32),
    "halves": _any_half,
    "stripes": _any_stripes,
    "grids": _any_grid,
    "shapes": _any_shapes,
    "noise": _any_noise,
}
"""Kinds that `--masks` knows by name. `full` is what a film without a mask is rendered with."""

LABELS = "labels:"
"""Before a folder whose pictures are labels rather than masks."""


class MaskSampler:
    """Draws the masks of a training.

    sampler = MaskSampler("halves,noise,masks/", seed=0, height=224, width=224)
    mask_B1hw = sampler.draw(step, range(8))
    """

    def __init__(self, kinds: str | None, *, seed: int, height: int, width: int) -> None:
        """Find the folders.

        Args:
            kinds: names of KINDS, folders of masks and `labels:` folders, with commas between;
                None: all KINDS.
            seed: decides them all.
            height: pixels.
            width: pixels.

        Raises:
            InputError: a folder holds no pictures.
            OptionsError: something is neither a kind nor a folder.
        """
        self._seed, self._size = seed, (height, width)
        self._draws = [_draw_of(kind) for kind in kinds.split(",")] if kinds else [*KINDS.values()]

    def draw(self, step: int, places: Iterable[int]) -> Tensor:
        """Return masks (B, 1, h, w) of 0 and 1 for samples of a step, by place in the batch."""
        return torch.stack([self._one(0, step, place) for place in places])

    def for_test(self, index: int) -> Tensor:
        """Return the mask (1, h, w) with which a test frame is scored, in every epoch the same."""
        return self._one(1, index, 0)

    def _one(self, *key: int) -> Tensor:
        random = np.random.default_rng((self._seed, *key))
        draw = self._draws[random.integers(len(self._draws))]
        return torch.from_numpy(draw(*self._size, random))[None]


def _draw_of(kind: str) -> DrawAny:
    if kind in KINDS:
        return KINDS[kind]
    folder = Path(kind.removeprefix(LABELS))
    if not folder.is_dir():
        raise OptionsError(
            f"--masks {kind}: is neither a folder nor a kind of mask; kinds: {', '.join(KINDS)}"
        )
    paths = picture_paths(folder)
    if not paths:
        raise InputError(f"--masks {folder}: has no pictures; put masks there")
    read = _some_labels if kind.startswith(LABELS) else _mask_in
    return lambda height, width, random: read(
        paths[random.integers(len(paths))], height, width, random
    )


def _mask_in(path: Path, height: int, width: int, random: np.random.Generator) -> Mask:
    luma_HW = rough_luma(read_picture(path))
    return (_at_size(luma_HW, height, width) > 0.5).astype(np.float32)


def _some_labels(path: Path, height: int, width: int, random: np.random.Generator) -> Mask:
    """Return what is white when some of a picture's labels are picked, one at least."""
    labels_hw = _at_size(read_labels(path), height, width)
    there = np.unique(labels_hw)
    picked = random.choice(there, int(random.integers(1, len(there) + 1)), replace=False)
    return np.isin(labels_hw, picked).astype(np.float32)


def _at_size(plane_HW: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return the nearest pixels of a plane: labels have no mean."""
    rows = np.arange(height) * plane_HW.shape[0] // height
    columns = np.arange(width) * plane_HW.shape[1] // width
    return np.asarray(plane_HW[rows[:, None], columns])
