"""Frames of a film, one after the other, with the decoder's own luma and exact times.

for frame in read_frames(film):
    print(frame.pts * frame.time_base, frame.luma.shape)
"""

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

from av.video.frame import VideoFrame

from vidcolor.errors import InputError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decoder import Decoder
from vidcolor.media.frame import Frame as Frame
from vidcolor.media.frame import plane_of as plane_of
from vidcolor.media.frame import unit_chroma as unit_chroma
from vidcolor.media.frame import unit_luma as unit_luma
from vidcolor.media.interlacing import deinterlace
from vidcolor.media.probe import Film, main_video, open_film

log = logging.getLogger(__name__)

UNSEEKABLE = ("h264", "hevc", "m4v", "mpegvideo", "mpeg", "dv", "gif", "apng", "yuv4mpegpipe")
"""Formats without an index, or without a time for each frame, that are read from their beginning.
(MPEG program streams time a frame in a few; after a jump FFmpeg guesses the others otherwise.)"""
SEEK_BACK_SECONDS = (1, 30)
"""How far before the wanted time a seek goes: indexes hold decoding times."""


def read_frames(
    film: Film,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    changes: Changes | None = None,
) -> Iterator[Frame]:
    """Decode the film packet by packet and yield its frames in the order they are shown.

    Damaged packets are skipped; the first is reported at once, their number and whether the film
    ends early at the end. Reading from a `start` gives the same frames as reading from the
    beginning.

    Args:
        film: what `probe` found.
        start: first moment, seconds from `film.start_seconds`; the frames shown from it on.
        end: last moment, not included, on the same scale.
        changes: gets what is converted, damaged, guessed or missing.

    Raises:
        InputError: the film cannot be read any more, or, with --strict, it is damaged.
    """
    changes = changes or Changes()
    if film.pix_fmt != film.planar_format:
        log.info("%s: %s is read as %s", film.path, film.pix_fmt, film.planar_format)
    first = None if start is None else _ticks(film, start)
    last = None if end is None else _ticks(film, end)
    for back_seconds in _seeks(film, first):
        with open_film(film) as container:
            decoder = Decoder(film, container, main_video(container, film.source), changes)
            frames = _Timer(film, decoder, changes)
            if back_seconds is not None and not frames.jump(first or 0, back_seconds):
                continue
            for frame in deinterlace(frames, film) if film.deinterlaced else frames:
                if last is not None and frame.pts >= last:
                    return
                if first is None or frame.pts >= first:
                    yield frame
            frames.report()
            return


def _ticks(film: Film, seconds: Fraction) -> int:
    """Return the first tick at or after a moment."""
    return -int(-(film.start_seconds + seconds) // film.time_base)


def _seeks(film: Film, first: int | None) -> tuple[int | None, ...]:
    """Return how far to seek back, in the order of trying; None reads from the beginning."""
    if first is None or first <= film.first_pts or film.format in UNSEEKABLE:
        return (None,)
    return (*SEEK_BACK_SECONDS, None)


class _Timer:
    """Decoded pictures in, frames with rising timestamps out."""

    def __init__(self, film: Film, decoder: Decoder, changes: Changes) -> None:
        self._film = film
        self._decoder = decoder
        self._changes = changes
        self._backward_count = 0
        self._frames = self._timed()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def jump(self, first: int, back_seconds: int) -> bool:
        """Go to before tick `first`; False if the frames come out later than that."""
        film = self._film
        target = max(film.first_pts, first - int(back_seconds / film.time_base))
        if not self._decoder.seek(target):
            return False
        frame = next(self._frames, None)
        if frame is None:
            return False
        self._frames = chain([frame], self._frames)
        # Deinterlacing a frame needs its neighbours.
        return frame.pts < first if film.deinterlaced else frame.pts <= first

    def _timed(self) -> Iterator[Frame]:
        film = self._film
        frame: Frame | None = None
        for picture in self._decoder:
            luma = plane_of(picture, 0, film.depth)
            luma.flags.writeable = False
            frame = Frame(
                luma=luma,
                pts=self._time(picture, frame),
                time_base=film.time_base,
                duration=picture.duration or 0,
                depth=film.depth,
                full_range=film.full_range,
                is_grey=film.is_grey,
                picture=picture,
            )
            yield frame

    def _time(self, picture: VideoFrame, previous: Frame | None) -> int:
        """Return the frame's time; where the file has none, one frame after the previous one."""
        time = self._decoder.tick_of(picture)
        if time is not None and (previous is None or time > previous.pts):
            return time
        if previous is None:
            return self._film.first_pts
        if time is not None:
            self._backward_count += 1
            return previous.pts + 1
        rate = self._film.rate or Fraction(25)
        return previous.pts + (previous.duration or max(1, round(1 / rate / self._film.time_base)))

    def report(self) -> None:
        """Say, at the film's end, what was damaged, guessed or missing."""
        self._decoder.report()
        if self._backward_count:
            self._changes.add(
                f"{self._film.path}: the timestamps of {self._backward_count} frames go backwards; "
                "each was moved to one tick after the frame before",
                InputError,
            )
