"""What should be in the result, to compare with what reads back from it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from av.packet import Packet
from av.stream import Stream

from vidcolor.media.timing import PacketTimes


class TrackDigest:
    """The bytes of a track's packets, however a container divides them."""

    def __init__(self) -> None:
        self.byte_count = 0
        self.is_rewritten = False
        """Video with start codes, which MP4 and Matroska replace with lengths."""
        self._digest = hashlib.blake2b()

    def add(self, stream: Stream, packet: "Packet[Stream]") -> None:
        """Add a packet, without what muxers and demuxers add or remove."""
        data = bytes(packet)
        if stream.type == "video":
            self.is_rewritten |= data.startswith((b"\0\0\1", b"\0\0\0\1"))
        elif stream.type == "audio" and stream.codec_context.name == "aac":
            data = data[_adts_size(data) :]
        elif stream.type == "subtitle" and data == b"\0\0":
            return  # MP4 fills the time between texts with empty ones
        self.byte_count += len(data)
        self._digest.update(data)

    def __eq__(self, other: object) -> bool:
        """Tell whether two tracks have the same bytes."""
        return isinstance(other, TrackDigest) and self._digest.digest() == other._digest.digest()

    __hash__ = None  # type: ignore[assignment]


@dataclass
class WrittenTrack:
    """What was written to a stream of the result."""

    index: int
    """Number of the stream in the film."""
    codec: str | None
    """FFmpeg's name of what was written."""
    packet_count: int = 0
    fingerprint: TrackDigest = field(default_factory=TrackDigest)


def _adts_size(data: bytes) -> int:
    """Return the size of the header that a broadcast puts before each packet of AAC, or 0."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return 0
    return 7 if data[1] & 1 else 9


@dataclass(kw_only=True)
class Written:
    """What should be in the result."""

    times: PacketTimes
    """Of the picture's packets."""
    picture: TrackDigest
    """Of the picture's packets."""
    tracks: Sequence[WrittenTrack]
    """The other streams, in the order they were added; none without packets, which MP4 drops."""
    attached: Mapping[int, bytes]
    """Digests of attached files and covers, by the stream's number in the film."""


def digest_of(data: bytes) -> bytes:
    """Return the digest of an attached file."""
    return hashlib.blake2b(data).digest()
