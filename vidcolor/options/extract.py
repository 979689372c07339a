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
    """How a colour film becomes training frames."""

    dataset: str
    """Name of the dataset; frames go to DATA/NAME/train and DATA/NAME/test."""
    data: Path = Path("data")
    """Folder that holds the datasets."""
    size: int = 480
    """Short side of a frame, pixels. A smaller film is not enlarged."""
    every: int = 1
    """Keep every n-th frame. Kept frames count as neighbours."""
    start: str | None = None
    """First moment, seconds or HH:MM:SS."""
    end: str | None = None
    """Last moment (not included), seconds or HH:MM:SS."""
    drop_black: float = 5.0
    """Leave out frames without a pixel of this CIE lightness, of 100; 0 keeps all."""
    split: str = "0.88/0.12"
    """Train/test, in film order: numbers of frames (10000/1330) or shares (0.88/0.12)."""
    format: FrameFormat = "jpg"
    """jpg: quality 95 with full chroma; png: lossless, about five times the size."""

    def __post_init__(self) -> None:
        _check_name(self.dataset)
        require(self.size >= 32, f"--size {self.size}: too small to learn from; use 32 or more")
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
        f"--dataset {name!r}: not a name; use letters, digits, '-', '_' and '.'",
    )


def split_from_text(text: str) -> tuple[int, int] | tuple[float, float]:
    """Return (train, test) of `10000/1330`, as counts, or of `0.88/0.12`, as shares of 1.

    Raises:
        OptionsError: the text is neither, or the shares do not add up to 1.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is not None:
        counts = int(match[1]), int(match[2])
        require(counts[0] > 0, f"--split {text}: no frame would be left for training")
        return counts
    match = re.fullmatch(r"(\d*\.\d+|1(?:\.0*)?|0)/(\d*\.\d+|1(?:\.0*)?|0)", text)
    if match is None:
        raise OptionsError(f"--split {text!r}: write counts (10000/1330) or shares (0.88/0.12)")
    shares = float(match[1]), float(match[2])
    require(
        abs(sum(shares) - 1) < 1e-6 and shares[0] > 0,
        f"--split {text}: shares must add up to 1 and leave something to train on",
    )
    return shares
