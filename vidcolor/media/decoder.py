"""Packets in, pictures out; damage is skipped and counted."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import InputError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.probe import Film
from vidcolor.media.to_planar import is_transparent, planar, shape_of, shape_of_film

MISSING_SECONDS = Fraction(1, 2)
"""A film that ends this much before its header's duration is taken to be truncated."""
FAILURES_IN_A_ROW = 100
"""Failed reads after which the rest of a file is given up."""
HOLE_BYTES = 256
"""Bytes between two Matroska packets that count as a hole: headers take a tenth of that."""
HOLE_PACKETS = 64
"""A jump in time so many packets after a hole comes from it: frames are stored out of order."""


class Decoder:
    """The pictures of a film's video stream, in the order they are shown.

    with open_film(film) as container:
        for picture in Decoder(film, container, main_video(container, film.source), changes):
            ...
    """

    def __init__(
        self, film: Film, container: InputContainer, stream: VideoStream, changes: Changes
    ) -> None:
        self._film = film
        self._container = container
        self._stream = stream
        self._changes = changes
        self._damage_count = 0
        self._end_seconds = Fraction(0)
        self._shapes = {shape_of_film(film)}
        self._is_opaque = True
        self._hole = _HoleFinder(film) if film.format.startswith("matroska") else None
        self._is_waiting_for_key = False
        self._key_tick: int | None = None
        self.frame_count = 0
        """Pictures so far."""
        self.is_from_start = True
        """The film is read from its first packet on."""

    def seek(self, tick: int) -> bool:
        """Seek to a keyframe at or before a tick, by the film's index."""
        try:
            self._container.seek(tick, stream=self._stream)
        except av.FFmpegError:
            return False
        self.is_from_start = False
        self._is_waiting_for_key = True
        return True

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the pictures in the film's planar format; after a seek, the complete ones.

        Raises:
            InputError: the disk does not respond, or, with --strict, at damage.
        """
        for packet in self._packets():
            if packet.stream.index != self._stream.index or self._is_before_keyframe(packet):
                continue
            for picture in self._decoded(packet):
                if self._is_complete(picture):
                    yield self._in_first_format(picture)
                    self.frame_count += 1

    def _decoded(self, packet: "Packet[Stream]") -> Sequence[VideoFrame]:
        try:
            pictures = cast("list[VideoFrame]", packet.decode())
        except av.FFmpegError:
            self.note_damage(_seconds(packet))
            return ()
        if packet.is_corrupt or any(picture.is_corrupt for picture in pictures):
            self.note_damage(_seconds(packet))
        return pictures

    def _is_before_keyframe(self, packet: "Packet[Stream]") -> bool:
        """Tell whether a packet comes before the first keyframe after a seek."""
        if self._is_waiting_for_key and packet.size and packet.is_keyframe:
            self._is_waiting_for_key = False
            self._key_tick = packet.dts if self._film.clock == "dts" else packet.pts
        return self._is_waiting_for_key

    def _is_complete(self, picture: VideoFrame) -> bool:
        """Tell whether all pictures that this one refers to were read."""
        if self.is_from_start or self._key_tick is None:
            return True
        tick = self.tick_of(picture)
        if tick is None or tick < self._key_tick:
            return False
        self._key_tick = None
        return True

    def tick_of(self, picture: VideoFrame) -> int | None:
        """Return a picture's time in the film's ticks; None if the film does not say."""
        return picture.dts if self._film.clock == "dts" else picture.pts

    def _in_first_format(self, picture: VideoFrame) -> VideoFrame:
        film, shape = self._film, shape_of(picture)
        if shape not in self._shapes:
            self._shapes.add(shape)
            number = f" {self.frame_count}" if self.is_from_start else ""
            self._changes.add(
                f"{film.path}: its picture changes from {shape_of_film(film)} to {shape} at frame"
                f"{number} ({_place(self._seconds_of(picture))}) and is scaled back; split the "
                "film there to keep both",
                InputError,
            )
        if self._is_opaque and is_transparent(picture):
            self._is_opaque = False
            self._changes.add(
                f"{film.path}: has transparency ({film.pix_fmt}), which is left out; the result "
                "is opaque",
                InputError,
            )
        self._look_for_hole(picture)
        return planar(film, picture)

    def _seconds_of(self, picture: VideoFrame) -> Fraction | None:
        tick = self.tick_of(picture)
        return None if tick is None else tick * self._film.time_base

    def _look_for_hole(self, picture: VideoFrame) -> None:
        tick = self.tick_of(picture)
        if self._hole is not None and tick is not None and self._hole.loses_frames(tick):
            self.note_damage(tick * self._film.time_base)

    def _packets(self) -> "Iterator[Packet[Stream]]":
        """Yield the packets of all streams, over the gaps that damage leaves."""
        failures_in_a_row = 0
        while failures_in_a_row < FAILURES_IN_A_ROW:
            try:
                for packet in self._container.demux():
                    failures_in_a_row = 0
                    self._note(packet)
                    yield packet
                return
            except av.ExitError as error:
                raise InputError(
                    f"{self._film.path}: its disk does not respond; check it and run again"
                ) from error
            except av.FFmpegError:
                failures_in_a_row += 1
                self.note_damage(None)

    def note_damage(self, seconds: Fraction | None) -> None:
        """Count one damaged place; the first is reported at once."""
        self._damage_count += 1
        if self._damage_count == 1:
            self._changes.add(
                f"{self._film.path}: is damaged at {_place(seconds)}; what can be decoded is used",
                InputError,
            )

    def _note(self, packet: "Packet[Stream]") -> None:
        """Record how far the film has been read."""
        if packet.pts is not None and packet.time_base:
            ends = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._end_seconds = max(self._end_seconds, Fraction(ends))
        if self._hole is not None:
            self._hole.add(packet)

    def report(self) -> None:
        """Report, at the film's end, how much was damaged and whether the end is missing."""
        film = self._film
        if self._damage_count > 1:
            known = film.frame_count_from_header if self.is_from_start else None
            share = f": {self.frame_count} of {known} frames could be decoded" if known else ""
            self._changes.add(
                f"{film.path}: is damaged in {self._damage_count} places{share}", InputError
            )
        ends = film.start_seconds + (film.duration_seconds or 0)
        if ends - self._end_seconds > MISSING_SECONDS:
            self._changes.add(
                f"{film.path}: ends at {float(self._end_seconds):.1f} s, though its header says "
                f"{float(ends):.1f} s; the file is probably truncated",
                InputError,
            )


class _HoleFinder:
    """Finds frames lost in a damaged Matroska file: FFmpeg skips without an error.

    The sign is bytes in the file that belong to no packet, followed by a jump in time.
    """

    def __init__(self, film: Film) -> None:
        rate = film.rate or Fraction(25)
        self._longest_ticks = 3 / rate / film.time_base / 2
        self._position: int | None = None
        self._packets_since_hole = HOLE_PACKETS
        self._tick: int | None = None

    def add(self, packet: "Packet[Stream]") -> None:
        """Record a packet's position in the file."""
        if packet.pos is None or packet.pos < 0:
            return
        if self._position is not None and packet.pos - self._position > HOLE_BYTES:
            self._packets_since_hole = 0
        self._packets_since_hole += 1
        self._position = max(self._position or 0, packet.pos + packet.size)

    def loses_frames(self, tick: int) -> bool:
        """Tell whether frames are missing before the one shown at a tick."""
        gap = 0 if self._tick is None else tick - self._tick
        self._tick = tick
        is_lost = gap > self._longest_ticks and self._packets_since_hole < HOLE_PACKETS
        if is_lost:
            self._packets_since_hole = HOLE_PACKETS
        return is_lost


def _seconds(packet: "Packet[Stream]") -> Fraction | None:
    time = packet.dts if packet.pts is None else packet.pts
    return None if time is None or not packet.time_base else Fraction(time * packet.time_base)


def _place(seconds: Fraction | None) -> str:
    return "unknown time" if seconds is None else f"{float(seconds):.2f} s"
