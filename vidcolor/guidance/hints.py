"""Color hints: points and boxes with a color and a time, in a TOML or JSON file."""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.color import chroma_from_rgb
from vidcolor.errors import InputError, OptionsError
from vidcolor.files import toml_fault
from vidcolor.guidance.exemplar import Known, Plane
from vidcolor.guidance.hint_spreading import spread_hints
from vidcolor.guidance.mask_files import shown_size
from vidcolor.images.resize import resize
from vidcolor.media.orientation import stored_from_shown
from vidcolor.media.probe import Film
from vidcolor.options.values import seconds_from_text

KEYS = {"time", "color", "point", "box"}


@dataclass(frozen=True)
class Hint:
    """A color at a place and a time."""

    seconds: Fraction
    """Its time, on the same scale as `--start`."""
    box: tuple[float, float, float, float]
    """x, y, width and height, pixels of the film as displayed; a point has no size."""
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class HintFile:
    """What a file of hints says; nothing where there is no file."""

    hints: tuple[Hint, ...] = ()
    """In the order of the file."""
    sha256: str = hashlib.sha256(b"").hexdigest()
    """Of the file."""

    def by_time(self) -> dict[Fraction, list[Hint]]:
        """Return the hints by the time of their frame."""
        found: dict[Fraction, list[Hint]] = {}
        for hint in self.hints:
            found.setdefault(hint.seconds, []).append(hint)
        return found


def read_hints(path: Path, film: Film) -> HintFile:
    """Return the hints of a file.

    Args:
        path: of the file.
        film: the film that they belong to.

    Raises:
        InputError: the file does not exist, or is neither valid TOML nor JSON.
        OptionsError: a hint is invalid.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"--hints {path}: {error.strerror}; check the name") from error
    hints = []
    for number, table in enumerate(_tables(path, content), start=1):
        try:
            hints.append(_hint(table, film))
        except ValueError as error:
            raise OptionsError(f"--hints {path}: hint {number}: {error}") from error
    return HintFile(tuple(hints), hashlib.sha256(content).hexdigest())


def _tables(path: Path, content: bytes) -> list[Any]:
    # Numbers stay text, so that 0.1 is exactly a tenth.
    is_json = path.suffix.lower() == ".json"
    parse = json.loads if is_json else tomllib.loads
    try:
        file = parse(content.decode(), parse_float=str)
    except ValueError as error:
        fault = f"is not valid JSON: {error}; correct it" if is_json else toml_fault(error)
        raise InputError(f"--hints {path}: {fault}") from error
    hints = file.get("hint") if isinstance(file, dict) else None
    if not isinstance(hints, list) or not hints or set(file) != {"hint"}:
        raise OptionsError(
            f"--hints {path}: must contain hints only; write [[hint]] tables, in JSON a "
            'list under "hint"'
        )
    return hints


def _hint(table: Any, film: Film) -> Hint:
    """Return the hint that a table describes.

    Raises:
        ValueError: it is not a valid hint.
    """
    if not isinstance(table, dict) or set(table) - KEYS:
        unknown = sorted(set(table) - KEYS) if isinstance(table, dict) else [table]
        raise ValueError(f"unknown {unknown[0]!r}; write time, color and either point or box")
    if "time" not in table or "color" not in table or ("point" in table) == ("box" in table):
        raise ValueError("a key is missing; write time, color and either point or box")
    seconds = seconds_from_text(str(table["time"]), option="time")
    x, y, wide, high = _box(table)
    height, width = shown_size(film)
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(
            f"{x:g}, {y:g} is outside the picture ({width}x{height} pixels); count from its upper "
            "left corner"
        )
    return Hint(seconds, (x, y, wide, high), _rgb(table["color"]))


def _box(table: dict[str, Any]) -> tuple[float, ...]:
    values = table["point"] if "point" in table else table["box"]
    try:
        place = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        place = ()
    if len(place) != (2 if "point" in table else 4) or min(place[2:], default=1) <= 0:
        raise ValueError("write point = [x, y] or box = [x, y, width, height]")
    return (*place, 0.0, 0.0)[:4]


def _rgb(color: Any) -> tuple[int, int, int]:
    if not (isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color)):
        raise ValueError(f'{color!r} is not a color; write red, green and blue as in "#c04030"')
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def known_of_hints(hints: Sequence[Hint], film: Film, luma_hw: Plane) -> Known:
    """Return the colors that hints give a frame, spread along its luma.

    Args:
        hints: all of one time.
        film: gives the rotation and the matrix.
        luma_hw: the frame's Y' at the working size.
    """
    places = [_place(hint, film, luma_hw.shape) for hint in hints]
    return Known(luma_hw, *spread_hints(luma_hw, places, [_chroma(hint, film) for hint in hints]))


def _place(hint: Hint, film: Film, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels a hint covers, one or more, at a size of the film as it is stored."""
    x, y, wide, high = hint.box
    shown_HW = np.zeros(shown_size(film), np.float32)
    rows = slice(int(y), max(int(y) + 1, math.ceil(y + high)))
    columns = slice(int(x), max(int(x) + 1, math.ceil(x + wide)))
    shown_HW[rows, columns] = 1
    return resize(stored_from_shown(shown_HW, film.display_matrix), *size) > 0


def _chroma(hint: Hint, film: Film) -> tuple[float, float]:
    rgb_311 = torch.tensor(hint.rgb)[:, None, None] / 255
    cb, cr = chroma_from_rgb(rgb_311, film.matrix).flatten().tolist()
    return cb, cr
