"""What an evaluation found: numbers for a file, cells for a table.

A number that is not to be had is None, shown as n/a; it is never replaced by another number.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from vidcolor.images.image_files import RgbImage

Kind = Literal["result", "grey", "truth"]
"""The model's result; the film without color; the film's own color, for scores it has."""

KINDS: tuple[Kind, ...] = ("result", "grey", "truth")


@dataclass(frozen=True)
class Metric:
    """How a score is named and shown."""

    key: str
    """Its name in the JSON file."""
    heading: str
    """Its column in the table."""
    digits: int
    """Decimals shown."""
    meaning: str
    scale: float = 1
    """The table shows the number times this."""


METRICS = (
    Metric("psnr_db", "PSNR", 2, "dB over all of the film's pixels, R'G'B'; higher is nearer"),
    Metric("ssim", "SSIM", 4, "mean over the frames' R', G', B'; 1 is equal"),
    Metric("lpips", "LPIPS", 4, "version 0.1, AlexNet; 0 is equal"),
    Metric("perceptual", "percept", 4, "distance by --perceptual-backbone; 0 is equal"),
    Metric("chroma_error", "CbCr", 2, "mean absolute error of Cb and Cr, 8-bit codes"),
    Metric("lab_error", "ab", 2, "mean distance in CIE a*, b*"),
    Metric("delta_e2000", "dE00", 2, "mean CIEDE2000 difference"),
    Metric("colourfulness", "CF", 1, "Hasler and Suesstrunk 2003, signed; 0 is grey"),
    Metric("colourfulness_difference", "CF-truth", 1, "to the truth's colourfulness"),
    Metric("cdc", "CDC e3", 2, "R'G'B' histogram change in time, times 1000", 1000),
    Metric("cdc_chroma", "CDC-C e3", 2, "the same of Cb and Cr alone", 1000),
    Metric("warp_error", "warp", 2, "change of chroma along motion, 8-bit codes"),
)
"""Every score, in the order of the table."""

Scores = Mapping[str, float | None]
"""A number for each metric's key."""


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table: what one kind of picture scores on one film."""

    film: str
    kind: Kind
    frame_count: int
    scores: Scores
    in_mean: bool = True
    """False for a film without color of its own: there is nothing to be scored against."""


@dataclass(frozen=True)
class EvaluationReport:
    """All that an evaluation found."""

    model: str
    size_px: int
    """Short side at which the scores were taken."""
    rows: tuple[ScoreRow, ...]
    """One for each film and kind."""
    notes: tuple[str, ...] = ()
    """Why numbers are missing or say little."""
    pictures: Sequence[Sequence[RgbImage]] = ()
    """Grey, result and truth of a few frames of each film."""

    @property
    def mean(self) -> tuple[ScoreRow, ...]:
        """A row a kind: the mean over the films that have a number, each film weighing alike."""
        rows = [row for row in self.rows if row.in_mean]
        return tuple(_mean_row(kind, [row for row in rows if row.kind == kind]) for kind in KINDS)

    def to_json(self) -> str:
        """Return everything as JSON text; a number that is not to be had is null."""
        return json.dumps(
            {
                "model": self.model,
                "size_px": self.size_px,
                "metrics": {metric.key: metric.meaning for metric in METRICS},
                "mean": [_plain(row) for row in self.mean],
                "rows": [_plain(row) for row in self.rows],
                "notes": list(self.notes),
            },
            indent=2,
            allow_nan=False,
        )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the headings and the rows of cells, one a film and kind, the mean last."""
        headings = ["film", "", *(metric.heading for metric in METRICS)]
        return headings, [_cells(row) for row in (*self.rows, *self.mean)]

    def summary(self) -> tuple[list[str], list[list[str]]]:
        """Return the mean alone, a metric a row: narrow enough for any terminal."""
        cells = zip(*(_cells(row)[2:] for row in self.mean), strict=True)
        named = zip(METRICS, cells, strict=True)
        rows = [[metric.heading, *values, metric.meaning] for metric, values in named]
        return ["mean", *KINDS, "meaning"], rows


def _mean_row(kind: Kind, rows: Sequence[ScoreRow]) -> ScoreRow:
    scores = {
        metric.key: _mean_or_none(row.scores[metric.key] for row in rows) for metric in METRICS
    }
    return ScoreRow("mean", kind, sum(row.frame_count for row in rows), scores)


def _mean_or_none(values: Iterable[float | None]) -> float | None:
    """Return the mean of the numbers among the values, None if there is none."""
    numbers = [value for value in values if value is not None]
    return fmean(numbers) if numbers else None


def _plain(row: ScoreRow) -> dict[str, Any]:
    numbers = {metric.key: _json_number(row.scores[metric.key]) for metric in METRICS}
    about = {"film": row.film, "kind": row.kind, "frames": row.frame_count, "in_mean": row.in_mean}
    return {**about, **numbers}


def _json_number(value: float | None) -> float | str | None:
    # JSON knows no infinity, the PSNR of equal pictures.
    return "infinity" if value is not None and math.isinf(value) else value


def _cells(row: ScoreRow) -> list[str]:
    return [row.film, row.kind, *(_shown(metric, row.scores[metric.key]) for metric in METRICS)]


def _shown(metric: Metric, value: float | None) -> str:
    return "n/a" if value is None else f"{value * metric.scale:.{metric.digits}f}"
