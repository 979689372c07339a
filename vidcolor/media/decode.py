"""Frames of a film, one after the other, with the decoder's own luma and exact times.

for frame in read_frames(film):
    print(frame.pts * frame.time_base, frame.luma.shape)
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidcolor.errors import InputError
from vidcolor.media.changes import Changes
from vidcolor.media.film import Film, main_video, open_film
from vidcolor.media.levels import Codes, sample_type, unit_from_chroma, unit_from_luma
from vidcolor.media.picture import YCBCR_FORMATS

log = logging.getLogger(__name__)

UNSEEKABLE = ("h264", "hevc", "m4v", "mpegvideo", "dv", "gif", "apng", "yuv4mpegpipe")
"""Formats without an index, or without times, that are read from their beginning."""
SEEK_BACK_SECONDS = (1, 30)
"""How far before the wanted time a seek goes: indexes speak of decoding, not of showing."""
MISSING_SECONDS = Fraction(1, 2)
"""A film that ends this much before its header's duration is taken to be cut."""
SWS_MATRIX = {"bt601": 5, "bt709": 1, "bt2020": 9}
"""libswscale's numbers of the matrices (SWS_CS_*)."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame. Its arrays look into the decoder's memory and are read-only."""

    luma: Codes
    """Luma codes (H, W), uint8, or uint16 where the film has more than 8 bits."""
    pts: int
    """When it is shown, ticks of `time_base`."""
    time_base: Fraction
    duration: int
    """How long it is shown, ticks; 0 if the film does not say."""
    depth: int
    """Bits of a sample."""
    full_range: bool
    is_grey: bool
    """The film has no chroma planes."""
    picture: VideoFrame = field(repr=False)

    @property
    def seconds(self) -> Fraction:
        """When it is shown on the film's clock."""
        return self.pts * self.time_base

    def chroma(self) -> Codes | None:
        """Return the film's own Cb and Cr codes (2, h, w), or None of a grey film."""
        if self.is_grey:
            return None
        return np.stack([plane_of(self.picture, index, self.depth) for index in (1, 2)])


def unit_luma(frame: Frame) -> NDArray[np.float32]:
    """Return Y' (H, W) in [0, 1]."""
    return unit_from_luma(frame.luma, depth=frame.depth, full_range=frame.full_range)


def unit_chroma(frame: Frame) -> NDArray[np.float32]:
    """Return the film's own Cb, Cr (2, h, w) in [-0.5, 0.5], h and w as stored; 0 if grey."""
    codes = frame.chroma()
    if codes is None:
        return np.zeros((2, *frame.luma.shape), np.float32)
    return unit_from_chroma(codes, depth=frame.depth, full_range=frame.full_range)


def plane_of(picture: VideoFrame, index: int, depth: int) -> Codes:
    """Return a plane (h, w) as a writable view, without the padding at the ends of its lines."""
    plane = picture.planes[index]
    memory = memoryview(plane)
    samples: Codes = np.frombuffer(memory, sample_type(depth))
    return samples.reshape(plane.height, -1)[:, : plane.width]


def read_frames(
    film: Film,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    changes: Changes | None = None,
) -> Iterator[Frame]:
    """Decode the film packet by packet and yield its frames in the order they are shown.

    Damaged packets are passed over; how many, and whether the film ends early, is noted at the
    end.

    Args:
        film: what `probe` found.
        start: first moment, seconds from `film.start_seconds`; the frames shown from it on.
        end: last moment, not included, on the same scale.
        changes: gets what is damaged, guessed or missing.

    Raises:
        InputError: no frame can be decoded, or the picture's size or format changes.
    """
    changes = changes or Changes()
    _say_what_is_converted(film, changes)
    first = None if start is None else _ticks(film, start)
    last = None if end is None else _ticks(film, end)
    for back_seconds in _seeks(film, first):
        with open_film(film) as container:
            decoder = _Decoder(film, container, main_video(container, film.source))
            if back_seconds is not None and not decoder.seek(first or 0, back_seconds):
                continue
            for frame in decoder.frames:
                if last is not None and frame.pts >= last:
                    return
                if first is None or frame.pts >= first:
                    yield frame
            decoder.report(changes)
            return


def _ticks(film: Film, seconds: Fraction) -> int:
    """Return the first tick at or after a moment."""
    return -int(-(film.start_seconds + seconds) // film.time_base)


def _seeks(film: Film, first: int | None) -> tuple[int | None, ...]:
    """Return how far to seek back, in the order of trying; None reads from the beginning."""
    if first is None or first <= film.first_pts or film.format in UNSEEKABLE:
        return (None,)
    return (*SEEK_BACK_SECONDS, None)


def _say_what_is_converted(film: Film, changes: Changes) -> None:
    if film.pix_fmt != film.planar_format:
        log.info("%s: %s is read as %s", film.path.name, film.pix_fmt, film.planar_format)
    if any(part.is_alpha for part in av.VideoFormat(film.pix_fmt).components):
        changes.add(f"{film.path}: its transparency ({film.pix_fmt}) is left out", InputError)


class _Decoder:
    """Packets in, frames out, counting what goes wrong."""

    def __init__(self, film: Film, container: InputContainer, stream: VideoStream) -> None:
        self._film = film
        self._container = container
        self._stream = stream
        self._damaged = 0
        self._backward_times = 0
        self._end_seconds = Fraction(0)
        self.frames: Iterator[Frame] = self._decode()
        """The frames from where the file stands, in the order they are shown."""

    def seek(self, first: int, back_seconds: int) -> bool:
        """Go to a keyframe before tick `first`; False if the frames come out later than that."""
        target = max(self._film.first_pts, first - int(back_seconds / self._film.time_base))
        try:
            self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
            return False
        frame = next(self.frames, None)
        if frame is not None:
            self.frames = chain([frame], self.frames)
        return frame is not None and frame.pts <= first

    def _decode(self) -> Iterator[Frame]:
        frame: Frame | None = None
        for number, picture in enumerate(self._pictures()):
            self._check_picture(picture, number)
            frame = self._frame(picture, frame)
            yield frame

    def _pictures(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            if packet.stream.index != self._stream.index:
                continue
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self._damaged += 1
                continue
            self._damaged += packet.is_corrupt
            for picture in pictures:
                assert isinstance(picture, VideoFrame)
                self._damaged += picture.is_corrupt
                yield picture

    def _packets(self) -> "Iterator[Packet[Stream]]":
        """Yield the packets of all streams, over the gaps that damage leaves."""
        failures_in_a_row = 0
        while failures_in_a_row < 100:
            try:
                for packet in self._container.demux():
                    failures_in_a_row = 0
                    self._note_end(packet)
                    yield packet
                return
            except av.FFmpegError:
                failures_in_a_row += 1
                self._damaged += 1

    def _note_end(self, packet: "Packet[Stream]") -> None:
        if packet.pts is not None and packet.time_base:
            ends = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._end_seconds = max(self._end_seconds, Fraction(ends))

    def _check_picture(self, picture: VideoFrame, number: int) -> None:
        film = self._film
        found = picture.width, picture.height, picture.format.name.replace("yuvj", "yuv")
        if found != (film.width, film.height, film.pix_fmt.replace("yuvj", "yuv")):
            raise InputError(
                f"{film.path}: from {film.width}x{film.height} {film.pix_fmt} its picture changes "
                f"to {found[0]}x{found[1]} {found[2]} at frame {number}; split the film there"
            )

    def _frame(self, picture: VideoFrame, previous: Frame | None) -> Frame:
        film = self._film
        planar = _planar(film, picture)
        luma = plane_of(planar, 0, film.depth)
        luma.flags.writeable = False
        return Frame(
            luma=luma,
            pts=self._time(picture, previous),
            time_base=film.time_base,
            duration=picture.duration or 0,
            depth=film.depth,
            full_range=film.full_range,
            is_grey=film.is_grey,
            picture=planar,
        )

    def _time(self, picture: VideoFrame, previous: Frame | None) -> int:
        """Return the frame's time; where the file has none, one frame after the previous one."""
        time = picture.dts if self._film.clock == "dts" else picture.pts
        if time is not None and (previous is None or time > previous.pts):
            return time
        if previous is None:
            return self._film.first_pts
        if time is not None:
            self._backward_times += 1
            return previous.pts + 1
        rate = self._film.rate or Fraction(25)
        return previous.pts + (previous.duration or max(1, round(1 / rate / self._film.time_base)))

    def report(self, changes: Changes) -> None:
        """Note what was damaged, guessed or missing."""
        film = self._film
        if self._damaged:
            changes.add(
                f"{film.path}: damaged in {self._damaged} places; what could be decoded was used",
                InputError,
            )
        if self._backward_times:
            changes.add(
                f"{film.path}: {self._backward_times} frames went back in time and were put right "
                "after the frame before",
                InputError,
            )
        ends = film.start_seconds + (film.duration_seconds or 0)
        if ends - self._end_seconds > MISSING_SECONDS:
            changes.add(
                f"{film.path}: ends at {float(self._end_seconds):.1f} s, though its header says "
                f"{float(ends):.1f} s; the file was probably cut off",
                InputError,
            )


def _planar(film: Film, picture: VideoFrame) -> VideoFrame:
    """Return the picture in the film's planar format: itself wherever it has a luma plane."""
    if film.pix_fmt == film.planar_format:
        return picture
    color_range = 2 if film.full_range else 1
    if not (film.is_grey or film.pix_fmt.startswith(YCBCR_FORMATS)):
        return picture.reformat(
            format=film.planar_format,
            dst_colorspace=SWS_MATRIX[film.matrix],
            dst_color_range=color_range,
        )
    return picture.reformat(
        format=film.planar_format, src_color_range=color_range, dst_color_range=color_range
    )
