"""The options of `extract`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidcolor.errors import OptionsError
from vidcolor.options.values import require, span_from_text

FrameFormat = Literal["jpg", "png"]


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """How to extract training frames from a color film."""

    dataset: str
    """Name of the dataset; frames are written to DATA/NAME/train and DATA/NAME/test."""
    data: Path = Path("data")
    """Folder that contains the datasets."""
    size: int = 480
    """Short side of a frame, pixels. Smaller films are not enlarged."""
    every: int = 1
    """Keep every n-th frame. Consecutive kept frames count as neighbours."""
    start: str | None = None
    """Start time, seconds or HH:MM:SS."""
    end: str | None = None
    """End time (exclusive), seconds or HH:MM:SS."""
    drop_black: float = 5.0
    """Skip frames whose brightest pixel is below this CIE lightness, 0 to 100; 0 keeps all."""
    split: str = "0.88/0.12"
    """Train/test split in film order, as counts (10000/1330) or fractions (0.88/0.12)."""
    format: FrameFormat = "jpg"
    """jpg: quality 95, full chroma; png: lossless, about five times as large."""

    def __post_init__(self) -> None:
        _check_name(self.dataset)
        require(self.size >= 32, f"--size {self.size}: too small for training; use 32 or more")
        require(self.every >= 1, f"--every {self.every}: must be 1 or more")
        require(
            0 <= self.drop_black < 100,
            f"--drop-black {self.drop_black}: must be at least 0 (keeps all) and below 100",
        )
        span_from_text(self.start, self.end)
        split_from_text(self.split)


def _check_name(name: str) -> None:
    require(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None,
        f"--dataset {name!r}: is not a valid name; use letters, digits, '-', '_' and '.'",
    )


def split_from_text(text: str) -> tuple[int, int] | tuple[float, float]:
    """Return (train, test) of `10000/1330`, as counts, or of `0.88/0.12`, as fractions of 1.

    Raises:
        OptionsError: the text is neither, or the fractions do not add up to 1.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is not None:
        counts = int(match[1]), int(match[2])
        require(
            counts[0] > 0,
            f"--split {text}: leaves no frames for training; the first count must be above 0",
        )
        return counts
    match = re.fullmatch(r"(\d*\.\d+|1(?:\.0*)?|0)/(\d*\.\d+|1(?:\.0*)?|0)", text)
    if match is None:
        raise OptionsError(
            f"--split {text!r}: is not a split; write counts (10000/1330) or fractions (0.88/0.12)"
        )
    fractions = float(match[1]), float(match[2])
    require(
        abs(sum(fractions) - 1) < 1e-6 and fractions[0] > 0,
        f"--split {text}: fractions must add up to 1, the first above 0",
    )
    return fractions
