"""Small copies of films that every browser plays, frame by frame."""

import logging
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg

from vidcolor.errors import InputError
from vidcolor.media.ffmpeg import find_ffmpeg
from vidcolor.media.probe import Film, fraction, frame_size

log = logging.getLogger(__name__)

KEYFRAME_EVERY = 24
"""Frames between keyframes: at most these must be decoded to show any one of them."""


@dataclass(frozen=True)
class TimeSpan:
    """A part of a film, seconds from its start."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    """Not included; None: the film's end."""


def copy_for_browsers(
    film: Film, path: Path, *, part: TimeSpan, short_side: int, with_sound: bool
) -> None:
    """Write a small copy of a film: H.264 and AAC in MP4, each frame at its own time.

    Args:
        film: what `probe` found.
        path: of the copy, which is replaced.
        part: what is copied; its first moment is 0 in the copy.
        short_side: of the copy, pixels; a smaller film is not enlarged.
        with_sound: copy the first sound track, if there is one.

    Raises:
        InputError: FFmpeg is missing, cannot read the film, or finds no frame in that part.
    """
    command = _command(film, path, part, short_side, with_sound=with_sound)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    lines = done.stderr.splitlines()
    if done.returncode != 0:
        reason = lines[-1] if lines else f"status {done.returncode}"
        raise InputError(f"{film.path}: FFmpeg failed: {reason}; check the film and the disk")
    if lines:
        log.warning("%s: FFmpeg reported %d errors: %s", film.path, len(lines), lines[0])
    if not frame_times(path):
        raise InputError(f"{film.path}: has no frame from {float(part.start):.2f} s on")


def _command(
    film: Film, path: Path, part: TimeSpan, short_side: int, *, with_sound: bool
) -> list[str]:
    source = film.source
    how = source.options | ({"format": source.format} if source.format else {})
    jump = {"ss": f"{float(part.start):.6f}"} if part.start else {}
    film_in = ffmpeg.input(source.url, **jump, **how)
    # H.264 with half the chroma takes even sizes.
    width, height = (max(2, 2 * round(px / 2)) for px in frame_size(film, short_side))
    # Browsers guess an untagged film's matrix from its size: copies are BT.709 and tagged so.
    video = film_in[str(film.stream_index)].filter(
        "scale", width, height, in_color_matrix=film.matrix, out_color_matrix="bt709",
        in_range="full" if film.full_range else "limited", out_range="limited",
    ).filter("setsar", 1)  # fmt: skip
    streams = [video]
    options: dict[str, Any] = {
        "vcodec": "libx264", "preset": "veryfast", "crf": 21, "pix_fmt": "yuv420p",
        # Without B-frames, times in the file are those of the frames.
        "g": KEYFRAME_EVERY, "bf": 0, "fps_mode": "passthrough", "movflags": "+faststart",
        "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709",
        # Pages are shared: the film's metadata (place, author) is left out.
        "map_metadata": -1,
    }  # fmt: skip
    if with_sound and film.audio:
        streams.append(film_in[str(film.audio[0].index)])
        options |= {"acodec": "aac", "ac": 2, "audio_bitrate": "128k"}
    if part.end is not None:
        options["t"] = f"{float(part.end - part.start):.6f}"
    output = ffmpeg.output(*streams, str(path), format="mp4", **options)
    output = output.global_args("-nostdin", "-loglevel", "error", "-y")
    command: list[str] = ffmpeg.compile(output, cmd=find_ffmpeg())
    return command


def frame_times(path: Path) -> list[float]:
    """Return when each frame of a copy is shown, seconds, and as the last number when it ends."""
    with av.open(str(path)) as container:
        if not container.streams.video:  # where there was no frame, FFmpeg writes no stream
            return []
        stream = container.streams.video[0]
        base = fraction(stream.time_base) or Fraction(1)
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
    times = sorted((packet.pts or 0, packet.duration or 0) for packet in packets)
    if not times:
        return []
    ends = times[-1][0] + times[-1][1]
    return [round(float(tick * base), 4) for tick in (*(pts for pts, _ in times), ends)]
