"""What was done with each stream of a film."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from av.container import InputContainer
from av.stream import Stream

from vidcolor.media.expected import WrittenTrack
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.probe import Film
from vidcolor.media.stream_plan import How, codec_name

StreamResult = Literal["colored", "copied", "converted", "attached", "rebuilt", "left out"]

RESULTS: dict[How, StreamResult] = {
    "copy": "copied",
    "convert": "converted",
    "attach": "attached",
    "remake": "rebuilt",
    "leave": "left out",
}


@dataclass(frozen=True, kw_only=True)
class StreamAccount:
    """What was done with one stream of the film."""

    index: int
    """Number of the stream in the film."""
    kind: str
    """video, audio, subtitle, data or attachment."""
    codec: str | None
    """FFmpeg's name; None if it is unknown."""
    language: str | None
    title: str | None
    how: StreamResult
    result_codec: str | None
    """None if it is not a stream of the result."""
    packet_count: int
    """Packets in the result."""
    why: str
    """Why it was neither colored nor copied."""


def account(
    source: InputContainer,
    film: Film,
    plan: OutputPlan,
    written: Mapping[int, WrittenTrack],
    picture_packet_count: int,
) -> tuple[StreamAccount, ...]:
    """Return what was done with each stream, in the film's order.

    Args:
        source: the film.
        film: what `probe` found in it.
        plan: how it was rendered.
        written: the streams that were written, by their number in the film.
        picture_packet_count: packets of the colored picture.
    """
    picture = _entry(
        source.streams[film.stream_index],
        how="colored",
        result_codec=plan.codec,
        packet_count=picture_packet_count,
    )
    entries = [picture]
    for carried in plan.tracks:
        stream = source.streams[carried.index]
        track = written.get(carried.index)
        is_attached = carried.how == "attach"
        entries.append(
            _entry(
                stream,
                how=RESULTS[carried.how],
                result_codec=track.codec if track else codec_name(stream) if is_attached else None,
                packet_count=track.packet_count if track else int(is_attached),
                why=carried.why,
            )
        )
    return tuple(sorted(entries, key=lambda entry: entry.index))


def _entry(
    stream: Stream, *, how: StreamResult, result_codec: str | None, packet_count: int, why: str = ""
) -> StreamAccount:
    return StreamAccount(
        index=stream.index,
        kind=stream.type,
        codec=codec_name(stream),
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        how=how,
        result_codec=result_codec,
        packet_count=packet_count,
        why=why,
    )
