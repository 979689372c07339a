"""What the encoders support and how they are set: formats, depths, quality, presets."""

import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av

from vidcolor.errors import OptionsError, OutputError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.hdr import hdr_params
from vidcolor.media.priority import ordinary_priority
from vidcolor.media.probe import Film, Subsampling
from vidcolor.options.render import RenderOptions
from vidcolor.options.values import Codec

log = logging.getLogger(__name__)

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
"""Bits of a sample that the encoders support."""
CRF_RANGE: dict[Codec, tuple[int, int]] = {
    "libx264": (0, 51),
    "libx265": (0, 51),
    "libsvtav1": (1, 63),
}
DEFAULT_CRF: dict[Codec, int] = {"libx264": 18, "libx265": 20, "libsvtav1": 25}
"""Better quality than the encoders' own defaults, so that film grain is kept."""
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


def check_settings(out: Path, output_format: str, options: RenderOptions) -> None:
    """Refuse an invalid codec, crf or preset.

    Raises:
        OptionsError: one is invalid; names the valid ones.
    """
    codec = options.codec
    if codec not in CODECS_OF_FORMAT[output_format]:
        raise OptionsError(
            f"--codec {codec}: {out.suffix} files cannot hold it; write to .mkv or use "
            f"one of: {', '.join(CODECS_OF_FORMAT[output_format])}"
        )
    if options.crf is not None and codec not in CRF_RANGE:
        raise OptionsError(f"--crf {options.crf}: {codec} has no CRF; leave it out")
    if options.crf is not None and not (CRF_RANGE[codec][0] <= options.crf <= CRF_RANGE[codec][1]):
        low, high = CRF_RANGE[codec]
        raise OptionsError(f"--crf {options.crf}: must be between {low} and {high} for {codec}")
    if options.preset is not None and options.preset not in PRESETS.get(codec, ()):
        presets = ", ".join(PRESETS.get(codec, ()))
        fix = f"use one of: {presets}" if presets else "leave it out"
        raise OptionsError(f"--preset {options.preset}: {codec} has no such preset; {fix}")


def choose_subsampling(film: Film, codec: Codec, changes: Changes) -> Subsampling:
    """Return the chroma layout that the codec can write, nearest to the film's."""
    own = film.subsampling
    if codec == "libsvtav1" and own != "420":
        changes.add(
            f"{film.path}: has {own} chroma, but libsvtav1 writes 4:2:0 only; "
            "another --codec keeps it"
        )
        return "420"
    if codec == "prores_ks":
        return "444" if own == "444" else "422"
    is_odd = film.width % 2 or (film.height % 2 and own == "420")
    if codec in ("libx264", "libx265") and own != "444" and is_odd:
        changes.add(
            f"{film.path}: {film.width}x{film.height} is an odd size, so {codec} writes 4:4:4 "
            f"chroma, which fewer players support; --codec ffv1 with .mkv keeps {own}"
        )
        return "444"
    return own


def choose_depth(film: Film, codec: Codec, changes: Changes) -> int:
    """Return the bits of a sample that the codec can write, nearest to the film's.

    Raises:
        OutputError: the codec cannot store the film's range of luma.
    """
    if codec == "prores_ks" and film.full_range:
        raise OutputError(
            f"{film.path}: has full-range luma, which prores_ks cannot store; "
            "use --codec ffv1 or libx264"
        )
    enough = [depth for depth in DEPTHS[codec] if depth >= film.depth]
    depth = min(enough, default=max(DEPTHS[codec]))
    if depth < film.depth:
        changes.add(
            f"{film.path}: {codec} stores at most {depth} bits, so the {film.depth}-bit luma is "
            "rounded; --codec ffv1 keeps it"
        )
    elif depth > film.depth:
        log.info("%s: %d-bit luma is written as %d-bit", film.path, film.depth, depth)
    return depth


def codec_settings(film: Film, options: RenderOptions, subsampling: Subsampling) -> dict[str, str]:
    """Return the encoder's options, by FFmpeg's names."""
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
    if codec == "libx264" and has_avx512():
        params.append("asm=avx2")
    if codec == "libx264" and film.field_order != "progressive" and crf != 0:
        params.append(f"{film.field_order}=1")
    params += hdr_params(film, codec)
    if params:
        chosen[f"{codec.removeprefix('lib')}-params"] = ":".join(params)
    return chosen


@cache
def has_avx512() -> bool:
    """Tell whether the processor has AVX-512, with which x264's mb-tree is not deterministic.

    The same frames are then encoded differently from run to run (x264 of PyAV
    18.1); with AVX2 they do not, and a resumed render equals an uninterrupted one.
    """
    try:
        return " avx512" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def marks_fields(film: Film, codec: Codec, codec_options: Mapping[str, str]) -> bool:
    """Tell whether the frames of the result are flagged as interlaced."""
    # x264's lossless mode is not exact in interlaced mode.
    has_flags = codec in ("ffv1", "prores_ks") or (codec == "libx264" and "qp" not in codec_options)
    return film.field_order != "progressive" and has_flags


def warn_if_interlacing_is_lost(film: Film, options: RenderOptions, changes: Changes) -> None:
    """Warn where the result does not flag its frames as interlaced and the film does."""
    is_marked = marks_fields(film, options.codec, codec_settings(film, options, film.subsampling))
    if film.field_order != "progressive" and not is_marked:
        changes.add(
            f"{film.path}: is interlaced, but {options.codec} does not flag its frames as "
            "interlaced; ffv1, prores_ks and libx264 above --crf 0 do"
        )


def check_encoder(film: Film, codec: Codec, pix_fmt: str, options: dict[str, str]) -> None:
    """Open the encoder as it will be used: only then it refuses sizes and formats.

    Raises:
        OutputError: it refuses.
    """
    try:
        encoder = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = film.width, film.height, pix_fmt
        encoder.time_base, encoder.framerate = film.time_base, encoder_rate(film)
        encoder.options = dict(options)
        with ordinary_priority():
            encoder.open()
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{film.path}: {codec} cannot encode {film.width}x{film.height} {pix_fmt}; "
            "try --codec libx264, or ffv1 with .mkv"
        ) from error


def encoder_rate(film: Film) -> Fraction:
    """Return the frame rate for the encoder, which uses it for rate control and has limits."""
    rate = film.rate or Fraction(25)
    return rate if 1 <= rate <= 240 else Fraction(25)
