"""The FFmpeg program: find it, and read RGB frames from it with the film's exact timestamps.

Training frames come from it rather than from PyAV: its filters rotate and scale them in a
separate process, while this one compresses them.
"""

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import av
import ffmpeg
import numpy as np
from numpy.typing import NDArray

from vidcolor.errors import InputError
from vidcolor.media.decode import UNSEEKABLE
from vidcolor.media.pixel_format import MATRIX_OF_TAG
from vidcolor.media.probe import Film, fraction

log = logging.getLogger(__name__)

SEEK_BACK_SECONDS = 3
"""How far before the wanted frame decoding starts, so that its references are complete."""

SCALER = "lanczos+accurate_rnd+full_chroma_int"
"""libswscale's flags: sharp, the same on every CPU, chroma interpolated."""


def find_ffmpeg() -> str:
    """Return the FFmpeg program: $VIDCOLOR_FFMPEG, the system's, or that of imageio-ffmpeg.

    Raises:
        InputError: none was found.
    """
    named = os.environ.get("VIDCOLOR_FFMPEG")
    found = shutil.which(named or "ffmpeg")
    if found:
        return found
    if named:
        raise InputError(f"FFmpeg {named}: is not a program; fix or unset VIDCOLOR_FFMPEG")
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise InputError(
            "FFmpeg: not found; install it (apt-get install ffmpeg), "
            "or run: pip install imageio-ffmpeg"
        ) from error


@dataclass(frozen=True)
class RgbFrame:
    """A frame as it is shown: upright and with square pixels."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    pts: int
    """When it is shown, ticks of the film's time base."""


@contextmanager
def rgb_frames(
    film: Film,
    *,
    width: int,
    height: int,
    every: int = 1,
    first_pts: int | None = None,
    seek: bool = True,
) -> Iterator[Iterator[RgbFrame]]:
    """Run FFmpeg and yield the film's frames, scaled, in the order they are shown.

    Args:
        film: what `probe` found.
        width: of the frames, pixels, after rotation.
        height: of the frames, pixels, after rotation.
        every: yield every n-th frame, starting with the first one.
        first_pts: start at the first frame shown at this tick or later.
        seek: seek near `first_pts` instead of decoding everything before it. A few films
            have a wrong index: compare the first frame's time.

    Raises:
        InputError: FFmpeg is missing or cannot read the film.
    """
    command = _command(film, width, height, every, first_pts, seek)
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages
        )
        assert process.stdout is not None
        frames = _read(process.stdout, film)
        try:
            yield _checked(frames, process, messages, film)
        finally:
            frames.close()
            process.kill()
            process.communicate()


def _command(
    film: Film, width: int, height: int, every: int, first_pts: int | None, seek: bool
) -> list[str]:
    jump: dict[str, Any] = {}
    if seek and first_pts is not None and film.format not in UNSEEKABLE:
        seconds = first_pts * film.time_base - SEEK_BACK_SECONDS
        if seconds > film.start_seconds:
            jump = {"ss": f"{float(seconds):.6f}", "seek_timestamp": 1}
    source = film.source
    how = source.options | ({"format": source.format} if source.format else {})
    video = ffmpeg.input(source.url, noaccurate_seek=None, **jump, **how)[str(film.stream_index)]
    if first_pts is not None:
        video = video.filter("select", f"gte(pts,{first_pts})")
    if every > 1:
        video = video.filter("select", f"not(mod(n,{every}))")
    video = video.filter("scale", width, height, flags=SCALER, **_untagged_matrix(film))
    # NUT keeps every time exactly: its time base divides the stream's. (Rates are not kept.)
    # The time base is given as a number: FFmpeg 5 and 9 share no name for the input's own.
    clock = f"{film.time_base.numerator}/{film.time_base.denominator}"
    raw = {"format": "nut", "vcodec": "rawvideo", "pix_fmt": "rgb24", "enc_time_base": clock}
    exact = {"fps_mode": "passthrough", "avoid_negative_ts": "disabled"}
    output = ffmpeg.output(video, "pipe:1", **raw, **exact)
    output = output.global_args("-nostdin", "-copyts", "-loglevel", "error")
    command: list[str] = ffmpeg.compile(output, cmd=find_ffmpeg())
    return command


def _untagged_matrix(film: Film) -> dict[str, str]:
    """Return the matrix of an untagged film: FFmpeg assumes BT.601, whatever its size."""
    return {} if film.color.matrix in MATRIX_OF_TAG else {"in_color_matrix": film.matrix}


def _read(pipe: IO[bytes], film: Film) -> Generator[RgbFrame, None, None]:
    try:
        container = av.open(pipe, "r", format="nut", buffer_size=1 << 20)
    except (av.FFmpegError, EOFError):
        return  # FFmpeg wrote nothing: `_checked` asks it why
    with container:
        time_base = fraction(container.streams.video[0].time_base) or film.time_base
        for picture in container.decode(video=0):
            rgb = np.asarray(picture.to_ndarray(format="rgb24"), dtype=np.uint8)
            yield RgbFrame(rgb, round((picture.pts or 0) * time_base / film.time_base))


def _checked(
    frames: Iterator[RgbFrame], process: subprocess.Popen[bytes], messages: IO[bytes], film: Film
) -> Iterator[RgbFrame]:
    """Yield the frames; after the last, report FFmpeg's errors."""
    yield from frames
    status = process.wait()
    messages.seek(0)
    lines = messages.read().decode(errors="replace").splitlines()
    if status != 0:
        reason = lines[-1] if lines else f"status {status}"
        raise InputError(f"{film.path}: FFmpeg failed: {reason}; check that the film is complete")
    if lines:
        log.warning("%s: FFmpeg reported %d errors: %s", film.path, len(lines), lines[0])
