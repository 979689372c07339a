"""A film as a source of training frames: the part of it, the frame size, and a color check."""

import hashlib
import logging
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidcolor.dataset.manifest import DatasetSource
from vidcolor.errors import InputError
from vidcolor.media.decode import read_frames, unit_chroma
from vidcolor.media.probe import Film, frame_size, probe
from vidcolor.options.extract import ExtractOptions, split_from_text
from vidcolor.options.values import span_from_text

log = logging.getLogger(__name__)

FINGERPRINT_BYTES = 1_000_000
"""The hash of a film's start, with its length, identifies it."""
COLOR_SAMPLES = 12
"""Frames, spread over a film, that are checked for color."""
GREY_CHROMA_SPREAD = 1.5 / 255
"""Mean distance of a frame's chroma from its mean, of 1, below which there is no color in it.

A tint moves the mean alone. In black-and-white films of the wild no frame had more than 1.1 codes
of 255; of fifty color films each had a frame with 1.8 or more.
"""
HDR_TRANSFERS = (16, 18)
"""ITU-T H.273, table 3: PQ and HLG."""


def span_seconds(options: ExtractOptions) -> tuple[Fraction, Fraction | None]:
    """Return the first moment wanted and the end, None for the film's own."""
    start, end = span_from_text(options.start, options.end)
    return start or Fraction(0), end


def most_frames(options: ExtractOptions) -> int | None:
    """Return how many frames are wanted at most; None if the split is given as shares."""
    train, test = split_from_text(options.split)
    return train + int(test) if isinstance(train, int) else None


def expected_frames(film: Path, options: ExtractOptions) -> int | None:
    """Return about how many frames an extraction will keep; None if unknown.

    Raises:
        InputError: the film cannot be read.
    """
    found = probe(film)
    if found.duration_seconds is None or found.rate is None:
        return None
    start, end = span_seconds(options)
    seconds = min(end or found.duration_seconds, found.duration_seconds) - start
    frames = max(0, round(seconds * found.rate / options.every))
    limit = most_frames(options)
    return min(frames, limit) if limit else frames


def source_from(film: Film, options: ExtractOptions) -> DatasetSource:
    """Return a film's entry in the manifest."""
    files = film.source.files
    with files[0].open("rb") as file:
        start = hashlib.sha256(file.read(FINGERPRINT_BYTES)).hexdigest()
    width, height = frame_size(film, options.size)
    return DatasetSource(
        film=film.path.name,
        fingerprint=f"{start}-{sum(file.stat().st_size for file in files)}",
        width=width,
        height=height,
        time_base=str(film.time_base),
        every=options.every,
        start=options.start,
        end=options.end,
        drop_black=options.drop_black,
    )


def lightness_of(luma: float) -> float:
    """Return the CIE lightness, 0 to 100, of an sRGB grey in [0, 1] (ISO/CIE 11664-4)."""
    linear = luma / 12.92 if luma <= 0.04045 else ((luma + 0.055) / 1.055) ** 2.4
    return 116 * linear ** (1 / 3) - 16 if linear > (6 / 29) ** 3 else linear * (29 / 3) ** 3


def refuse_grey(film: Film, options: ExtractOptions) -> None:
    """Refuse a film without color, by frames spread over the wanted part.

    Raises:
        InputError: none of them has any color.
    """
    start, end = span_seconds(options)
    end = end or film.duration_seconds or start + COLOR_SAMPLES
    # In steps of 5 of 12: the middle comes early, for titles are often without color.
    shares = [Fraction(5 * n % COLOR_SAMPLES, COLOR_SAMPLES) for n in range(1, COLOR_SAMPLES + 1)]
    found = 0
    for share in shares:
        spread = _chroma_spread(film, start + (end - start) * share)
        found += spread is not None
        if spread is not None and spread >= GREY_CHROMA_SPREAD:
            return
    if not found:
        raise InputError(
            f"{film.path}: has no frame after --start {options.start or 0}; use an earlier one"
        )
    raise InputError(
        f"{film.path}: is black-and-white ({found} frames checked, none has color); "
        "give a color film"
    )


def _chroma_spread(film: Film, moment: Fraction) -> float | None:
    """Return the mean distance of a frame's chroma from its mean, of 1; None after the end."""
    frame = next(read_frames(film, start=moment), None)
    if frame is None:
        return None
    blue, red = unit_chroma(frame)
    return float(np.hypot(blue - blue.mean(), red - red.mean()).mean())


def warn_of_hdr(film: Film) -> None:
    """Log that an HDR film gives pale frames."""
    if film.color.transfer in HDR_TRANSFERS:
        log.warning("%s: is HDR; its frames will look pale without tone mapping", film.path)
