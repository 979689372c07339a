"""Masks drawn from a text: halves, stripes, grids, rectangles, noise and random shapes.

The kinds are those of seed 004 (halves, stripes, checkerboards) and those that it planned.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidcolor.errors import OptionsError

Mask = NDArray[np.float32]
"""(h, w) in [0, 1]: 1 is color, 0 grey."""

NOISE_CELL = 16
"""Side of a cell of noise, pixels: single pixels look like grain and cannot be colored."""

MOST_SHAPES = 5
"""Random shapes in a mask: enough to overlap, few enough to leave something black."""

SHAPE_RADII = (0.08, 0.4)
"""Half axes of a random shape, as shares of the picture's short side."""


def half(height: int, width: int, side: str) -> Mask:
    """Return a mask that is white on the left, right, top or bottom half."""
    middle = {"left": width // 2, "right": width // 2, "top": height // 2, "bottom": height // 2}
    position = np.arange(width) if side in ("left", "right") else np.arange(height)[:, None]
    is_first = position < middle[side]
    return _plane(is_first if side in ("left", "top") else ~is_first, height, width)


def stripes(height: int, width: int, direction: str, count: int) -> Mask:
    """Return `count` stripes, upright (v) or lying (h), white and black in turn."""
    position, length = (
        (np.arange(width), width) if direction == "v" else (np.arange(height)[:, None], height)
    )
    return _plane(position * count // length % 2 == 0, height, width)


def grid(height: int, width: int, cell: int) -> Mask:
    """Return a checkerboard of cells of so many pixels; the first, top left, is white."""
    row, column = np.ogrid[:height, :width]
    return _plane((row // cell + column // cell) % 2 == 0, height, width)


def rectangle(height: int, width: int, box: tuple[int, int, int, int]) -> Mask:
    """Return a mask that is white in a box: left, top, width, height, pixels."""
    left, top, box_width, box_height = box
    row, column = np.ogrid[:height, :width]
    is_inside = (row >= top) & (row < top + box_height)
    return _plane(is_inside & (column >= left) & (column < left + box_width), height, width)


def noise(height: int, width: int, share: float, random: np.random.Generator) -> Mask:
    """Return cells of NOISE_CELL pixels, of which about this share is white."""
    cells = random.random((-(-height // NOISE_CELL), -(-width // NOISE_CELL))) < share
    large = cells.repeat(NOISE_CELL, axis=0).repeat(NOISE_CELL, axis=1)
    return _plane(large[:height, :width], height, width)


def random_shapes(height: int, width: int, random: np.random.Generator) -> Mask:
    """Return one to MOST_SHAPES ellipses and rectangles at random places and angles."""
    is_white = np.zeros((height, width), dtype=bool)
    row, column = np.ogrid[:height, :width]
    for _ in range(random.integers(1, MOST_SHAPES + 1)):
        down, right = row - random.uniform(0, height), column - random.uniform(0, width)
        angle = random.uniform(0, np.pi)
        axes = random.uniform(*SHAPE_RADII, size=2) * min(height, width)
        u = np.abs(right * np.cos(angle) + down * np.sin(angle)) / axes[0]
        v = np.abs(down * np.cos(angle) - right * np.sin(angle)) / axes[1]
        is_white |= (u**2 + v**2 < 1) if random.random() < 0.5 else (np.maximum(u, v) < 1)
    return _plane(is_white, height, width)


def _plane(is_white: NDArray[np.bool_], height: int, width: int) -> Mask:
    return np.broadcast_to(is_white, (height, width)).astype(np.float32)


Draw = Callable[[int, int], Mask]
"""Draws a mask of a height and a width."""


@dataclass(frozen=True)
class _Word:
    example: str
    pattern: str
    """Of what comes after the colon."""
    parse: Callable[[list[str]], Draw]
    """From the pattern's groups."""


def _rectangle_of(numbers: list[str]) -> Draw:
    left, top, box_width, box_height = map(int, numbers)
    return lambda h, w: rectangle(h, w, (left, top, box_width, box_height))


WORDS = {
    "half": _Word("half:left", r"(left|right|top|bottom)", lambda g: lambda h, w: half(h, w, g[0])),
    "stripes": _Word(
        "stripes:v,4", r"([vh]),0*([1-9]\d*)", lambda g: lambda h, w: stripes(h, w, g[0], int(g[1]))
    ),
    "grid": _Word("grid:56", r"0*([1-9]\d*)", lambda g: lambda h, w: grid(h, w, int(g[0]))),
    "rect": _Word("rect:40,30,200,100", r"(\d+),(\d+),0*([1-9]\d*),0*([1-9]\d*)", _rectangle_of),
    "noise": _Word(
        "noise:0.5,1",
        r"(0?\.\d+|[01](?:\.0*)?),(\d+)",
        lambda g: lambda h, w: noise(h, w, float(g[0]), np.random.default_rng(int(g[1]))),
    ),
    "random": _Word(
        "random:1",
        r"(\d+)",
        lambda g: lambda h, w: random_shapes(h, w, np.random.default_rng(int(g[0]))),
    ),
}
"""What `--mask WORD:...` can draw; a file of such a name is written ./WORD:..."""


def shape_from_text(text: str) -> Draw | None:
    """Return the function that draws the mask; None: the text names a file.

    Raises:
        OptionsError: it starts with one of WORDS, but is invalid.
    """
    name, colon, rest = text.partition(":")
    if not colon or name not in WORDS:
        return None
    word = WORDS[name]
    match = re.fullmatch(word.pattern, rest)
    if match is None:
        raise OptionsError(f"--mask {text}: is not a valid {name} mask; write {word.example}")
    return word.parse(list(match.groups()))
