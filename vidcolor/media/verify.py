"""The finished file, read back before it gets its name."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Stream

from vidcolor.errors import OutputError
from vidcolor.media.carry import WrittenTrack
from vidcolor.media.changes import Changes
from vidcolor.media.film import KEEP_BYTES, fraction
from vidcolor.media.plan import OutputPlan
from vidcolor.media.timing import PacketTimes


def verify(
    whole: Path,
    plan: OutputPlan,
    times: PacketTimes,
    tracks: Sequence[WrittenTrack],
    changes: Changes,
) -> None:
    """Check that every packet is there, every frame at its time, and that the film decodes.

    Args:
        whole: the file.
        plan: by which it was written.
        times: of the picture's packets.
        tracks: the other streams, in the order they were added; none without packets, which
            MP4 drops.
        changes: gets the languages that the container does not know.

    Raises:
        OutputError: something is not as it was meant.
    """
    packet_counts: Counter[int] = Counter()
    shown: list[Fraction] = []
    with av.open(str(whole), **KEEP_BYTES) as container:
        picture = container.streams.video[0]
        base = fraction(picture.time_base) or Fraction(1)
        for packet in container.demux():
            if packet.size:
                packet_counts[packet.stream.index] += 1
                if packet.stream.index == picture.index:
                    shown.append((packet.pts or 0) * base)
        streams = [container.streams[i] for i in sorted(packet_counts)]
        _check_tracks(streams, packet_counts, plan, tracks, changes)
    _check_times(sorted(shown), plan, times)
    _check_decoding(whole, plan)


def _check_tracks(
    streams: Sequence[Stream],
    packet_counts: Counter[int],
    plan: OutputPlan,
    tracks: Sequence[WrittenTrack],
    changes: Changes,
) -> None:
    """Compare the streams beside the picture; MP4 adds its own for chapters after them."""
    company = streams[1:]
    if len(company) < len(tracks):
        raise OutputError(f"{plan.out}: was not written whole, a stream is missing; try again")
    for track, stream in zip(tracks, company, strict=False):
        if packet_counts[stream.index] < track.packet_count:
            raise OutputError(
                f"{plan.out}: was not written whole ({packet_counts[stream.index]} of "
                f"{track.packet_count} packets in stream {stream.index}); try again"
            )
        if track.language != "und" and stream.metadata.get("language", "und") == "und":
            changes.add(
                f"{plan.out}: cannot note the language {track.language} of stream "
                f"{stream.index}; .mkv and .mp4 can"
            )


def _check_times(shown: Sequence[Fraction], plan: OutputPlan, times: PacketTimes) -> None:
    meant = sorted(times.shown)
    if len(shown) != len(meant):
        raise OutputError(f"{plan.out}: holds {len(shown)} of {len(meant)} frames; try again")
    # Matroska starts all streams later if one of them starts before zero, as priming sound does.
    shift = shown[0] - meant[0] * times.tick if plan.format == "matroska" else 0
    for wanted, found in zip(meant, shown, strict=True):
        if found - shift != wanted * times.tick:
            raise OutputError(
                f"{plan.out}: a frame stands at {float(found):.6f} s instead of "
                f"{float(wanted * times.tick):.6f} s; report this"
            )


def _check_decoding(whole: Path, plan: OutputPlan) -> None:
    """Decode the first frame, and from the last keyframe to the last frame."""
    with av.open(str(whole), **KEEP_BYTES) as container:
        picture = container.streams.video[0]
        first = next(container.decode(picture), None)
        container.seek(1 << 40, stream=picture)
        last_count = sum(1 for _ in container.decode(picture))
    if first is None or not last_count:
        raise OutputError(f"{plan.out}: its frames do not decode; report this")
