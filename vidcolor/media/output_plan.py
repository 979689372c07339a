"""How the result is written: decided and checked before any work is done."""

import logging
import math
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from vidcolor.errors import OutputError
from vidcolor.media.codecs import (
    check_encoder,
    check_settings,
    choose_depth,
    choose_subsampling,
    codec_settings,
    warn_if_interlacing_is_lost,
)
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.metadata import can_note_timecode, has_timecode, say_what_is_not_noted
from vidcolor.media.probe import Film, Subsampling, open_film
from vidcolor.media.stream_plan import Carried, plan_tracks
from vidcolor.options.render import RenderOptions
from vidcolor.options.values import Codec, Verification, span_from_text

log = logging.getLogger(__name__)

FORMAT_OF_SUFFIX = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Supported containers, by FFmpeg's name."""
SEGMENT_SUFFIX: dict[Codec, str] = {
    "libx264": ".mov",
    "libx265": ".mov",
    "libsvtav1": ".mp4",
    "ffv1": ".nut",
    "prores_ks": ".mov",
}
"""Containers that store each codec's packets with exact timestamps."""
FAR_SECONDS = 60
"""Timestamps that start later than this (a broadcast's start anywhere in 26 hours) are reset."""


@dataclass(frozen=True, kw_only=True)
class OutputPlan:
    """Everything that is decided about the result before the first frame is decoded."""

    out: Path
    format: str
    """FFmpeg's name of the container."""
    codec: Codec
    codec_options: dict[str, str] = field(repr=False)
    pix_fmt: str
    depth: int
    """Bits of a sample of the result."""
    full_range: bool
    width: int
    height: int
    chroma_shape: tuple[int, int, int]
    """(2, h, w) of the chroma planes."""
    offset: Fraction
    """Seconds that are taken off every time; a whole number of the film's ticks."""
    start: Fraction | None
    """First moment that is rendered, seconds from the film's start."""
    end: Fraction | None
    """Last moment, not included, on the same scale."""
    tracks: tuple[Carried, ...]
    """What is done with each stream other than the picture, in the film's order."""
    has_timecode: bool
    """The result starts at the film's timecode, if the film has one."""
    verify: Verification
    """How thoroughly the result is read back."""

    def segment_name(self, number: int) -> str:
        """Return the file name of a segment, in a container that keeps its times exact."""
        return f"{number:05d}{SEGMENT_SUFFIX[self.codec]}"


def check_output(
    film: Film, out: Path | str, options: RenderOptions, changes: Changes
) -> OutputPlan:
    """Decide how `film` is written to `out`, and refuse what is impossible before any work.

    Args:
        film: what `probe` found.
        out: where the result goes; its ending names the container.
        options: how it is written.
        changes: gets what the result leaves out or converts.

    Raises:
        OptionsError: codec, preset or crf do not fit together.
        OutputError: `out` cannot be written, or cannot hold the codec, the size or a track.
    """
    out = Path(out)
    output_format = _check_place(film, out, overwrite=options.overwrite)
    check_settings(out, output_format, options)
    _check_shape(film, out, output_format, options.codec)
    subsampling = choose_subsampling(film, options.codec, changes)
    depth = choose_depth(film, options.codec, changes)
    pix_fmt = f"yuv{subsampling}p" + (f"{depth}le" if depth > 8 else "")
    codec_options = codec_settings(film, options, subsampling)
    check_encoder(film, options.codec, pix_fmt, codec_options)
    warn_if_interlacing_is_lost(film, options, changes)
    if film.has_captions:
        changes.add(
            f"{film.path}: the closed captions inside its pictures are lost by encoding; "
            "extract them to a separate file first"
        )
    start, end = span_from_text(options.start, options.end)
    with open_film(film) as container:
        tracks = plan_tracks(container, film, out, output_format, changes)
        say_what_is_not_noted(container, film, tracks, out, output_format, changes)
        with_timecode = _keeps_timecode(container, film, out, output_format, start, changes)
    return OutputPlan(
        out=out,
        format=output_format,
        codec=options.codec,
        codec_options=codec_options,
        pix_fmt=pix_fmt,
        depth=depth,
        full_range=film.full_range,
        width=film.width,
        height=film.height,
        chroma_shape=chroma_shape(film, subsampling),
        offset=_offset(film, start),
        start=start,
        end=end,
        tracks=tracks,
        has_timecode=with_timecode,
        verify=options.verify,
    )


def frames_ahead(film: Film, options: RenderOptions) -> int | None:
    """Return the approximate number of frames in the span, or None if it is unknown."""
    start, end = span_from_text(options.start, options.end)
    if start is None and end is None and film.frame_count_from_header:
        return film.frame_count_from_header
    duration = film.duration_seconds
    if duration is None or film.rate is None:
        return None
    ends = duration if end is None else min(duration, end)
    return max(0, round((ends - (start or 0)) * film.rate))


def _check_place(film: Film, out: Path, *, overwrite: bool) -> str:
    """Return the container's format if `out` can be written."""
    output_format = FORMAT_OF_SUFFIX.get(out.suffix.lower())
    if output_format is None:
        raise OutputError(f"{out}: unknown file type; use .mp4, .mkv or .mov")
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; give a file name")
    if not out.parent.is_dir():
        raise OutputError(f"{out}: its folder is missing; create it with: mkdir -p {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise OutputError(f"{out}: its folder is not writable; choose another")
    if out.exists() and out.samefile(film.path):
        raise OutputError(f"{out}: is the film itself; choose another name for the result")
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: already exists; choose another name or add --overwrite")
    return output_format


def _check_shape(film: Film, out: Path, output_format: str, codec: Codec) -> None:
    # PyAV cannot set the container's aspect ratio; H.264 and HEVC have their own.
    is_kept = output_format != "matroska" or codec in ("libx264", "libx265")
    if film.sample_aspect_ratio != 1 and not is_kept:
        raise OutputError(
            f"{out}: cannot store the pixel aspect ratio ({film.sample_aspect_ratio}) with "
            f"{codec}; use libx264 (--crf 0 is lossless), or .mp4 or .mov with a codec it supports"
        )


def chroma_shape(film: Film, subsampling: Subsampling) -> tuple[int, int, int]:
    """Return the shape (2, h, w) of the chroma planes for a film's luma."""
    height = math.ceil(film.height / 2) if subsampling == "420" else film.height
    width = film.width if subsampling == "444" else math.ceil(film.width / 2)
    return 2, height, width


def _keeps_timecode(
    container: InputContainer,
    film: Film,
    out: Path,
    output_format: str,
    start: Fraction | None,
    changes: Changes,
) -> bool:
    if not has_timecode(container):
        return False
    if start is not None:
        changes.add(
            f"{out}: has no timecode, because the film's timecode is that of its first frame; "
            "leave out --start to keep it"
        )
        return False
    can_note = can_note_timecode(container, film, output_format)
    if not can_note:
        changes.add(f"{out}: cannot store the film's timecode, so it is left out; .mkv keeps it")
    return can_note


def _offset(film: Film, start: Fraction | None) -> Fraction:
    """Return what is taken off all times, so that the result starts near zero and not before.

    MP4 hides frames before zero; a part of a film starts at zero; broadcasts start at any hour.
    """
    base = film.time_base
    if start is not None:
        return -(-(film.start_seconds + start) // base) * base
    if film.first_pts < 0:
        return film.first_pts * base
    if film.start_seconds > FAR_SECONDS:
        log.info("%s: starts at %.1f s, the result starts at 0", film.path, film.start_seconds)
        return film.start_seconds // base * base
    return Fraction(0)
