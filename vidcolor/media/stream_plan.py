"""What is done with each stream other than the picture: decided before any work is done."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import AttachmentStream, DataStream, Discard, Disposition, Stream

from vidcolor.errors import OutputError
from vidcolor.media.audio_convert import ANY_CODEC, SoundTarget, choose_sound
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.probe import Film

TEXT_SUBTITLES = ("srt", "subrip", "ssa", "ass", "mov_text", "webvtt", "text")
"""Text subtitles, which FFmpeg can convert."""
TEXT_CODEC_OF_FORMAT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt"}
SUFFIX_OF_FORMAT = {"matroska": ".mkv", "mov": ".mov", "mp4": ".mp4"}

How = Literal["copy", "convert", "attach", "remake", "leave"]


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What is done with one stream of the film."""

    index: int
    """Number of the stream in the film."""
    how: How
    """copy: packet by packet; convert: as other text or sound; attach: as a file or cover in the
    container; remake: the container rebuilds it from tags or chapters; leave: left out."""
    sound: SoundTarget | None = None
    """How converted sound is written."""
    why: str = ""
    """Why it is not copied."""


def plan_tracks(
    container: InputContainer, film: Film, out: Path, output_format: str, changes: Changes
) -> tuple[Carried, ...]:
    """Decide what is done with each stream other than the picture, in the film's order.

    Raises:
        OutputError: the container cannot hold a sound track in any form, or, with --strict, it
            cannot hold a stream unchanged; names a container that can.
    """
    tracks = []
    for stream in container.streams:
        if stream.index == film.stream_index:
            continue
        track = _carried(stream, output_format)
        if track.how == "leave" and stream.type == "audio":
            raise OutputError(
                f"{out}: cannot hold the sound of stream {stream.index} "
                f"({describe_stream(stream)}) and "
                f"FFmpeg cannot convert it; {_way_out(stream)}"
            )
        if track.how == "leave":
            changes.add(
                f"{out}: stream {stream.index} ({describe_stream(stream)}) is left out: "
                f"{track.why}; "
                f"{_way_out(stream)}"
            )
        elif track.how == "convert":
            changes.add(
                f"{out}: stream {stream.index} ({describe_stream(stream)}) is written as "
                f"{track.why}; "
                f"{_way_out(stream)}"
            )
        tracks.append(track)
    return tuple(tracks)


def _carried(stream: Stream, output_format: str) -> Carried:
    number = stream.index
    if stream.disposition & Disposition.timed_thumbnails or stream.discard == Discard.all:
        return _chapter_track(stream)
    if stream.disposition & Disposition.attached_pic or stream.type == "attachment":
        return _attached(stream, output_format)
    if stream.type == "data" and "timecode" in stream.metadata:
        return Carried(index=number, how="remake", why="rebuilt from the timecode tag")
    if _can_copy(stream, output_format):
        return Carried(index=number, how="copy")
    if isinstance(stream, AudioStream) and stream.codec_context is not None:
        sound = choose_sound(stream, output_format)
        if sound is not None:
            return Carried(index=number, how="convert", sound=sound, why=_sound_words(sound))
    name = stream.codec_context.name if stream.codec_context else ""
    if stream.type == "subtitle" and name in TEXT_SUBTITLES:
        text = TEXT_CODEC_OF_FORMAT[output_format]
        return Carried(index=number, how="convert", why=f"{text}, the container's text format")
    return Carried(index=number, how="leave", why="the container cannot hold it")


def _chapter_track(stream: Stream) -> Carried:
    """Return what is done with the tracks in which MP4 stores chapters: titles and pictures."""
    if stream.type == "video":
        return Carried(index=stream.index, how="leave", why="no container keeps chapter pictures")
    return Carried(index=stream.index, how="remake", why="rebuilt from the chapters")


def _attached(stream: Stream, output_format: str) -> Carried:
    is_held = output_format == "matroska" or (
        stream.type == "video" and output_format == "mp4" and _can_copy(stream, output_format)
    )
    if is_held:
        return Carried(index=stream.index, how="attach")
    kind = "cover pictures" if stream.type == "video" else "attached files"
    return Carried(index=stream.index, how="leave", why=f"the container cannot hold such {kind}")


def _sound_words(sound: SoundTarget) -> str:
    words = f"{sound}, lossless" if sound.is_exact else f"{sound}, rounded"
    if not sound.keeps_layout:
        words += f", without its channel layout ({sound.layout})"
    return words


def _can_copy(stream: Stream, output_format: str) -> bool:
    """Try it: FFmpeg refuses some pairs when the stream is added, others with the header."""
    try:
        with av.open(io.BytesIO(), "w", format=output_format, container_options=ANY_CODEC) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _way_out(stream: Stream) -> str:
    """Return which container keeps the stream unchanged."""
    for output_format, suffix in SUFFIX_OF_FORMAT.items():
        if _carried(stream, output_format).how in ("copy", "attach"):
            return f"{suffix} keeps it"
    return "no supported container keeps it"


def describe_stream(stream: Stream) -> str:
    """Return a short description of a stream, for messages."""
    name = stream.name if isinstance(stream, AttachmentStream) else codec_name(stream)
    language = stream.metadata.get("language")
    return " ".join(word for word in (stream.type, name, language) if word not in (None, "und"))


def codec_name(stream: Stream) -> str | None:
    """Return FFmpeg's name of the codec; None if it is unknown."""
    if stream.codec_context is not None:
        return stream.codec_context.codec.canonical_name
    return stream.name if isinstance(stream, DataStream) else None
