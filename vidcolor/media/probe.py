"""Read what a film is: its picture format, its time base and its tracks.

film = probe("zootopia.mkv")
print(film.width, film.height, film.rate, film.matrix)
"""

import logging
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData, Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import InputError
from vidcolor.media.orientation import orientation
from vidcolor.media.pixel_format import PictureFormat, picture_format
from vidcolor.media.pixel_format import Subsampling as Subsampling
from vidcolor.media.source import DEFAULT_MEGAPIXELS, Source, find_source, open_source
from vidcolor.media.source import KEEP_BYTES as KEEP_BYTES
from vidcolor.options.values import Matrix as Matrix

log = logging.getLogger(__name__)

FAILURES_BEFORE_FIRST_FRAME = 1000
"""Packets that cannot be decoded before a film is taken to have no picture."""
FieldOrder = Literal["progressive", "tff", "bff"]


@dataclass(frozen=True, kw_only=True)
class AudioTrack:
    """One sound track of a film."""

    index: int
    """Number of the stream in the file."""
    codec: str
    language: str | None
    title: str | None
    channels: int
    sample_rate: int


@dataclass(frozen=True, kw_only=True)
class Film(PictureFormat):
    """What `probe` found: the main video stream of a file, and the other streams."""

    source: Source = field(repr=False)
    format: str
    """FFmpeg's name of the container."""
    stream_index: int
    """Number of the main video stream in the file."""
    width: int
    """Coded width, pixels, before any rotation."""
    height: int
    """Coded height, pixels, before any rotation."""
    time_base: Fraction
    """Seconds a tick."""
    rate: Fraction | None
    """Frames a second, a guess where the rate varies."""
    clock: Literal["pts", "dts"]
    """Which timestamp to use; dts in AVI, which stores no other."""
    first_pts: int
    """Time of the first frame, ticks."""
    frame_count_from_header: int | None
    start_seconds: Fraction
    """When the earliest stream starts."""
    duration_seconds: Fraction | None
    """From the header; of the video where it is known, else of the whole file."""
    sample_aspect_ratio: Fraction
    display_matrix: tuple[int, ...] | None
    """Nine numbers that rotate or mirror the picture (FFmpeg's AV_PKT_DATA_DISPLAYMATRIX)."""
    field_order: FieldOrder
    """Of the frames as they are read: interlaced ones show the top or the bottom field first."""
    deinterlaced: FieldOrder | None
    """Field order of the frames that are deinterlaced when read; None: they are not."""
    mastering_display: bytes | None = field(repr=False)
    """FFmpeg's AVMasteringDisplayMetadata of an HDR film."""
    content_light: bytes | None = field(repr=False)
    """FFmpeg's AVContentLightMetadata of an HDR film."""
    has_captions: bool
    """Has closed captions (ATSC A/53) inside the coded picture, not in a separate stream."""
    audio: tuple[AudioTrack, ...]

    @property
    def path(self) -> Path:
        """Return the film as the user named it: a file, a folder or a pattern."""
        return self.source.path


class Rational(Protocol):
    """PyAV 18 returns Fractions, PyAV 19 its own AVRational."""

    @property
    def numerator(self) -> int: ...  # noqa: D102
    @property
    def denominator(self) -> int: ...  # noqa: D102


def fraction(value: Rational | None) -> Fraction | None:
    """Return a rational of PyAV as a Fraction; None if it is unset (None, 0 or 0/1)."""
    return Fraction(value.numerator, value.denominator) if value else None


@contextmanager
def open_film(film: Film) -> Iterator[InputContainer]:
    """Open a film for reading, once more.

    Raises:
        InputError: it no longer exists, or FFmpeg cannot read it.
    """
    with open_source(film.source) as container:
        yield container


def probe(
    path: Path | str,
    *,
    rate: Fraction | None = None,
    max_pixels: int = DEFAULT_MEGAPIXELS,
    deinterlace: bool = False,
) -> Film:
    """Read what the result must keep: the headers and the first frame.

    Args:
        path: a film, a folder of pictures, or a pattern such as `frames/%05d.png`.
        rate: frames a second of pictures; None: 24.
        max_pixels: largest picture that is decoded, millions of pixels.
        deinterlace: deinterlace frames when they are read.

    Raises:
        InputError: missing, empty, not a film, no picture, encrypted, or no frame decodes.
        OptionsError: a rate is given for a film, which has its own timestamps.
    """
    source = find_source(Path(path), rate=rate, megapixels=max_pixels)
    with open_source(source) as container:
        stream = main_video(container, source)
        first = _first_frame(container, stream, source)
        film = _film_from(source, container, stream, first)
    return _deinterlaced(film) if deinterlace else film


def _deinterlaced(film: Film) -> Film:
    if film.field_order == "progressive":
        log.warning("%s: is not interlaced, so --deinterlace has no effect", film.path)
        return film
    log.info("%s: is deinterlaced, which changes its luma", film.path)
    return replace(film, field_order="progressive", deinterlaced=film.field_order)


def frame_size(film: Film, size: int) -> tuple[int, int]:
    """Return width and height of a film as displayed, its short side `size` pixels at most.

    Pixels become square and rotation is applied. A small film is not enlarged.
    """
    width, height = film.width * film.sample_aspect_ratio, Fraction(film.height)
    if orientation(film.display_matrix).is_turned:
        width, height = height, width
    scale = min(Fraction(1), size / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def main_video(container: InputContainer, source: Source) -> VideoStream:
    """Return the film's picture: the default video stream that is not a cover.

    Raises:
        InputError: it has none, or it is too large.
    """
    path = source.path
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        raise InputError(f"{path}: has no video, only sound or data; give a film with a picture")
    stream = max(videos, key=lambda s: bool(s.disposition & Disposition.default))
    if stream.codec_context is None:
        raise InputError(f"{path}: no decoder for its video codec; convert it to H.264 first")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > source.megapixels * 1_000_000:
        raise InputError(
            f"{path}: its picture of {width}x{height} exceeds {source.megapixels} million pixels; "
            f"if this is right, add --max-pixels {-(-width * height // 1_000_000)}"
        )
    stream.codec_context.options = {"max_pixels": str(source.megapixels * 1_000_000)}
    stream.thread_type = "AUTO"
    return stream


def _first_frame(container: InputContainer, stream: VideoStream, source: Source) -> VideoFrame:
    for _ in range(FAILURES_BEFORE_FIRST_FRAME):
        try:
            for packet in container.demux(stream):
                _refuse_encrypted(packet, source.path)
                frames = packet.decode()
                if frames:
                    return frames[0]
            break
        except av.ExitError as error:
            raise InputError(f"{source.path}: its disk does not respond; check it") from error
        except av.FFmpegError:
            continue
    # FFmpeg gives no size of a picture that is too large.
    too_large = (
        ""
        if stream.codec_context.width
        else f", or its picture exceeds {source.megapixels} million pixels: then add --max-pixels"
    )
    raise InputError(
        f"{source.path}: no frame of its video can be decoded; the file is damaged or empty"
        f"{too_large}"
    )


def _refuse_encrypted(packet: "Packet[VideoStream]", path: Path) -> None:
    # MP4 says so with each packet (ISO/IEC 23001-7), Matroska with the track.
    if packet.has_sidedata("encryption_info") or "enc_key_id" in packet.stream.metadata:
        raise InputError(f"{path}: is encrypted; give a copy without protection")


def _film_from(
    source: Source, container: InputContainer, stream: VideoStream, first: VideoFrame
) -> Film:
    time_base = fraction(stream.time_base) or Fraction(1, 90000)
    clock: Literal["pts", "dts"] = "dts" if container.format.name == "avi" else "pts"
    first_pts = first.dts if clock == "dts" else first.pts
    matrix_bytes = _side_data(first, Type.DISPLAYMATRIX)
    return Film(
        source=source,
        format=container.format.name,
        stream_index=stream.index,
        width=first.width,
        height=first.height,
        **vars(picture_format(first)),
        time_base=time_base,
        rate=fraction(stream.guessed_rate) or fraction(stream.average_rate),
        clock=clock,
        first_pts=first_pts or 0,
        frame_count_from_header=stream.frames or None,
        start_seconds=Fraction(container.start_time or 0, av.time_base),
        duration_seconds=_duration_seconds(container, stream, time_base),
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio) or Fraction(1),
        display_matrix=struct.unpack("=9i", matrix_bytes) if matrix_bytes else None,
        field_order=_field_order(stream, first),
        deinterlaced=None,
        mastering_display=_side_data(first, Type.MASTERING_DISPLAY_METADATA),
        content_light=_side_data(first, Type.CONTENT_LIGHT_LEVEL),
        has_captions=_side_data(first, Type.A53_CC) is not None,
        audio=tuple(_audio_tracks(container)),
    )


def _side_data(frame: VideoFrame, kind: Type) -> bytes | None:
    try:
        data = cast("Mapping[Type, SideData]", frame.side_data).get(kind)
    except ValueError:
        return None  # PyAV 18 knows no Exif, which FFmpeg 8.1 hands over with TIFF and JPEG
    return None if data is None else bytes(data)


def _duration_seconds(
    container: InputContainer, stream: VideoStream, time_base: Fraction
) -> Fraction | None:
    if stream.duration:
        return stream.duration * time_base
    return Fraction(container.duration, av.time_base) if container.duration else None


def _field_order(stream: VideoStream, first: VideoFrame) -> FieldOrder:
    # FFmpeg's AVFieldOrder: 2 and 5 display the top field first, 3 and 4 the bottom field.
    if stream.codec_context.field_order in (3, 4):
        return "bff"
    is_interlaced = stream.codec_context.field_order in (2, 5) or first.interlaced_frame
    return "tff" if is_interlaced else "progressive"


def _audio_tracks(container: InputContainer) -> Iterator[AudioTrack]:
    for stream in container.streams.audio:
        codec = stream.codec_context
        yield AudioTrack(
            index=stream.index,
            codec=codec.codec.canonical_name if codec else "unknown",
            language=stream.metadata.get("language"),
            title=stream.metadata.get("title"),
            channels=codec.channels if codec else 0,
            sample_rate=codec.sample_rate if codec else 0,
        )
