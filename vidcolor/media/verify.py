"""Read the finished file back before it is renamed."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from vidcolor.errors import OutputError
from vidcolor.media.expected import TrackDigest, Written, WrittenTrack, digest_of
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.probe import KEEP_BYTES, fraction
from vidcolor.media.timing import PacketTimes

OTHER_BYTES = (
    "stream {} reads back with different bytes than were written; check the disk and try again"
)


@dataclass
class _ReadBack:
    """What a file contains, by stream."""

    indexes: list[int]
    """Numbers of the streams with packets, in order; the picture is the first."""
    shown: NDArray[np.int64]
    """Times of the picture's packets, ticks of its stream, rising."""
    packet_counts: Counter[int]
    fingerprints: dict[int, TrackDigest] = field(default_factory=dict)
    attached: set[bytes] = field(default_factory=set)


def verify(path: Path, plan: OutputPlan, written: Written) -> None:
    """Read the file back and compare it, as thoroughly as `plan.verify` says.

    quick: every packet is there, every frame at its time, the first and last frames decode.
    full: the other streams have the bytes that they were written with, and every frame decodes.
    none: nothing is read back.

    Raises:
        OutputError: something differs from what was written.
    """
    if plan.verify == "none":
        return
    is_full = plan.verify == "full"
    with av.open(str(path), **KEEP_BYTES) as container:
        found = _read(container)
        _check_tracks(found, plan, written.tracks, is_full=is_full)
        if is_full and found.fingerprints[found.indexes[0]] != written.picture:
            raise OutputError(f"{plan.out}: {OTHER_BYTES.format(0)}")
        _check_attached(found, plan, written.attached)
        base = fraction(container.streams.video[0].time_base) or Fraction(1)
        _check_times(found.shown, base, plan, written.times)
    if is_full:
        _check_all_frames(path, plan, len(found.shown))
    else:
        _check_ends(path, plan)


def _read(container: InputContainer) -> _ReadBack:
    """Read all packets; memory grows by one timestamp a frame only."""
    picture = container.streams.video[0]
    shown = array("q")
    found = _ReadBack([], np.empty(0, np.int64), Counter())
    for packet in container.demux():
        stream = packet.stream
        if not packet.size:
            continue
        if stream.disposition & Disposition.attached_pic:
            found.attached.add(digest_of(bytes(packet)))
            continue
        found.packet_counts[stream.index] += 1
        if stream.index == picture.index:
            shown.append(packet.pts or 0)
        found.fingerprints.setdefault(stream.index, TrackDigest()).add(stream, packet)
    for stream in container.streams.attachments:
        found.attached.add(digest_of(cast(Any, stream).data))
    found.indexes = sorted(found.packet_counts)
    found.shown = np.sort(np.frombuffer(shown, np.int64))
    return found


def _check_tracks(
    found: _ReadBack, plan: OutputPlan, tracks: Sequence[WrittenTrack], *, is_full: bool
) -> None:
    """Compare the streams other than the picture; MP4 adds its own for chapters after them."""
    others = found.indexes[1:]
    if len(others) < len(tracks):
        raise OutputError(f"{plan.out}: is incomplete, a stream is missing; try again")
    for track, index in zip(tracks, others, strict=False):
        fingerprint, count = found.fingerprints[index], found.packet_counts[index]
        meant = track.fingerprint
        if meant.is_rewritten and count < track.packet_count:
            raise OutputError(
                f"{plan.out}: is incomplete ({count} of {track.packet_count} packets in "
                f"stream {index}); try again"
            )
        if not meant.is_rewritten and fingerprint.byte_count != meant.byte_count:
            raise OutputError(
                f"{plan.out}: is incomplete ({fingerprint.byte_count} of "
                f"{meant.byte_count} bytes in stream {index}); try again"
            )
        if is_full and not meant.is_rewritten and fingerprint != meant:
            raise OutputError(f"{plan.out}: {OTHER_BYTES.format(index)}")


def _check_attached(found: _ReadBack, plan: OutputPlan, attached: Mapping[int, bytes]) -> None:
    for index, meant in attached.items():
        if meant not in found.attached:
            raise OutputError(
                f"{plan.out}: the attached file of stream {index} does not read back; try again"
            )


def _check_times(
    shown: NDArray[np.int64], base: Fraction, plan: OutputPlan, times: PacketTimes
) -> None:
    meant = np.sort(np.frombuffer(times.shown, np.int64))
    if len(shown) != len(meant):
        raise OutputError(f"{plan.out}: holds {len(shown)} of {len(meant)} frames; try again")
    ratio = base * times.ticks_per_second
    found, wanted = shown * ratio.numerator, meant * ratio.denominator
    # Matroska starts all streams later if one of them starts before zero, as priming sound does.
    shift = found[0] - wanted[0] if plan.format == "matroska" else 0
    wrong = np.flatnonzero(found - shift != wanted)
    if len(wrong):
        number = int(wrong[0])
        raise OutputError(
            f"{plan.out}: frame {number} is at {float(shown[number] * base):.6f} s instead of "
            f"{float(int(meant[number]) * times.tick):.6f} s; report this"
        )


def _check_ends(path: Path, plan: OutputPlan) -> None:
    """Decode the first frame, and from the last keyframe to the last frame."""
    with av.open(str(path), **KEEP_BYTES) as container:
        picture = container.streams.video[0]
        first = next(container.decode(picture), None)
        container.seek(1 << 40, stream=picture)
        last_count = sum(1 for _ in container.decode(picture))
    if first is None or not last_count:
        raise OutputError(f"{plan.out}: its frames do not decode; report this")


def _check_all_frames(path: Path, plan: OutputPlan, wanted: int) -> None:
    frame_count = 0
    try:
        with av.open(str(path), **KEEP_BYTES) as container:
            picture = container.streams.video[0]
            picture.thread_type = "AUTO"
            picture.codec_context.options = {"err_detect": "explode"}
            for frame in container.decode(picture):
                frame_count += not frame.is_corrupt
    except av.FFmpegError as error:
        raise OutputError(
            f"{plan.out}: decodes only up to frame {frame_count} of {wanted}; check the disk and "
            "try again"
        ) from error
    if frame_count != wanted:
        raise OutputError(f"{plan.out}: {frame_count} of {wanted} frames decode; report this")
