"""Join the segments into the finished film, and copy the other streams."""

import heapq
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vidcolor.errors import OutputError
from vidcolor.files import sync_file
from vidcolor.media.audio_convert import ANY_CODEC
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.encode import SEGMENT_START_TICKS, clocks, tag_picture
from vidcolor.media.expected import TrackDigest, Written
from vidcolor.media.metadata import carry_header, note_stream
from vidcolor.media.output_errors import output_errors
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.probe import KEEP_BYTES, Film, fraction, open_film
from vidcolor.media.stream_copy import TrackCopier
from vidcolor.media.stream_report import StreamAccount, account
from vidcolor.media.timing import PacketTimes, packet_times
from vidcolor.media.verify import verify


def join(
    segments: Sequence[Path],
    film: Film,
    plan: OutputPlan,
    changes: Changes,
    *,
    before_rename: Callable[[Path], None] | None = None,
) -> tuple[StreamAccount, ...]:
    """Write the segments and the film's other streams to `plan.out`, without encoding again.

    It is written next to its segments, read back and compared, and only then renamed. The
    segments are never changed.

    Args:
        segments: files of SegmentWriter, in the order of their times, all of one plan.
        film: the source of the segments; its other streams are read from its file.
        plan: what `check_output` decided.
        changes: gets what was damaged in the film's other streams.
        before_rename: called with the file once it is complete and on the disk.

    Returns:
        What was done with each stream of the film.

    Raises:
        InputError: with --strict, the film's other streams are damaged.
        OutputError: it cannot be written, it reads back differently, or the segments do not
            fit together.
    """
    joined = segments[0].parent / f"film{plan.out.suffix}"
    times = _times_of(segments, film, plan)
    try:
        with output_errors(plan.out):
            written, accounts = _write(joined, segments, film, plan, times, changes)
            verify(joined, plan, written)
            sync_file(joined)
            if before_rename is not None:
                before_rename(joined)
            joined.replace(plan.out)
            sync_file(plan.out.parent)
    finally:
        joined.unlink(missing_ok=True)
    return accounts


def _times_of(segments: Sequence[Path], film: Film, plan: OutputPlan) -> PacketTimes:
    """Read the packets' timestamps, and check that one decoder can read all of them."""
    stored, last_duration = array("q"), 0
    headers: bytes | None = None
    for number, segment in enumerate(segments):
        with av.open(str(segment)) as container:
            stream = container.streams.video[0]
            own = stream.codec_context.extradata or b""
            headers = own if headers is None else headers
            if own != headers:
                raise OutputError(
                    f"{plan.out}: segment {number} was encoded differently from the first, so they "
                    "cannot be joined; start over with --restart"
                )
            for packet in container.demux(stream):
                if packet.size:
                    stored.append(_film_ticks(packet.pts, stream, film) - SEGMENT_START_TICKS)
                    last_duration = _film_ticks(packet.duration, stream, film)
    if len(np.unique(np.frombuffer(stored, np.int64))) < len(stored):
        raise OutputError(f"{plan.out}: two frames have the same timestamp; report this")
    return packet_times(
        stored,
        film.time_base,
        last_duration=last_duration,
        is_matroska=plan.format == "matroska",
    )


def _film_ticks(time: int | None, stream: VideoStream, film: Film) -> int:
    """Return a time of a segment in the film's ticks."""
    return round((time or 0) * (fraction(stream.time_base) or 0) / film.time_base)


def _write(
    joined: Path,
    segments: Sequence[Path],
    film: Film,
    plan: OutputPlan,
    times: PacketTimes,
    changes: Changes,
) -> tuple[Written, tuple[StreamAccount, ...]]:
    """Write the result; return what was written, and a report on the film's streams."""
    end = None
    if plan.end is not None:
        end = film.start_seconds + plan.end - plan.offset
    with ExitStack() as stack:
        source = stack.enter_context(open_film(film))
        first = stack.enter_context(av.open(str(segments[0])))
        output = stack.enter_context(
            av.open(
                str(joined),
                "w",
                format=plan.format,
                container_options=clocks(times.ticks_per_second) | ANY_CODEC,
                **KEEP_BYTES,
            )
        )
        picture = _add_picture(output, first.streams.video[0], film, times.tick)
        note_stream(
            source.streams[film.stream_index],
            picture,
            plan.format,
            with_timecode=plan.has_timecode,
        )
        copier = TrackCopier(source, output, plan.tracks, plan.out, changes)
        carry_header(source, output, offset=plan.offset, end=end, with_timecode=plan.has_timecode)
        output.start_encoding()
        fingerprint = TrackDigest()
        pictures = _picture_packets(segments, picture, times, fingerprint)
        others = copier.packets(offset=plan.offset, end=end)
        for packet in heapq.merge(pictures, others, key=_decoding_seconds):
            output.mux(packet)
        tracks = [track for track in copier.written.values() if track.packet_count]
        written = Written(times=times, picture=fingerprint, tracks=tracks, attached=copier.attached)
        return written, account(source, film, plan, copier.written, len(times.shown))


def _add_picture(
    output: OutputContainer, template: VideoStream, film: Film, tick: Fraction
) -> VideoStream:
    stream = output.add_stream_from_template(template, opaque=True)
    assert isinstance(stream, VideoStream)
    stream.time_base = tick
    if film.rate:
        stream.codec_context.framerate = film.rate
    tag_picture(stream, film)
    return stream


def _picture_packets(
    segments: Sequence[Path], output: VideoStream, times: PacketTimes, fingerprint: TrackDigest
) -> "Iterator[Packet[Stream]]":
    """Yield the packets of the segments with decoding times that rise across all of them."""
    number = 0
    for segment in segments:
        with av.open(str(segment)) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                packet.pts, packet.dts = times.shown[number], times.decoded[number]
                packet.duration = times.last_duration
                packet.time_base = times.tick
                packet.stream = output
                number += 1
                fingerprint.add(output, cast("Packet[Stream]", packet))
                yield cast("Packet[Stream]", packet)


def _decoding_seconds(packet: "Packet[Stream]") -> float:
    return float((packet.dts or 0) * packet.time_base)
