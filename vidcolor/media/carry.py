"""Everything of a film that is not its picture: sound, subtitles, covers, fonts, chapters, tags."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from vidcolor.errors import OutputError
from vidcolor.media.changes import Changes
from vidcolor.media.film import Film, fraction

TEXT_SUBTITLES = ("srt", "subrip", "ssa", "ass", "mov_text", "webvtt", "text")
"""Subtitles that are text, which FFmpeg turns into one another."""
TEXT_CODEC_OF_FORMAT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt"}
ANY_CODEC = {"strict": "experimental"}
"""FFmpeg calls a few pairs of codec and container experimental that players know well."""
STALE_TAGS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "vendor_id",
    "number_of_",
    "bps",
    "_statistics",
    "handler_name",
)
"""Tags that speak of the old file; by their beginnings, in small letters."""

MOV_LANGUAGES = {
    "cze": "ces",
    "deu": "ger",
    "ell": "gre",
    "fre": "fra",
    "isl": "ice",
    "mkd": "mac",
    "nld": "dut",
    "rum": "ron",
    "slo": "slk",
    "sqi": "alb",
    "zho": "chi",
}
"""ISO 639-2 has two codes of some languages; FFmpeg's MOV writer knows one (libavformat/isom.c)."""

How = Literal["copy", "convert", "attach"]


@dataclass(frozen=True, kw_only=True)
class Carried:
    """One stream that goes over into the result."""

    index: int
    """Number of the stream in the film."""
    how: How
    """copy: packet by packet; convert: as text subtitles; attach: as a file in the container."""


@dataclass
class WrittenTrack:
    """What went into a stream of the result."""

    language: str
    packet_count: int = 0


def plan_tracks(
    container: InputContainer, film: Film, out: Path, output_format: str, changes: Changes
) -> tuple[Carried, ...]:
    """Decide how each stream beside the picture goes over.

    Raises:
        OutputError: the container cannot hold a sound track; says which one can.
    """
    tracks = []
    for stream in container.streams:
        if stream.index == film.stream_index:
            continue
        how = _how(stream, output_format)
        if how is not None:
            tracks.append(Carried(index=stream.index, how=how))
        elif stream.type == "audio":
            raise OutputError(_refusal(container, stream, out))
        elif not _is_written_anyway(stream):
            changes.add(
                f"{out}: cannot hold stream {stream.index} ({_describe(stream)}), so it is left "
                "out; .mkv holds the most"
            )
    return tuple(tracks)


def _how(stream: Stream, output_format: str) -> How | None:
    if stream.type == "video":
        if not stream.disposition & Disposition.attached_pic:
            return None
        covers: dict[str, How] = {"matroska": "attach", "mp4": "copy"}
        return covers.get(output_format)
    if stream.type == "attachment":
        return "attach" if output_format == "matroska" else None
    if stream.type not in ("audio", "subtitle"):
        return None
    if _can_copy(stream, output_format):
        return "copy"
    is_text = stream.codec_context is not None and stream.codec_context.name in TEXT_SUBTITLES
    return "convert" if is_text else None


def _can_copy(stream: Stream, output_format: str) -> bool:
    """Try it: some pairs are refused when the stream is added, others when the header is."""
    try:
        with av.open(io.BytesIO(), "w", format=output_format, container_options=ANY_CODEC) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _refusal(container: InputContainer, stream: Stream, out: Path) -> str:
    for suffix, output_format in ((".mkv", "matroska"), (".mov", "mov"), (".mp4", "mp4")):
        if all(_can_copy(sound, output_format) for sound in container.streams.audio):
            return (
                f"{out}: cannot hold the sound of stream {stream.index} ({_describe(stream)}); "
                f"name it {out.stem}{suffix}, which can"
            )
    return (
        f"{out}: no container holds the sound of stream {stream.index} ({_describe(stream)}); "
        "convert the film's sound to FLAC first"
    )


def _is_written_anyway(stream: Stream) -> bool:
    """Chapter and timecode tracks of MP4 are made anew from chapters and tags."""
    if stream.type != "data":
        return False
    return "timecode" in stream.metadata or getattr(stream, "name", None) in (None, "bin_data")


def _describe(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context else getattr(stream, "name", None)
    language = stream.metadata.get("language")
    return " ".join(word for word in (stream.type, codec, language) if word)


def carried_tags(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags of a file or stream that are as true of the result."""
    return {name: value for name, value in tags.items() if not name.lower().startswith(STALE_TAGS)}


def carry_header(
    source: InputContainer, output: OutputContainer, *, offset: Fraction, end: Fraction | None
) -> None:
    """Copy the film's tags, and the chapters that lie in the part that is rendered."""
    output.metadata.update(carried_tags(source.metadata))
    chapters = []
    for chapter in source.chapters():
        base = fraction(chapter["time_base"]) or Fraction(1, 1000)
        shift = round(offset / base)
        starts, ends = chapter["start"] - shift, chapter["end"] - shift
        if end is not None:
            ends = min(ends, int(end / base))
        is_whole = offset <= 0 and end is None
        if is_whole or ends > max(starts, 0):
            chapters.append({**chapter, "start": max(starts, 0), "end": ends})
    if chapters:
        output.set_chapters(cast(Any, chapters))


class TrackCopier:
    """The streams beside the picture, on their way from the film to the result."""

    def __init__(
        self, source: InputContainer, output: OutputContainer, tracks: tuple[Carried, ...]
    ) -> None:
        """Add the streams to `output`; before its header is written."""
        self._source = source
        self._outputs: dict[int, Stream] = {}
        self._converts: set[int] = set()
        self._last_dts: dict[int, int] = {}
        self.written: dict[int, WrittenTrack] = {}
        """What went over, by the stream's number in the film, in the result's order."""
        for track in tracks:
            self._add(source.streams[track.index], output, track.how)

    def _add(self, stream: Stream, output: OutputContainer, how: How) -> None:
        if how == "attach" and stream.type == "video":
            _attach_cover(self._source, stream, output)
            return
        if how == "convert":
            added = _add_text(stream, output)
            self._converts.add(stream.index)
        else:
            added = output.add_stream_from_template(stream, opaque=True)
        added.metadata.update(carried_tags(stream.metadata))
        added.disposition = stream.disposition
        language = added.metadata.get("language", "und")
        if output.format.name == "mov":
            added.metadata["language"] = MOV_LANGUAGES.get(language, language)
        if how != "attach":
            self._outputs[stream.index] = added
            self.written[stream.index] = WrittenTrack(language=language)

    def packets(self, *, offset: Fraction, end: Fraction | None) -> "Iterator[Packet[Stream]]":
        """Yield packets that are ready for the result, in the film's order.

        Args:
            offset: seconds that are taken off every time.
            end: last moment, not included, after that; None keeps everything.
        """
        streams = [self._source.streams[index] for index in self._outputs]
        if not streams:
            return
        is_part = offset > 0 or end is not None
        for packet in _tolerant_demux(self._source, streams):
            stream = packet.stream
            base = fraction(stream.time_base) or Fraction(1, 1000)
            if stream.disposition & Disposition.attached_pic:
                packet.pts = packet.dts = round(offset / base)
            elif packet.pts is None:
                packet.pts = packet.dts
            if packet.pts is None or packet.dts is None:
                continue
            seconds = packet.pts * base - offset
            if is_part and (seconds < 0 or (end is not None and seconds >= end)):
                continue
            ready = self._converted(packet) if stream.index in self._converts else packet
            if ready is not None:
                yield self._placed(ready, stream.index, round(offset / base))

    def _converted(self, packet: "Packet[Stream]") -> "Packet[Stream] | None":
        """Return a text subtitle in the result's own format; None of a packet without text."""
        stream = packet.stream
        decoder = cast(SubtitleCodecContext, stream.codec_context)
        encoder = cast(SubtitleCodecContext, self._outputs[stream.index].codec_context)
        subtitle = decoder.decode2(packet)
        if subtitle is None or not len(subtitle):
            return None
        text = encoder.encode_subtitle(subtitle)
        text.pts, text.dts, text.duration = packet.pts, packet.dts, packet.duration
        text.time_base = packet.time_base
        return text

    def _placed(self, packet: "Packet[Stream]", index: int, offset_ticks: int) -> "Packet[Stream]":
        """Shift a packet in time, keep its decoding times rising, and hand it to its stream."""
        assert packet.pts is not None
        assert packet.dts is not None
        dts = packet.dts - offset_ticks
        if dts <= self._last_dts.get(index, dts - 1):
            dts = self._last_dts[index] + 1
        self._last_dts[index] = dts
        packet.pts, packet.dts = max(packet.pts - offset_ticks, dts), dts
        packet.stream = self._outputs[index]
        self.written[index].packet_count += 1
        return packet


def _tolerant_demux(source: InputContainer, streams: list[Stream]) -> "Iterator[Packet[Stream]]":
    """Yield packets that hold something, past the gaps that damage leaves."""
    for _ in range(100):
        try:
            for packet in source.demux(*streams):
                if packet.size:
                    yield packet
            return
        except av.FFmpegError:
            continue


def _attach_cover(source: InputContainer, stream: Stream, output: OutputContainer) -> None:
    """Put a cover picture into Matroska, which keeps it as an attached file."""
    packet = next((packet for packet in source.demux(stream) if packet.size), None)
    source.seek(0)
    if packet is not None:
        kind = "png" if stream.codec_context.name == "png" else "jpeg"
        name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        output.add_attachment(name, f"image/{kind}", bytes(packet))


def _add_text(stream: Stream, output: OutputContainer) -> Stream:
    decoder = cast(SubtitleCodecContext, stream.codec_context)
    if not decoder.is_open:
        decoder.open()
    added: Stream = output.add_stream(cast(Any, TEXT_CODEC_OF_FORMAT[output.format.name]))
    added.time_base = stream.time_base
    encoder = cast(SubtitleCodecContext, added.codec_context)
    encoder.time_base = cast(Fraction, stream.time_base)
    encoder.subtitle_header = decoder.subtitle_header
    return added
