"""Extract training frames from a color film: numbered pictures, divided into runs, a manifest.

FFmpeg decodes, rotates and scales the film; here its shots are found and its frames compressed and
written. After a crash the same call resumes.
"""

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import dropwhile
from pathlib import Path
from typing import Any

from vidcolor.dataset.extract_journal import Kept, Staging, open_staging, split_sizes, stretches
from vidcolor.dataset.film_source import (
    lightness_of,
    most_frames,
    refuse_grey,
    source_from,
    span_seconds,
    warn_of_hdr,
)
from vidcolor.dataset.manifest import (
    SPLITS,
    UNFINISHED_NAME,
    DatasetSource,
    Manifest,
    frame_path,
    read_manifest,
    write_manifest,
)
from vidcolor.errors import InputError, OutputError
from vidcolor.images.image_files import encode_picture, rough_luma
from vidcolor.media.decode import read_frames
from vidcolor.media.ffmpeg import RgbFrame, find_ffmpeg, rgb_frames
from vidcolor.media.probe import Film, frame_size, probe
from vidcolor.options.extract import ExtractOptions, split_from_text
from vidcolor.shots.detector import CutDetector

log = logging.getLogger(__name__)

MISSING_SECONDS = 2
"""A film that ends this much before its header says is reported as truncated."""


@dataclass(frozen=True)
class Extracted:
    """What an extraction added to a dataset."""

    folder: Path
    train_frames: int
    test_frames: int
    runs: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.train_frames} training frames and {self.test_frames} "
            f"test frames, in {self.runs} runs"
        )


def extract(
    film: Path, options: ExtractOptions, *, on_progress: Callable[[int], None] | None = None
) -> Extracted:
    """Add a film's frames to a dataset, or resume an interrupted call.

    Args:
        film: a film in color.
        options: name of the dataset, size of the frames, part of the film, split.
        on_progress: called with the number of frames kept so far.

    Raises:
        InputError: the film cannot be read, is black-and-white or is already in the dataset.
        OutputError: the dataset cannot be written, or has frames of another format.
    """
    find_ffmpeg()
    found = probe(film)
    folder = options.data / options.dataset
    source = source_from(found, options)
    manifest = _manifest_to_extend(folder, source, options)
    refuse_grey(found, options)
    settings = {**asdict(source), "split": options.split, "format": options.format}
    finished = {other.fingerprint for other in manifest.sources}
    with open_staging(folder, settings, ending=options.format, finished=finished) as staging:
        if not staging.is_complete:
            _gather(staging, found, options, on_progress or (lambda _: None))
        extracted = _place(staging, folder, manifest, source, options)
        staging.remove()
    return extracted


def _manifest_to_extend(folder: Path, source: DatasetSource, options: ExtractOptions) -> Manifest:
    manifest = read_manifest(folder)
    if manifest is None:
        is_ours = (folder / UNFINISHED_NAME).is_dir()
        if not is_ours and any((folder / split).exists() for split in SPLITS):
            raise OutputError(
                f"dataset {folder}: has frames that vidcolor did not extract; "
                "choose another name with --dataset"
            )
        return Manifest(name=options.dataset, format=options.format, size=options.size)
    if any(other.fingerprint == source.fingerprint for other in manifest.sources):
        raise InputError(
            f"{source.film}: is already in the dataset {folder}; give another film, or delete "
            "that folder to start over"
        )
    if (manifest.format, manifest.size) != (options.format, options.size):
        raise OutputError(
            f"dataset {folder}: its frames are {manifest.format} of size {manifest.size}; "
            f"use --format {manifest.format} --size {manifest.size}, or another --dataset"
        )
    return manifest


def _gather(
    staging: Staging, film: Film, options: ExtractOptions, on_progress: Callable[[int], None]
) -> None:
    """Keep the film's frames except black ones, after those that an interrupted run kept."""
    warn_of_hdr(film)
    limit, end = most_frames(options), span_seconds(options)[1]
    detector, after_black = CutDetector(), False
    last_pts = staging.kept[-1].pts if staging.kept else None
    with closing(_frames(staging, film, options)) as frames:
        if staging.kept:
            detector.is_cut(rough_luma(next(frames).rgb))
        while limit is None or len(staging.kept) < limit:
            frame = next(frames, None)
            if frame is None:
                _warn_if_cut_off(last_pts, film)
                break
            last_pts = frame.pts
            if end is not None and frame.pts * film.time_base >= film.start_seconds + end:
                break
            luma = rough_luma(frame.rgb)
            if lightness_of(float(luma.max())) < options.drop_black:
                after_black = True
                continue
            starts_shot = detector.is_cut(luma) or after_black or not staging.kept
            after_black = False
            content = encode_picture(frame.rgb, options.format)
            staging.add(content, Kept(frame.pts, starts_shot))
            on_progress(len(staging.kept))
    if not staging.kept:
        raise InputError(
            f"{film.path}: has no frame between --start and --end, or only black ones; "
            "use a longer span, or --drop-black 0"
        )
    staging.complete()


def _frames(
    staging: Staging, film: Film, options: ExtractOptions
) -> Generator[RgbFrame, None, None]:
    """Yield the frames to keep, starting with the last one kept so far if there is one."""
    width, height = frame_size(film, options.size)
    wanted: dict[str, Any] = {"width": width, "height": height, "every": options.every}
    start_pts = _first_pts(film, options)
    last_pts = staging.kept[-1].pts if staging.kept else start_pts
    with rgb_frames(film, first_pts=last_pts, **wanted) as frames:
        first = next(frames, None)
        if first is not None and last_pts in (None, first.pts) and _is_last_kept(first, staging):
            yield first
            yield from frames
            return
    log.info("%s: its index is wrong; decoding from the start", film.path)
    with rgb_frames(film, first_pts=start_pts, seek=False, **wanted) as frames:
        rest = dropwhile(lambda frame: last_pts is not None and frame.pts < last_pts, frames)
        first = next(rest, None)
        if first is None or not _is_last_kept(first, staging):
            raise OutputError(
                f"{staging.folder}: has frames that differ from the film's; "
                "delete this folder and extract again"
            )
        yield first
        yield from rest


def _is_last_kept(frame: RgbFrame, staging: Staging) -> bool:
    """Tell whether the frame is the last one kept, byte for byte; true if none was."""
    if not staging.kept:
        return True
    path = staging.path(len(staging.kept))
    return path.exists() and path.read_bytes() == encode_picture(frame.rgb, path.suffix[1:])


def _first_pts(film: Film, options: ExtractOptions) -> int | None:
    if options.start is None:
        return None
    return next(read_frames(film, start=span_seconds(options)[0])).pts


def _warn_if_cut_off(last_pts: int | None, film: Film) -> None:
    if film.duration_seconds is None or last_pts is None:
        return
    shown = last_pts * film.time_base - film.start_seconds
    if film.duration_seconds - shown > MISSING_SECONDS:
        log.warning(
            "%s: ends at %.1f s, though its header says %.1f s; the file is probably truncated",
            film.path,
            float(shown),
            float(film.duration_seconds),
        )


def _place(
    staging: Staging,
    folder: Path,
    manifest: Manifest,
    source: DatasetSource,
    options: ExtractOptions,
) -> Extracted:
    """Move the kept frames to their splits and write the manifest; safe to repeat."""
    kept, border = staging.kept, split_sizes(staging.kept, split_from_text(options.split))
    if len(kept) < (most_frames(options) or 0):
        log.warning("%s: has only %d frames; split %d/%d", source.film, len(kept), *border)
    parts = {"train": kept[: border[0]], "test": kept[border[0] : sum(border)]}
    grown, number = {}, 0
    for split in SPLITS:
        offset = manifest.frame_count(split)
        (folder / split).mkdir(exist_ok=True)
        for index in range(len(parts[split])):
            number += 1
            staging.move(number, frame_path(folder, split, offset + index + 1, options.format))
        new = stretches(parts[split], source=len(manifest.sources), offset=offset)
        grown[split] = new
    write_manifest(
        folder,
        replace(
            manifest,
            sources=(*manifest.sources, source),
            train=(*manifest.train, *grown["train"]),
            test=(*manifest.test, *grown["test"]),
        ),
    )
    runs = len(grown["train"]) + len(grown["test"])
    return Extracted(folder, len(parts["train"]), len(parts["test"]), runs)
