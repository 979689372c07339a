"""Copy or convert the streams other than the picture from the film to the result."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from vidcolor.errors import InputError
from vidcolor.media.audio_convert import SoundConverter
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.expected import WrittenTrack, digest_of
from vidcolor.media.metadata import note_stream
from vidcolor.media.probe import fraction
from vidcolor.media.stream_plan import TEXT_CODEC_OF_FORMAT, Carried, codec_name, describe_stream

COVER_KINDS = {"mjpeg": "jpeg", "png": "png", "bmp": "bmp", "gif": "gif", "webp": "webp"}
"""Image types of covers by codec, for Matroska; others have the codec's name."""
BROKEN_READS = 100
"""Failed reads after which the rest of a film is given up."""


class TrackCopier:
    """Reads the film's other streams once, in order, and yields the result's packets."""

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        tracks: tuple[Carried, ...],
        out: Path,
        changes: Changes,
    ) -> None:
        """Add the streams to `output`; before its header is written."""
        self._source = source
        self._out = out
        self._changes = changes
        self._outputs: dict[int, Stream] = {}
        self._sounds: dict[int, SoundConverter] = {}
        self._texts: set[int] = set()
        self._covers: set[int] = set()
        self._last_dts: dict[int, int] = {}
        self._last_step: dict[int, int] = {}
        self._broken = 0
        """Damaged places of the film that were skipped."""
        self._unusable: Counter[int] = Counter()
        """Packets that could not be used, by the stream's number in the film."""
        self.written: dict[int, WrittenTrack] = {}
        """What was written, by the stream's number in the film, in the result's order."""
        self.attached: dict[int, bytes] = {}
        """Digests of attached files and covers, by the stream's number in the film."""
        for track in tracks:
            if track.how in ("copy", "convert", "attach"):
                self._add(source.streams[track.index], output, track)

    def _add(self, stream: Stream, output: OutputContainer, track: Carried) -> None:
        if track.how == "attach":
            self._attach(stream, output)
            return
        added: Stream
        if track.how == "copy":
            added = output.add_stream_from_template(stream, opaque=True)
        elif track.sound is not None:
            self._sounds[stream.index] = SoundConverter(
                output, track.sound, f"{self._out}: the sound of stream {stream.index}"
            )
            added = self._sounds[stream.index].stream
        else:
            added = _add_text(stream, output)
            self._texts.add(stream.index)
        note_stream(stream, added, output.format.name, with_timecode=True)
        self._outputs[stream.index] = added
        self.written[stream.index] = WrittenTrack(index=stream.index, codec=codec_name(added))

    def _attach(self, stream: Stream, output: OutputContainer) -> None:
        """Attach a font or a cover; in MP4 a cover is a packet of a stream."""
        if stream.type == "attachment":
            added = output.add_stream_from_template(stream, opaque=True)
            note_stream(stream, added, output.format.name, with_timecode=True)
            self.attached[stream.index] = digest_of(cast(Any, stream).data)
        elif output.format.name == "matroska":
            data = _cover_bytes(self._source, stream)
            name = stream.codec_context.name
            kind = COVER_KINDS.get(name, name)
            file_name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
            output.add_attachment(file_name, f"image/{kind}", data)
            self.attached[stream.index] = digest_of(data)
        else:
            added = output.add_stream_from_template(stream, opaque=True)
            note_stream(stream, added, output.format.name, with_timecode=True)
            self._outputs[stream.index] = added
            self._covers.add(stream.index)

    def packets(self, *, offset: Fraction, end: Fraction | None) -> "Iterator[Packet[Stream]]":
        """Yield packets for the result, in the film's order.

        Args:
            offset: seconds that are taken off every time.
            end: last moment, not included, after that; None keeps everything.
        """
        streams = [self._source.streams[index] for index in self._outputs]
        for packet in self._demuxed(streams) if streams else ():
            index = packet.stream.index
            if index in self._sounds:
                yield from self._converted_sound(packet, offset, end)
            elif packet.size and index in self._covers:
                yield from self._cover(packet)
            elif (
                packet.size and self._is_timed(packet, offset) and _is_in_part(packet, offset, end)
            ):
                yield from self._copied(packet)
        self._report()

    def _demuxed(self, streams: list[Stream]) -> "Iterator[Packet[Stream]]":
        """Yield packets, skipping damage; at the end an empty one per stream."""
        for _ in range(BROKEN_READS):
            try:
                yield from self._source.demux(*streams)
                return
            except av.FFmpegError:
                self._broken += 1

    def _converted_sound(
        self, packet: "Packet[Stream]", offset: Fraction, end: Fraction | None
    ) -> "Iterator[Packet[Stream]]":
        index = packet.stream.index
        sound = self._sounds[index]
        ready = [sound.convert(cast(Any, packet), offset=offset, end=end)]
        if not packet.size:
            ready.append(sound.finish())
        for converted in chain.from_iterable(ready):
            if converted.size:
                self._count(index, cast(Any, converted))
            yield cast(Any, converted)

    def _cover(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        index = packet.stream.index
        if index not in self.attached:
            self.attached[index] = digest_of(bytes(packet))
            packet.pts = packet.dts = 0
            packet.stream = self._outputs[index]
            yield packet

    def _is_timed(self, packet: "Packet[Stream]", offset: Fraction) -> bool:
        """Shift a packet to the result's time; one without a time follows the one before it."""
        index = packet.stream.index
        shift = round(offset / (fraction(packet.time_base) or Fraction(1, 1000)))
        pts = None if packet.pts is None else packet.pts - shift
        dts = None if packet.dts is None else packet.dts - shift
        if dts is None and index in self._last_dts:
            dts = self._last_dts[index] + self._last_step.get(index, 1)
        dts = pts if dts is None else dts
        packet.pts, packet.dts = dts if pts is None else pts, dts
        self._unusable[index] += dts is None
        return dts is not None

    def _copied(self, packet: "Packet[Stream]") -> "Iterator[Packet[Stream]]":
        index, kind = packet.stream.index, packet.stream.type
        if kind == "video" and index not in self._last_dts and not packet.is_keyframe:
            return  # what comes before the first keyframe of a part cannot be shown
        self._order(packet)
        ready = self._as_other_text(packet) if index in self._texts else packet
        if ready is not None:
            ready.stream = self._outputs[index]
            self._count(index, ready)
            yield ready

    def _order(self, packet: "Packet[Stream]") -> None:
        """Keep decoding times rising, and give packets without a duration the last step."""
        index = packet.stream.index
        assert packet.dts is not None
        assert packet.pts is not None
        if index in self._last_dts:
            packet.dts = max(packet.dts, self._last_dts[index] + 1)
            packet.pts = max(packet.pts, packet.dts)
            self._last_step[index] = packet.dts - self._last_dts[index]
        self._last_dts[index] = packet.dts
        # MP4 hides a last packet that lasts no time.
        if packet.stream.type != "subtitle" and not packet.duration:
            packet.duration = self._last_step.get(index, 1)

    def _as_other_text(self, packet: "Packet[Stream]") -> "Packet[Stream] | None":
        """Return a text subtitle in the result's format; None for a packet without text."""
        stream = packet.stream
        decoder = cast(SubtitleCodecContext, stream.codec_context)
        encoder = cast(SubtitleCodecContext, self._outputs[stream.index].codec_context)
        try:
            subtitle = decoder.decode2(packet)
            if subtitle is None or not len(subtitle):
                return None
            text = encoder.encode_subtitle(subtitle)
        except av.FFmpegError:
            self._unusable[stream.index] += 1
            return None
        text.pts, text.dts, text.duration = packet.pts, packet.dts, packet.duration
        text.time_base = packet.time_base
        return text

    def _count(self, index: int, packet: "Packet[Stream]") -> None:
        self.written[index].packet_count += 1
        self.written[index].fingerprint.add(self._outputs[index], packet)

    def _report(self) -> None:
        """Report what could not be read of the film's other streams."""
        if self._broken:
            self._changes.add(
                f"{self._source.name.removeprefix('file:')}: is damaged in {self._broken} places; "
                "sound and subtitles there may be lost",
                InputError,
            )
        for index, sound in self._sounds.items():
            self._unusable[index] += sound.damaged
        for index, count in sorted(self._unusable.items()):
            if count:
                self._changes.add(
                    f"{self._source.name.removeprefix('file:')}: {count} packets of stream {index} "
                    f"({describe_stream(self._source.streams[index])}) could not be used",
                    InputError,
                )


def _is_in_part(packet: "Packet[Stream]", offset: Fraction, end: Fraction | None) -> bool:
    """Tell whether a packet, by its new time, is in the part; cut a subtitle to it."""
    if offset <= 0 and end is None:
        return True
    assert packet.pts is not None
    base = fraction(packet.time_base) or Fraction(1, 1000)
    last = None if end is None else -int(-end // base)
    if packet.stream.type == "subtitle" and packet.duration:
        _cut(packet, last)
    late = packet.dts if packet.stream.type == "video" else packet.pts
    return packet.pts >= 0 and (last is None or (late or 0) < last)


def _cut(packet: "Packet[Stream]", last: int | None) -> None:
    """Cut a subtitle to the part: it starts and ends with it at the latest."""
    starts = packet.pts or 0
    ends = starts + (packet.duration or 0)
    if last is not None:
        ends = min(ends, last)
    if starts < 0 < ends:
        starts = 0
        packet.pts = packet.dts = 0
    packet.duration = max(ends - starts, 0)


def _cover_bytes(source: InputContainer, stream: Stream) -> bytes:
    packet = next((packet for packet in source.demux(stream) if packet.size), None)
    source.seek(0)
    return b"" if packet is None else bytes(packet)


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
