"""The verb `evaluate`: color films are colored from their luma and compared with the truth.

Decode, give the network the luma alone, compare its color with the truth, score.
Films are streamed: scores keep sums, one neighbour and a few histograms.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidcolor.errors import OutputError
from vidcolor.evaluation.ground_truth import Reference, Truth, open_references
from vidcolor.evaluation.report import EvaluationReport, Kind, ScoreRow
from vidcolor.evaluation.scores import (
    ComparedFrame,
    Distances,
    FilmScores,
    ScoredImage,
    scored_images,
)
from vidcolor.files import atomic_write
from vidcolor.images.contact_sheet import contact_sheet, fit_cell
from vidcolor.images.guided_upsampling import enlarge_chroma
from vidcolor.inference.colorizer import ColoredFrame, Colorizer
from vidcolor.network.device import half_the_cores
from vidcolor.network.lpips import NotAvailable, load_lpips, load_perceptual_loss
from vidcolor.options.evaluate import EvaluateOptions
from vidcolor.pipeline.stabilizer import reach, stabilize_chroma
from vidcolor.shots.segments import PlacedFrame, divide, with_context

log = logging.getLogger(__name__)

OnProgress = Callable[[int, int | None], None]
"""Called after each frame with how many are scored and how many there are, if that is known."""

SHEET_KINDS: tuple[Kind, ...] = ("grey", "result", "truth")
SHEET_ROWS = 2
"""Frames of a film on the contact sheet, where none are chosen."""
SHEET_FILMS = 24
"""Films on the contact sheet: nobody reads a longer one."""

SheetRow = list[NDArray[np.uint8]]


def evaluate(
    options: EvaluateOptions, *, on_progress: OnProgress | None = None
) -> EvaluationReport:
    """Score a model on color films, or on the test frames of a dataset.

    Args:
        options: which model, which films or photos, where the JSON file and the pictures go.
        on_progress: see OnProgress.

    Raises:
        InputError: the film or dataset does not exist, or it cannot be scored.
        ModelError: the model does not exist.
        OutputError: the JSON file, the sheet or a picture cannot be written.
    """
    for path in (options.json, options.sheet):
        _check_writable(path)
    if options.pictures is not None:
        _check_writable(options.pictures / "any.png")
    distances, notes = _distances(options)
    references = open_references(options)
    colorizer = Colorizer.load(
        options.model, options.device, seed=options.seed, temperature=options.decode_temperature
    )
    with half_the_cores():
        rows, pictures, more = _score_all(options, references, colorizer, distances, on_progress)
    report = EvaluationReport(options.model, options.size, tuple(rows), (*notes, *more), pictures)
    if options.json is not None:
        _write_text(report.to_json() + "\n", options.json)
    if options.sheet is not None:
        contact_sheet(pictures, SHEET_KINDS, options.sheet)
    return report


def _distances(options: EvaluateOptions) -> tuple[Distances, list[str]]:
    """Return the perceptual distances, and notes on why one is missing."""
    distances: dict[str, Callable[[Tensor, Tensor], float]] = {}
    notes = []
    lpips = load_lpips(options.lpips_backbone)
    if isinstance(lpips, NotAvailable):
        notes.append(f"LPIPS: n/a: {lpips.reason}")
    else:
        distances["lpips"] = lpips.distance
    if options.perceptual_backbone is not None:
        distances["perceptual"] = load_perceptual_loss(options.perceptual_backbone).distance
    return distances, notes


def _score_all(
    options: EvaluateOptions,
    references: list[Reference],
    colorizer: Colorizer,
    distances: Distances,
    on_progress: OnProgress | None,
) -> tuple[list[ScoreRow], list[SheetRow], list[str]]:
    counts = [reference.frame_count for reference in references]
    total = None if None in counts else sum(count or 0 for count in counts)
    rows: list[ScoreRow] = []
    pictures: list[SheetRow] = []
    notes: list[str] = []
    done = 0
    for reference in references:
        scores = FilmScores(distances)
        samples = SampleKeeper(len(set(options.frames)) or SHEET_ROWS)
        for frame in compare_with_truth(
            reference, colorizer, options.frames, stabilize=options.stabilize
        ):
            seen = scored_images(frame, reference.matrix)
            scores.add(frame, seen)
            samples.offer(frame.number, seen)
            done += 1
            if on_progress is not None:
                on_progress(done, total)
        rows += scores.rows(reference.name)
        if not scores.has_color:
            notes.append(f"{reference.name}: has no color; left out of the mean")
        kept = samples.rows(SHEET_KINDS if scores.has_color else SHEET_KINDS[:2])
        if options.pictures is not None:
            for number, row in kept:
                path = options.pictures / f"{reference.name}-{number:05d}.png"
                contact_sheet([row], SHEET_KINDS[: len(row)], path, cell_px=None)
        if len(pictures) < SHEET_FILMS * SHEET_ROWS:
            pictures += [[fit_cell(picture) for picture in row] for _, row in kept]
    return rows, pictures, notes


def compare_with_truth(
    reference: Reference,
    colorizer: Colorizer,
    chosen: Collection[int] = (),
    *,
    stabilize: float = 0,
) -> Iterator[ComparedFrame]:
    """Yield each frame of a film, or each chosen one, with its true and its predicted color.

    A chosen frame has the color that it has in the whole film, stabilised as in `render`.
    """
    last = -1
    for take in reference.takes():
        places = divide(take, luma=lambda truth: truth.film_luma)
        if chosen:
            places = with_context(places, lambda p: p.frame.number in chosen, reach(stabilize))
        colored = colorizer.colorize(
            places,
            luma=lambda truth: truth.film_luma,
            matrix=reference.matrix,
        )
        for frame in stabilize_chroma(colored, stabilize):
            truth = frame.place.frame
            if chosen and truth.number not in chosen:
                continue
            starts_shot = frame.place.starts_shot or truth.number != last + 1
            last = truth.number
            yield ComparedFrame(
                truth.luma_hw, truth.chroma_2hw, _at_scoring_size(frame), starts_shot, truth.number
            )


def _at_scoring_size(frame: ColoredFrame[PlacedFrame[Truth]]) -> NDArray[np.float32]:
    luma_hw = frame.place.frame.luma_hw
    if frame.luma_hw.shape == luma_hw.shape:
        return frame.chroma_2hw
    return enlarge_chroma(frame.chroma_2hw, frame.luma_hw, luma_hw)


class SampleKeeper:
    """Keeps a few frames of a film of unknown length, evenly spread."""

    def __init__(self, rows: int) -> None:
        """Keep `rows` frames in the end."""
        self.row_count = rows
        self._kept: list[tuple[int, dict[Kind, NDArray[np.uint8]]]] = []
        self._step = 1
        self._count = 0

    def offer(self, number: int, pictures: dict[Kind, ScoredImage]) -> None:
        """Keep or skip the next frame."""
        if len(self._kept) == 4 * self.row_count:
            self._kept, self._step = self._kept[::2], self._step * 2
        if self._count % self._step == 0:
            self._kept.append((number, {k: _as_bytes(pictures[k]) for k in SHEET_KINDS}))
        self._count += 1

    def rows(self, columns: Sequence[Kind]) -> list[tuple[int, SheetRow]]:
        """Return the frames in the middle of equal stretches: each one's number and pictures."""
        count, rows = len(self._kept), self.row_count
        middles = {(2 * row + 1) * count // (2 * rows) for row in range(rows)}
        chosen = [self._kept[index] for index in sorted(middles) if index < count]
        return [(number, [pictures[kind] for kind in columns]) for number, pictures in chosen]


def _as_bytes(picture: ScoredImage) -> NDArray[np.uint8]:
    rgb_hw3 = (picture.rgb_3hw * 255).round().byte().permute(1, 2, 0).contiguous()
    return np.asarray(rgb_hw3.numpy(), dtype=np.uint8)


def _check_writable(path: Path | None) -> None:
    """Check before hours of scoring."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; choose another path") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: is a folder or is in a read-only folder; choose another path")


def _write_text(text: str, path: Path) -> None:
    try:
        with atomic_write(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; choose another path") from error
