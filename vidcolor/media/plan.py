"""How the result is written: decided, checked and said before any work is done."""

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from vidcolor.errors import OptionsError, OutputError
from vidcolor.media.carry import Carried, plan_tracks
from vidcolor.media.film import Film, Subsampling, open_film
from vidcolor.media.hdr import hdr_params
from vidcolor.options import Codec, RenderOptions, seconds_from_text

log = logging.getLogger(__name__)

FORMAT_OF_SUFFIX = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Containers that are written, by FFmpeg's name."""
CODECS_OF_FORMAT: dict[str, tuple[Codec, ...]] = {
    "mp4": ("libx264", "libx265", "libsvtav1"),
    "mov": ("libx264", "libx265", "prores_ks"),
    "matroska": ("libx264", "libx265", "libsvtav1", "ffv1", "prores_ks"),
}
DEPTHS: dict[Codec, tuple[int, ...]] = {
    "libx264": (8, 10),
    "libx265": (8, 10, 12),
    "libsvtav1": (8, 10),
    "ffv1": (8, 9, 10, 12, 14, 16),
    "prores_ks": (10,),
}
"""Bits of a sample that the encoders take."""
SEGMENT_SUFFIX: dict[Codec, str] = {
    "libx264": ".mov",
    "libx265": ".mov",
    "libsvtav1": ".mp4",
    "ffv1": ".nut",
    "prores_ks": ".mov",
}
"""Containers that hold each codec's packets with exact times."""
CRF_RANGE: dict[Codec, tuple[int, int]] = {
    "libx264": (0, 51),
    "libx265": (0, 51),
    "libsvtav1": (1, 63),
}
DEFAULT_CRF: dict[Codec, int] = {"libx264": 18, "libx265": 20, "libsvtav1": 25}
"""Finer than the encoders' own: the grain of a film is most of what it shows."""
X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
PRESETS: dict[Codec, Sequence[str]] = {
    "libx264": X26X_PRESETS,
    "libx265": X26X_PRESETS,
    "libsvtav1": [str(number) for number in range(14)],
}
FAR_SECONDS = 60
"""A clock that starts later than this (broadcasts start anywhere in 26 hours) is set back."""


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
    """The streams that go over beside the picture."""

    def segment_name(self, number: int) -> str:
        """Return the file name of a segment, in a container that keeps its times exact."""
        return f"{number:05d}{SEGMENT_SUFFIX[self.codec]}"


def check_output(film: Film, out: Path | str, options: RenderOptions) -> OutputPlan:
    """Decide how `film` is written to `out`, and refuse what cannot be before work is done.

    What the result leaves out or changes is logged as warnings.

    Raises:
        OptionsError: codec, preset or crf do not go together.
        OutputError: `out` cannot be written, or cannot hold the codec, the size or a track.
    """
    out = Path(out)
    output_format = _check_place(film, out, overwrite=options.overwrite)
    _check_settings(out, output_format, options)
    _check_shape(film, out, output_format, options.codec)
    subsampling = _subsampling(film, options.codec)
    depth = _depth(film, options.codec)
    pix_fmt = f"yuv{subsampling}p" + (f"{depth}le" if depth > 8 else "")
    codec_options = _codec_options(film, options, subsampling)
    _check_encoder(film, options.codec, pix_fmt, codec_options)
    _say_if_interlacing_is_lost(film, options)
    with open_film(film.path) as container:
        tracks = plan_tracks(container, film, out, output_format)
    start = seconds_from_text(options.start, option="--start") if options.start else None
    end = seconds_from_text(options.end, option="--end") if options.end else None
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
        chroma_shape=_chroma_shape(film, subsampling),
        offset=_offset(film, start),
        start=start,
        end=end,
        tracks=tracks,
    )


def _check_place(film: Film, out: Path, *, overwrite: bool) -> str:
    """Return the container's format if a file may be put at `out`."""
    output_format = FORMAT_OF_SUFFIX.get(out.suffix.lower())
    if output_format is None:
        raise OutputError(f"{out}: unknown kind of file; end its name in .mp4, .mkv or .mov")
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; give a file name")
    if not out.parent.is_dir():
        raise OutputError(f"{out}: its folder does not exist; make it with: mkdir -p {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise OutputError(f"{out}: its folder may not be written to; choose another")
    if out.exists() and out.samefile(film.path):
        raise OutputError(f"{out}: is the film itself; give the result another name")
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; choose another name or add --overwrite")
    return output_format


def _check_settings(out: Path, output_format: str, options: RenderOptions) -> None:
    codec = options.codec
    if codec not in CODECS_OF_FORMAT[output_format]:
        raise OptionsError(
            f"--codec {codec}: {out.suffix} files do not hold it; end the name in .mkv or take "
            f"one of: {', '.join(CODECS_OF_FORMAT[output_format])}"
        )
    if options.crf is not None and codec not in CRF_RANGE:
        raise OptionsError(f"--crf {options.crf}: {codec} has no such setting; leave it out")
    if options.crf is not None and not (CRF_RANGE[codec][0] <= options.crf <= CRF_RANGE[codec][1]):
        low, high = CRF_RANGE[codec]
        raise OptionsError(f"--crf {options.crf}: of {codec}, must be between {low} and {high}")
    if options.preset is not None and options.preset not in PRESETS.get(codec, ()):
        known = ", ".join(PRESETS.get(codec, ())) or "none: leave it out"
        raise OptionsError(f"--preset {options.preset}: {codec} has no such; there are: {known}")


def _check_shape(film: Film, out: Path, output_format: str, codec: Codec) -> None:
    # PyAV cannot set the container's aspect ratio; H.264 and HEVC have their own.
    is_kept = output_format != "matroska" or codec in ("libx264", "libx265")
    if film.sample_aspect_ratio != 1 and not is_kept:
        raise OutputError(
            f"{out}: cannot note the pixels' shape ({film.sample_aspect_ratio}) with {codec}; "
            "take libx264 (--crf 0 is lossless), or an .mp4 or .mov name with a codec it holds"
        )


def _subsampling(film: Film, codec: Codec) -> Subsampling:
    """Return the chroma layout that the codec can write, nearest to the film's."""
    own = film.subsampling
    if codec == "libsvtav1" and own != "420":
        log.warning("%s: libsvtav1 writes 4:2:0 chroma only; the film has %s", film.path, own)
        return "420"
    if codec == "prores_ks":
        return "444" if own == "444" else "422"
    is_odd = film.width % 2 or (film.height % 2 and own == "420")
    if codec in ("libx264", "libx265") and own != "444" and is_odd:
        log.warning(
            "%s: %dx%d is odd, so %s gets 4:4:4 chroma, which fewer players show",
            film.path,
            film.width,
            film.height,
            codec,
        )
        return "444"
    return own


def _depth(film: Film, codec: Codec) -> int:
    if codec == "prores_ks" and film.full_range:
        raise OutputError(
            f"{film.path}: has full-range luma, which prores_ks does not hold; "
            "use --codec ffv1 or libx264"
        )
    enough = [depth for depth in DEPTHS[codec] if depth >= film.depth]
    depth = min(enough, default=max(DEPTHS[codec]))
    if depth < film.depth:
        log.warning(
            "%s: %s holds %d bits, so the luma of %d bits is rounded; --codec ffv1 keeps them",
            film.path,
            codec,
            depth,
            film.depth,
        )
    elif depth > film.depth:
        log.info("%s: luma of %d bits is written as %d bits", film.path, film.depth, depth)
    return depth


def _codec_options(film: Film, options: RenderOptions, subsampling: Subsampling) -> dict[str, str]:
    codec, crf = options.codec, options.crf
    chosen: dict[str, str] = {}
    params: list[str] = []
    if codec == "ffv1":
        return {"level": "3", "slicecrc": "1", "g": "1"}
    if codec == "prores_ks":
        return {"profile": "4444" if subsampling == "444" else "hq", "vendor": "apl0"}
    if options.preset is not None:
        chosen["preset"] = options.preset
    if crf == 0 and codec == "libx264":
        chosen["qp"] = "0"  # crf 0 is lossless at 8 bits only
    elif crf == 0 and codec == "libx265":
        params.append("lossless=1")
    else:
        chosen["crf"] = str(DEFAULT_CRF[codec] if crf is None else crf)
    if codec == "libx265":
        params.append("log-level=none")
    if codec == "libx264" and film.field_order != "progressive" and crf != 0:
        params.append(f"{film.field_order}=1")
    params += hdr_params(film, codec)
    if params:
        chosen[f"{codec.removeprefix('lib')}-params"] = ":".join(params)
    return chosen


def _say_if_interlacing_is_lost(film: Film, options: RenderOptions) -> None:
    # x264's lossless mode is not exact when it is told that lines are interlaced.
    is_noted = options.codec == "libx264" and options.crf != 0
    if film.field_order != "progressive" and not is_noted:
        log.warning(
            "%s: is interlaced; %s keeps the lines as they are, but does not say so to players",
            film.path,
            options.codec,
        )


def _check_encoder(film: Film, codec: Codec, pix_fmt: str, options: dict[str, str]) -> None:
    """Open the encoder as it will be used; it refuses sizes and formats only then."""
    try:
        encoder = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = film.width, film.height, pix_fmt
        encoder.time_base, encoder.framerate = film.time_base, encoder_rate(film)
        encoder.options = dict(options)
        encoder.open()
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{film.path}: {codec} does not take {film.width}x{film.height} {pix_fmt}; "
            "try --codec libx264, or ffv1 into .mkv"
        ) from error


def encoder_rate(film: Film) -> Fraction:
    """Return the frame rate that encoders are told; they spend bits by it and refuse odd ones."""
    rate = film.rate or Fraction(25)
    return rate if 1 <= rate <= 240 else Fraction(25)


def _chroma_shape(film: Film, subsampling: Subsampling) -> tuple[int, int, int]:
    height = math.ceil(film.height / 2) if subsampling == "420" else film.height
    width = film.width if subsampling == "444" else math.ceil(film.width / 2)
    return 2, height, width


def _offset(film: Film, start: Fraction | None) -> Fraction:
    """Return what is taken off all times, so that the result starts near zero and not before.

    MP4 hides frames before zero; a cut film starts anew; broadcasts start at any hour.
    """
    base = film.time_base
    if start is not None:
        return -(-(film.start_seconds + start) // base) * base
    if film.first_pts < 0:
        return film.first_pts * base
    if film.start_seconds > FAR_SECONDS:
        log.info("%s: its clock starts at %.1f s, the result's at 0", film.path, film.start_seconds)
        return film.start_seconds // base * base
    return Fraction(0)
