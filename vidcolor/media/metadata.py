"""A container's metadata: tags, languages, dispositions, chapters."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcolor.media.codecs import encoder_rate
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.probe import KEEP_BYTES, Film, fraction
from vidcolor.media.stream_plan import TEXT_CODEC_OF_FORMAT, Carried

STALE_TAGS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "software",
    "duration",
    "vendor_id",
    "number_of_",
    "bps",
    "_statistics",
    "handler_name",
)
"""Tags that describe the old file; lower-case prefixes."""
STREAM_TAGS = ("language", "creation_time")
"""Stream tags without a warning here: languages have their own, the film keeps its date."""

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


def carried_tags(tags: dict[str, str], *, with_timecode: bool = True) -> dict[str, str]:
    """Return the tags of a file or stream that also hold for the result."""
    stale = STALE_TAGS if with_timecode else (*STALE_TAGS, "timecode")
    return {name: value for name, value in tags.items() if not name.lower().startswith(stale)}


def note_stream(stream: Stream, added: Stream, output_format: str, *, with_timecode: bool) -> None:
    """Copy a stream's tags, language and disposition to the stream of the result."""
    added.metadata.update(carried_tags(stream.metadata, with_timecode=with_timecode))
    added.disposition = stream.disposition
    if output_format in ("mp4", "mov"):
        # FFmpeg cannot read back the box in which it writes a title, but it reads this one.
        name = stream.metadata.get("title", stream.metadata.get("handler_name"))
        added.metadata.update({"handler_name": name} if name else {})
    if output_format == "mov" and "language" in added.metadata:
        language = added.metadata["language"]
        added.metadata["language"] = MOV_LANGUAGES.get(language, language)


def carry_header(
    source: InputContainer,
    output: OutputContainer,
    *,
    offset: Fraction,
    end: Fraction | None,
    with_timecode: bool,
) -> None:
    """Copy the film's tags, and the chapters of the part that is rendered."""
    output.metadata.update(carried_tags(source.metadata, with_timecode=with_timecode))
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


def has_timecode(container: InputContainer) -> bool:
    """Tell whether a film has a timecode tag."""
    tags = container.metadata, *(stream.metadata for stream in container.streams)
    return any(name.lower() == "timecode" for names in tags for name in names)


def can_note_timecode(container: InputContainer, film: Film, output_format: str) -> bool:
    """Try it: MP4 and MOV store a timecode in frames, so not every rate and text works."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=output_format, **KEEP_BYTES) as output:
            added = _add_stand_in("video", output, encoder_rate(film))
            for tags in (container.metadata, container.streams[film.stream_index].metadata):
                added.metadata.update(carried_tags(tags))
            output.mux(list(_stand_in_packets(added)))
        file.seek(0)
        with av.open(file, **KEEP_BYTES) as written:
            return has_timecode(written)
    except av.FFmpegError:
        return False


def say_what_is_not_noted(
    container: InputContainer,
    film: Film,
    tracks: tuple[Carried, ...],
    out: Path,
    output_format: str,
    changes: Changes,
) -> None:
    """Write a tiny file with all metadata of the film, and warn of what does not read back.

    What a container stores does not depend on the codecs, so streams of a few bytes are enough.
    """
    streams = [container.streams[film.stream_index]]
    streams += [
        container.streams[track.index] for track in tracks if track.how in ("copy", "convert")
    ]
    streams = [stream for stream in streams if stream.type in ("video", "audio", "subtitle")]
    file = io.BytesIO()
    with av.open(file, "w", format=output_format, **KEEP_BYTES) as output:
        stand_ins = [_add_stand_in(stream.type, output) for stream in streams]
        for stream, added in zip(streams, stand_ins, strict=True):
            note_stream(stream, added, output_format, with_timecode=False)
        carry_header(container, output, offset=Fraction(0), end=None, with_timecode=False)
        output.start_encoding()
        output.mux([packet for added in stand_ins for packet in _stand_in_packets(added)])
    file.seek(0)
    with av.open(file, **KEEP_BYTES) as written:
        for lost in _lost(container, streams, written):
            changes.add(f"{out}: cannot store {lost}; {_where(output_format)}")


def _where(output_format: str) -> str:
    return "no supported container can" if output_format == "matroska" else ".mkv can store more"


def _add_stand_in(kind: str, output: OutputContainer, rate: Fraction = Fraction(25)) -> Stream:
    if kind == "video":
        video = output.add_stream("mpeg4", rate=rate)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        return video
    if kind == "audio":
        return output.add_stream("pcm_s16le", rate=8000, layout="mono")
    text: Stream = output.add_stream(cast(Any, TEXT_CODEC_OF_FORMAT[output.format.name]))
    text.time_base = Fraction(1, 1000)
    cast(SubtitleCodecContext, text.codec_context).subtitle_header = b"[Script Info]"
    return text


def _stand_in_packets(stream: Stream) -> "Iterator[Packet[Stream]]":
    if isinstance(stream, VideoStream):
        yield from cast(Any, (*stream.encode(VideoFrame(16, 16, "yuv420p")), *stream.encode(None)))
        return
    packet: Packet[Stream] = Packet(b"\0\0" if stream.type == "audio" else b"\0\1x")
    packet.pts, packet.dts, packet.duration = 0, 0, 1
    packet.time_base = Fraction(1, 8000 if stream.type == "audio" else 1000)
    packet.stream = stream
    yield packet


def _lost(
    container: InputContainer, streams: list[Stream], written: InputContainer
) -> Iterator[str]:
    """Yield the metadata that the film has and the trial does not."""
    tags = _missing(container.metadata, written.metadata)
    if tags:
        yield f"the film's tags {', '.join(tags)}"
    titles = [chapter["metadata"].get("title") for chapter in container.chapters()]
    if titles != [chapter["metadata"].get("title") for chapter in written.chapters()]:
        yield "the film's chapters unchanged"
    for stream, found in zip(streams, written.streams, strict=False):
        tags = [n for n in _missing(stream.metadata, found.metadata) if n not in STREAM_TAGS]
        if tags:
            yield f"the tags {', '.join(tags)} of stream {stream.index}"
        language = stream.metadata.get("language", "und")
        if _one_code(language) != _one_code(found.metadata.get("language", "und")):
            yield f"the language {language} of stream {stream.index}"
        missing = Disposition(stream.disposition & ~found.disposition)
        if missing:
            yield f"the flags {missing.name or missing} of stream {stream.index}".replace("|", ", ")


def _missing(tags: dict[str, str], found: dict[str, str]) -> list[str]:
    there = {name.lower() for name in found}
    if "title" in tags and found.get("handler_name") == tags["title"]:
        there.add("title")
    return sorted(
        name for name in carried_tags(tags, with_timecode=False) if name.lower() not in there
    )


def _one_code(language: str) -> str:
    return MOV_LANGUAGES.get(language, language)
