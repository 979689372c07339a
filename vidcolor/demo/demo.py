"""The demo: a small drawn film with sound, and a contact sheet of source and result."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from vidcolor.demo.drawing import HEIGHT, WIDTH
from vidcolor.demo.scenes import RATE, SHOTS, frames
from vidcolor.errors import OutputError
from vidcolor.images.contact_sheet import contact_sheet
from vidcolor.images.display import shown_picture
from vidcolor.images.image_files import RgbImage
from vidcolor.media.decode import read_frames, unit_chroma, unit_luma
from vidcolor.media.probe import Film, probe

FRAMES_OF_SHOT = 60
SECONDS = len(SHOTS) * FRAMES_OF_SHOT / RATE
SAMPLE_RATE = 48000
TUNE = ((392, 0.0), (523, 0.5), (659, 1.0), (784, 1.5), (659, 2.5), (587, 3.0), (523, 3.5))
"""Notes: frequency in hertz, and start in seconds."""
SHEET_MOMENTS = 6
"""Rows of the contact sheet."""


def draw_film(path: Path) -> Path:
    """Write the drawn film, black-and-white H.264 with a tune in AAC, and return its path.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(f"file:{path}", "w", format="mp4") as container:
            _write(container)
    except (av.FFmpegError, OSError) as error:
        raise OutputError(
            f"{path}: {error.strerror}; run it in a folder that can be written"
        ) from error
    return path


def _write(container: OutputContainer) -> None:
    video = container.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
    for sound in _sound():
        container.mux(audio.encode(sound))
    container.mux(audio.encode(None))
    grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    for luma in frames(FRAMES_OF_SHOT):
        picture = av.VideoFrame.from_ndarray(np.concatenate((luma, grey)), format="yuv420p")
        container.mux(video.encode(picture))
    container.mux(video.encode(None))


def _sound() -> Iterator[av.AudioFrame]:
    """Yield the tune in frames of 1024 samples, the size that AAC takes."""
    seconds = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    tune = np.zeros_like(seconds)
    for hertz, begins in TUNE:
        since = np.maximum(seconds - begins, 0)
        fading = np.minimum(since * 100, 1) * np.exp(-2.5 * since)
        tune += (
            0.15
            * fading
            * (np.sin(2 * np.pi * hertz * since) + 0.3 * np.sin(4 * np.pi * hertz * since))
        )
    for start in range(0, len(tune), 1024):
        samples = np.tile(tune[start : start + 1024].astype(np.float32), (2, 1))
        sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        yield sound


def write_comparison(source: Path, result: Path, sheet: Path) -> Path:
    """Write a contact sheet of frames of `source` and `result`, and return its path.

    Raises:
        InputError: one of the films cannot be read.
        OutputError: the sheet cannot be written.
    """
    films = probe(source), probe(result)
    rows = [[_picture_at(film, second) for film in films] for second in _moments(films[0])]
    whole = [[picture for picture in row if picture is not None] for row in rows]
    contact_sheet(whole, ["source", "result"], sheet)
    return sheet


def _moments(film: Film) -> list[Fraction]:
    """Return times in seconds, spread evenly over the film."""
    duration = film.duration_seconds or Fraction(0)
    return [duration * (2 * moment + 1) / (2 * SHEET_MOMENTS) for moment in range(SHEET_MOMENTS)]


def _picture_at(film: Film, second: Fraction) -> RgbImage | None:
    for frame in read_frames(film, start=second):
        return shown_picture(unit_luma(frame), unit_chroma(frame), film)
    return None
