"""How a film is opened: one file, or numbered pictures, and nothing else is read."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer

from vidcolor.errors import InputError, OptionsError
from vidcolor.media.image_sequence import (
    PICTURE_SUFFIXES,
    glob_of,
    is_pattern,
    pictures_of_folder,
    pictures_of_pattern,
    sequence_of,
)

FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,apng,h264,hevc,m4v,mpegvideo,ivf,dv,mxf,"
    "nut,rm,yuv4mpegpipe,png_pipe,jpeg_pipe,tiff_pipe,bmp_pipe,webp_pipe"
)
"""Demuxers that read one file and nothing else. A playlist would make FFmpeg read its neighbours
or the network, whatever the protocol whitelist says."""
DEFAULT_RATE = Fraction(24)
"""Frames a second of pictures: that of most films."""
DEFAULT_MEGAPIXELS = 64
"""Largest picture that is decoded: a 100 kB file can claim a picture that fills the memory."""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Prefix of FFmpeg's protocols, as in https:, concat: and pipe:."""
TIMEOUT_SECONDS = 60
"""A read that takes longer than this fails."""
# PyAV 19 has no such argument: its metadata always keeps bytes that are not UTF-8.
KEEP_BYTES: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """How FFmpeg opens a film."""

    path: Path
    """As the user named it: a file, a folder of pictures, or a pattern of their names."""
    url: str
    format: str | None
    """FFmpeg's demuxer; None: it finds out."""
    options: dict[str, str]
    megapixels: int
    """Largest picture that is decoded, millions of pixels."""
    files: tuple[Path, ...]
    """What is read, in the order it is shown: the film, or its pictures."""


def find_source(
    path: Path, *, rate: Fraction | None = None, megapixels: int = DEFAULT_MEGAPIXELS
) -> Source:
    """Return how to open a film, a folder of pictures or a pattern such as `frames/%05d.png`.

    Args:
        path: a name that exists is used as it is, even if it looks like a pattern.
        rate: frames a second of pictures; None: DEFAULT_RATE.
        megapixels: largest picture that is decoded, millions of pixels.

    Raises:
        InputError: the file does not exist, or the pictures have no clear order.
        OptionsError: a rate is given for a film, which has its own timestamps.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links
    clock = {"framerate": str(rate or DEFAULT_RATE)}
    found: dict[str, Any]
    if _kind(path) == "folder":
        files = pictures_of_folder(path)
        options = {**clock, "pattern_type": "glob"}
        found = {"url": glob_of(absolute, files[0].suffix), "format": "image2"}
    elif _kind(path) is None and is_pattern(path):
        first, files = pictures_of_pattern(path)
        options = {**clock, "pattern_type": "sequence", "start_number": str(first)}
        found = {"url": sequence_of(absolute), "format": "image2"}
    else:
        _check_file(path)
        files, options = (path,), _clock_of_file(path, rate, clock)
        found = {"url": f"file:{absolute}", "format": _format_of_file(absolute)}
    safe = {
        "protocol_whitelist": "file",
        "format_whitelist": found["format"] or FORMATS,
        "max_pixels": str(megapixels * 1_000_000),  # opening decodes the first frames of some
    }
    return Source(path=path, files=files, options=options | safe, megapixels=megapixels, **found)


def _clock_of_file(path: Path, rate: Fraction | None, clock: dict[str, str]) -> dict[str, str]:
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES
    if rate is not None and not is_picture:
        raise OptionsError(f"--rate {rate}: {path} has its own timestamps; leave it out")
    return {**clock, "pattern_type": "none"} if is_picture else {}


def _format_of_file(path: Path) -> str | None:
    """Return the demuxer for a picture whose name FFmpeg would read as a pattern."""
    if not re.search(r"[%*?\[\]{}]", str(path)):
        return None
    suffix = path.suffix.lower()
    return "image2" if suffix in PICTURE_SUFFIXES else "gif" if suffix == ".gif" else None


@contextmanager
def open_source(source: Source) -> Iterator[InputContainer]:
    """Open a film for reading; PyAV gets a name, never a file object, and a list of formats.

    Raises:
        InputError: the film does not exist, or FFmpeg cannot read it.
    """
    _check_file(source.files[0])
    try:
        container = av.open(
            source.url,
            format=source.format,
            options=source.options,
            timeout=TIMEOUT_SECONDS,
            **KEEP_BYTES,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{source.path}: FFmpeg cannot read it ({_reason(error)}); "
            "check that the file is complete and is a video, not a playlist"
        ) from error
    with container:
        yield container


def _kind(path: Path) -> Literal["folder", "file", "other"] | None:
    """Return the kind of file that has a name, None if it does not exist.

    Raises:
        InputError: its folder cannot be searched, or the name is invalid.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened ({_reason(error)}); check the name") from error
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def _check_file(path: Path) -> None:
    kind = _kind(path)
    if kind is None and ADDRESS.match(str(path)):
        raise InputError(f"{path}: no such file, and URLs are not read; download the film first")
    if kind is None:
        raise InputError(f"{path}: no such file; check the name")
    if kind == "other":
        raise InputError(f"{path}: is a pipe or a device; save the film to a file first")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; copy or download it again")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read; check its permissions")


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
