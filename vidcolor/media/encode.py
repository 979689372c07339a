"""Encode frames to one file: the film's luma unchanged, with the new chroma."""

import contextlib
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import OutputError
from vidcolor.files import sync_file
from vidcolor.media.codecs import encoder_rate, marks_fields
from vidcolor.media.frame import Frame, plane_of
from vidcolor.media.interlacing import FieldMarker
from vidcolor.media.output_errors import output_errors
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.priority import ordinary_priority
from vidcolor.media.probe import KEEP_BYTES, Film
from vidcolor.media.quantization import Codes, luma_at_depth

MUXER_OF_SUFFIX = {".mov": "mov", ".mp4": "mp4", ".nut": "nut"}
REORDER_FRAMES = 4
"""Decoding runs ahead of showing by at most two frames in x264 and x265; four leaves room."""
SEGMENT_START_TICKS = REORDER_FRAMES + 1
"""Times in a segment are this many ticks late: FFmpeg's MOV muxer takes the wrong frame for the
first one if several decoding times are zero or less."""

# SVT-AV1 prints a page to the terminal unless this is set before it starts.
os.environ.setdefault("SVT_LOG", "0")


class SegmentWriter:
    """Encodes frames to a file that is renamed into place when it is complete.

    with SegmentWriter(folder / plan.segment_name(0), film, plan) as segment:
        for frame in read_frames(film, start=plan.start, end=plan.end):
            segment.write(frame, chroma_2hw)
    join([segment.path], film, plan)

    Times are the film's own less `plan.offset`, tick by tick, plus SEGMENT_START_TICKS.
    """

    def __init__(self, path: Path, film: Film, plan: OutputPlan) -> None:
        self.path = path
        self._film = film
        self._plan = plan
        self._part = path.with_name(path.name + ".part")
        self._offset_ticks = int(plan.offset / film.time_base)
        self._decoding_times: deque[int] = deque()
        self._is_first = True
        self._last_duration = 0
        self._mark: FieldMarker | None = None
        self._container: OutputContainer
        self._stream: VideoStream

    def __enter__(self) -> Self:
        """Open the file and the encoder."""
        with output_errors(self._plan.out):
            self._container = av.open(
                str(self._part),
                "w",
                format=MUXER_OF_SUFFIX[self.path.suffix],
                container_options=clocks(self._film.time_base.denominator),
                **KEEP_BYTES,
            )
            self._stream = self._add_stream()
        return self

    def _add_stream(self) -> VideoStream:
        film, plan = self._film, self._plan
        stream = self._container.add_stream(
            plan.codec, rate=encoder_rate(film), options=dict(plan.codec_options)
        )
        assert isinstance(stream, VideoStream)
        encoder = stream.codec_context
        encoder.width, encoder.height, encoder.pix_fmt = plan.width, plan.height, plan.pix_fmt
        stream.time_base = film.time_base
        encoder.time_base = film.time_base
        encoder.flags |= Flags.frame_duration
        tag_picture(stream, film)
        if marks_fields(film, plan.codec, plan.codec_options):
            if plan.codec == "prores_ks":
                encoder.flags |= Flags.interlaced_dct
            size = plan.width, plan.height
            self._mark = FieldMarker(film.field_order, *size, plan.pix_fmt, film.time_base)
        with ordinary_priority():
            encoder.open()
        return stream

    def write(self, frame: Frame, chroma_2hw: Codes) -> None:
        """Encode one frame.

        Args:
            frame: a frame of the film; its luma goes into the result as it is (in a result of
                other depth, as `quantization.luma_at_depth` does).
            chroma_2hw: Cb and Cr codes of `plan.depth` bits, of shape `plan.chroma_shape`.

        Raises:
            ValueError: the chroma has another shape or type.
            OutputError: the file cannot be written.
        """
        plan = self._plan
        wanted = np.dtype(np.uint8 if plan.depth == 8 else np.uint16)
        if chroma_2hw.shape != plan.chroma_shape or chroma_2hw.dtype != wanted:
            raise ValueError(
                f"chroma is {chroma_2hw.dtype} {chroma_2hw.shape}, "
                f"but must be {wanted} {plan.chroma_shape}"
            )
        luma = luma_at_depth(
            frame.luma, depth=frame.depth, to_depth=plan.depth, full_range=frame.full_range
        )
        picture = VideoFrame(plan.width, plan.height, plan.pix_fmt)
        for index, samples in enumerate((luma, *chroma_2hw)):
            plane_of(picture, index, plan.depth)[:] = samples
        picture.pts = shown = frame.pts - self._offset_ticks + SEGMENT_START_TICKS
        picture.time_base = frame.time_base
        picture.duration = frame.duration
        if self._mark is not None:
            picture = self._mark(picture)
        self._tag(picture)
        self._plan_decoding(shown)
        self._last_duration = frame.duration
        with output_errors(plan.out):
            self._mux(self._stream.encode(picture))

    def _plan_decoding(self, shown: int) -> None:
        """Record a decoding time: packet n is decoded when frame n - REORDER_FRAMES is shown."""
        if self._is_first:
            self._decoding_times.extend(range(shown - REORDER_FRAMES, shown))
            self._is_first = False
        self._decoding_times.append(shown)

    def _tag(self, picture: VideoFrame) -> None:
        color = self._film.color
        picture.color_range, picture.colorspace = color.range, color.matrix
        picture.color_primaries, picture.color_trc = color.primaries, color.transfer

    def _mux(self, packets: "Sequence[Packet[VideoStream]]") -> None:
        """Write packets with our own decoding times: x265's are wrong in short films."""
        for packet in packets:
            packet.dts = self._decoding_times.popleft()
            self._container.mux(packet)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file and rename it, or, after an error, remove it."""
        if kind is not None or self._is_first:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            self._part.unlink(missing_ok=True)
        if kind is not None:
            return
        if self._is_first:
            raise OutputError(
                f"{self._plan.out}: {self._film.path} has no frame between --start and --end; "
                "check them"
            )
        with output_errors(self._plan.out):
            packets = self._stream.encode(None)
            if packets and self._last_duration:
                packets[-1].duration = self._last_duration
            self._mux(packets)
            self._container.close()
            sync_file(self._part)
            self._part.replace(self.path)


def tag_picture(stream: VideoStream, film: Film) -> None:
    """Set the film's color tags, pixel aspect ratio, rotation and field order on a stream."""
    codec = stream.codec_context
    codec.color_range, codec.colorspace = film.color.range, film.color.matrix
    codec.color_primaries, codec.color_trc = film.color.primaries, film.color.transfer
    codec.sample_aspect_ratio = film.sample_aspect_ratio
    codec.field_order = {"progressive": 1, "tff": 2, "bff": 3}[film.field_order]
    if film.display_matrix is not None:
        stream.set_display_matrix(film.display_matrix)


def clocks(ticks_per_second: int) -> dict[str, str]:
    """Return the muxer options that make MP4 and MOV use these ticks, start offsets included."""
    return {
        "video_track_timescale": str(ticks_per_second),
        "movie_timescale": str(ticks_per_second * max(1, -(-90000 // ticks_per_second))),
    }
