"""Color films, photos and test frames as ground truth, at the scoring size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.color import chroma_from_rgb, luma_from_rgb
from vidcolor.dataset.dataset import FolderFrames, FrameTable, Run, open_frames
from vidcolor.errors import InputError
from vidcolor.images.image_files import picture_paths
from vidcolor.images.resize import resize, working_size
from vidcolor.media.decode import read_frames, unit_chroma, unit_luma
from vidcolor.media.probe import Film, probe
from vidcolor.options.evaluate import EvaluateOptions
from vidcolor.options.values import Matrix
from vidcolor.pipeline.stabilizer import reach

FILM_ENDINGS = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv")
)
"""File endings of films."""

SMALLEST_PX = 16
"""Smallest short side for SSIM and optical flow."""

PICTURE_MATRIX: Matrix = "bt601"
"""In which a dataset's pictures are split into luma and chroma: JPEG's (ITU-T T.871, 7)."""


@dataclass(frozen=True)
class Truth:
    """A frame of a color film."""

    film_luma: NDArray[np.float32]
    """Y' (H, W) in [0, 1] at the film's size: the network's input, as in `render`."""
    luma_hw: NDArray[np.float32]
    """Y' (h, w) at the scoring size."""
    chroma_2hw: NDArray[np.float32]
    """The film's own Cb, Cr (2, h, w) in [-0.5, 0.5] at the scoring size."""
    number: int
    """Which frame of its film, or of the dataset's split, from 0."""


@dataclass(frozen=True)
class Reference:
    """A color film, or what a dataset holds of one."""

    name: str
    matrix: Matrix
    frame_count: int | None
    """Frames that are scored; None if unknown."""
    takes: Callable[[], Iterator[Iterator[Truth]]]
    """Opens the frames: a film is one take, a dataset has one for each of its runs."""


def open_references(options: EvaluateOptions) -> list[Reference]:
    """Return the ground truth that the options name, each opened only when needed.

    Raises:
        InputError: a film, folder or dataset does not exist, or cannot be scored.
    """
    if options.clips is None:
        table = open_frames(str(options.dataset), "test", options.data)
        if not len(table):
            raise InputError(
                f"dataset {options.dataset}: has no test frames; extract it with --split 0.88/0.12"
            )
        return _from_table(table, options)
    films = _film_paths(options.clips)
    if films:
        return [_from_film(path, options) for path in films]
    return _from_table(_photos(options.clips), options)


def _film_paths(clips: Path) -> list[Path]:
    if not clips.is_dir():
        return [clips]
    return sorted(path for path in clips.iterdir() if path.suffix.lower() in FILM_ENDINGS)


def _photos(folder: Path) -> FrameTable:
    """Return a folder's pictures, each a source of its own, so that a grey one counts alone."""
    paths = picture_paths(folder)
    if not paths:
        raise InputError(f"{folder}: has no films or photos; give a folder that has some")
    runs = [Run(number, 1, number) for number in range(len(paths))]
    return FolderFrames(paths, runs, [path.name for path in paths])


def _from_film(path: Path, options: EvaluateOptions) -> Reference:
    film = probe(path)
    if film.is_grey:
        raise InputError(f"{path}: has no color to compare with; leave it out")
    size = _scoring_size(path.name, film.height, film.width, options.size)
    count = film.frame_count_from_header or None
    limit = options.max_frames or None
    if options.frames:
        # The last one's neighbours too.
        count, limit = len(set(options.frames)), max(options.frames) + 1 + reach(options.stabilize)
    elif count is not None and limit is not None:
        count = min(count, limit)
    return Reference(
        path.name,
        film.matrix,
        count,
        lambda: iter([_truths_of_film(film, size, limit, options.frames)]),
    )


def _truths_of_film(
    film: Film, size: tuple[int, int], limit: int | None, chosen: Sequence[int]
) -> Iterator[Truth]:
    number = -1
    for number, frame in enumerate(islice(read_frames(film), limit)):
        yield _truth(unit_luma(frame), unit_chroma(frame), size, number)
    _check_chosen(chosen, number + 1, film.path.name)


def _check_chosen(chosen: Sequence[int], count: int, name: str) -> None:
    if max(chosen, default=0) >= count > 0:
        raise InputError(
            f"--frames {max(chosen)}: {name} has {count} frames, from 0; give lower numbers"
        )


def _truth(
    film_luma: NDArray[np.float32],
    film_chroma: NDArray[np.float32],
    size: tuple[int, int],
    number: int,
) -> Truth:
    resized = [resize(plane, *size) for plane in (film_luma, *film_chroma)]
    return Truth(film_luma, resized[0], np.stack(resized[1:]), number)


def _from_table(table: FrameTable, options: EvaluateOptions) -> list[Reference]:
    _check_chosen(options.frames, len(table), str(options.dataset or options.clips))
    runs = [run for run in table.runs if not options.frames or _chosen_of(run, options)]
    return [_from_source(table, runs, n, options) for n in sorted({run.source for run in runs})]


def _chosen_of(run: Run, options: EvaluateOptions) -> set[int]:
    return set(options.frames) & set(range(run.first, run.first + run.count))


def _from_source(
    table: FrameTable, runs: Sequence[Run], source: int, options: EvaluateOptions
) -> Reference:
    name = Path(table.source_names[source]).name
    runs = _shortened([run for run in runs if run.source == source], options.max_frames)

    def takes() -> Iterator[Iterator[Truth]]:
        for run in runs:
            yield _truths_of_run(table, run, name, options.size)

    count = sum(len(_chosen_of(run, options)) if options.frames else run.count for run in runs)
    return Reference(name, PICTURE_MATRIX, count, takes)


def _shortened(runs: Sequence[Run], limit: int) -> list[Run]:
    """Return the first runs, the last of them cut, with `limit` frames together; 0: all."""
    kept, left = [], limit or sum(run.count for run in runs)
    for run in runs:
        if left > 0:
            kept.append(Run(run.first, min(run.count, left), run.source))
            left -= run.count
    return kept


def _truths_of_run(table: FrameTable, run: Run, name: str, size: int) -> Iterator[Truth]:
    for index in range(run.first, run.first + run.count):
        rgb_hw3 = torch.from_numpy(table.read(index))
        rgb_3hw = rgb_hw3.permute(2, 0, 1).contiguous().float() / 255
        luma_hw = luma_from_rgb(rgb_3hw, PICTURE_MATRIX)[0].numpy()
        chroma_2hw = chroma_from_rgb(rgb_3hw, PICTURE_MATRIX).numpy()
        height, width = luma_hw.shape
        yield _truth(luma_hw, chroma_2hw, _scoring_size(name, height, width, size), index)


def _scoring_size(name: str, height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return (h, w) with the short side, or the picture's own where that is smaller."""
    if min(height, width) < SMALLEST_PX:
        raise InputError(
            f"{name}: {width}x{height} is too small to score; give pictures of at least "
            f"{SMALLEST_PX} pixels"
        )
    return working_size(height, width, min(short_side, height, width))
