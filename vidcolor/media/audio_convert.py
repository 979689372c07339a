"""Convert sound that the container cannot hold: decode it and encode it without loss."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from numpy.typing import NDArray

from vidcolor.errors import OutputError
from vidcolor.media.probe import fraction

ANY_CODEC = {"strict": "experimental"}
"""FFmpeg calls a few common pairs of codec and container experimental."""
PACKED = {"mp4": "flac", "matroska": "flac", "mov": "alac"}
"""Each container's compressed lossless codec."""
BITS_32 = ("pcm_s32", "flac", "alac", "wavpack", "als")
"""Codecs that may use all 32 bits of FFmpeg's 32-bit samples; the others have 24 at most."""
DEFAULT_LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "4.0",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
"""FFmpeg's layout for a number of channels, where the film names none."""
FULL_SCALE_24 = 1 << 23
LONGEST_GAP_SECONDS = 3600
"""A longer jump of the timestamps is taken for an error in them, not for silence."""
SILENCE_SAMPLES = 1 << 16
"""Silence is made in blocks of this many samples, so that memory stays small."""
MANY_PLANES = 8
"""From this many planes on, PyAV 18 counts one too many."""
TRIAL_SAMPLES = 8192
"""More than a frame of any of the encoders."""
SAMPLE_TYPES = {"s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
"""NumPy's types of FFmpeg's sample formats, by their first letters."""

Samples = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class SoundTarget:
    """How the sound of one track is written."""

    codec: str
    """FFmpeg's name of the encoder."""
    sample_format: str
    """Sample format that the encoder takes."""
    bits: int
    """Bits of a sample in the result."""
    rate: int
    layout: str
    is_exact: bool
    """The samples are the decoder's own; else they are rounded to `bits`."""
    keeps_layout: bool
    """The container stores the channel layout."""

    def __str__(self) -> str:
        """Return the codec and depth, for messages."""
        name = self.codec.partition("_")[0].upper()
        return f"{self.bits}-bit {name}"


def choose_sound(stream: AudioStream, output_format: str) -> SoundTarget | None:
    """Return the smallest lossless form in which the container holds the track; None if none."""
    codec = stream.codec_context
    layout = codec.layout.name
    if layout.endswith("channels"):
        layout = DEFAULT_LAYOUTS.get(codec.channels, layout)
    usable = []
    for name, sample_format, bits in _candidates(stream, output_format):
        returned = _returned_layout(name, sample_format, codec.sample_rate, layout, output_format)
        if returned is not None:
            usable.append(
                SoundTarget(
                    codec=name,
                    sample_format=sample_format,
                    bits=bits,
                    rate=codec.sample_rate,
                    layout=layout,
                    is_exact=not _is_rounded(stream),
                    keeps_layout=returned == layout or codec.channels <= 2,
                )
            )
    return next((target for target in usable if target.keeps_layout), (*usable, None)[0])


def _candidates(stream: AudioStream, output_format: str) -> list[tuple[str, str, int]]:
    """Return encoder, sample format and bits, all of them exact, the smallest first."""
    packed = PACKED[output_format]
    planar = "p" if packed == "alac" else ""
    decoded = stream.codec_context.format.packed.name
    packed_24 = [(packed, f"s32{planar}", 24), ("pcm_s24le", "s32", 24)]
    if decoded in ("u8", "s16"):
        return [(packed, f"s16{planar}", 16), ("pcm_s16le", "s16", 16)]
    if decoded == "s32":
        has_32 = stream.codec_context.name.startswith(BITS_32)
        return [("pcm_s32le", "s32", 32)] if has_32 else packed_24
    if decoded == "flt":
        return packed_24 if _is_rounded(stream) else [("pcm_f32le", "flt", 32)]
    return [("pcm_f64le", "dbl", 64)] if decoded == "dbl" else []


def _is_rounded(stream: AudioStream) -> bool:
    """Lossy codecs decode to floats, which no lossless codec of the containers holds."""
    codec = stream.codec_context
    return codec.format.packed.name == "flt" and not codec.codec.lossless


def _returned_layout(
    codec: str, sample_format: str, rate: int, layout: str, output_format: str
) -> str | None:
    """Write some silence, and return the layout that is read back; None if it cannot be."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=output_format, container_options=ANY_CODEC) as trial:
            stream = _add_encoder(trial, codec, sample_format, rate, layout)
            channels = stream.codec_context.channels
            silence = np.zeros((TRIAL_SAMPLES, channels), SAMPLE_TYPES[sample_format[:3]])
            frame = _frame(silence, sample_format, layout, rate, 0)
            trial.mux([*stream.encode(frame), *stream.encode(None)])
        file.seek(0)
        with av.open(file) as written:
            sound = written.streams.audio[0].codec_context
            return sound.layout.name if sound.sample_rate == rate else None
    except (av.FFmpegError, ValueError, IndexError):
        return None


def _add_encoder(
    output: OutputContainer, codec: str, sample_format: str, rate: int, layout: str
) -> AudioStream:
    stream = output.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, AudioStream)
    stream.codec_context.format = av.AudioFormat(sample_format)
    stream.time_base = Fraction(1, rate)
    return stream


def _frame(
    samples: Samples, sample_format: str, layout: str, rate: int, position: int
) -> AudioFrame:
    """Return samples (n, channels) as FFmpeg wants them."""
    kind = av.AudioFormat(sample_format)
    laid = samples.T if kind.is_planar else samples.reshape(1, -1)
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(laid), sample_format, layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return frame


def samples_of(frame: AudioFrame, bits: int) -> Samples:
    """Return the samples (n, channels) of a decoded frame as they are written in `bits`."""
    if frame.format.is_planar and frame.layout.nb_channels >= MANY_PLANES:
        frame = av.AudioResampler(format=frame.format.packed, layout=frame.layout).resample(frame)[
            0
        ]
    array = frame.to_ndarray()
    samples: Samples
    samples = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        return (samples.astype(np.int16) - 128) << 8
    if samples.dtype == np.float32 and bits == 24:
        scaled = np.rint(np.nan_to_num(samples.astype(np.float64)) * FULL_SCALE_24)
        return np.clip(scaled, -FULL_SCALE_24, FULL_SCALE_24 - 1).astype(np.int32) << 8
    return samples


class SoundConverter:
    """Converts one track: packets of the film in, packets of the result out.

    Gaps are filled with silence and overlaps cut, so that sound stays in sync: the containers
    count samples and store no timestamps within a track.
    """

    def __init__(self, output: OutputContainer, target: SoundTarget, what: str) -> None:
        """Add the stream to `output`; before its header is written."""
        self.stream = _add_encoder(
            output, target.codec, target.sample_format, target.rate, target.layout
        )
        self.damaged = 0
        """Packets that did not decode, and jumps of the timestamps that were ignored."""
        self._target = target
        self._what = what
        self._position: int | None = None
        """Where the next sample belongs, in samples from the result's beginning."""
        self._rest: list[Samples] = []
        self._rest_start = 0

    def convert(
        self, packet: "Packet[AudioStream]", *, offset: Fraction, end: Fraction | None
    ) -> "Iterator[Packet[AudioStream]]":
        """Decode a packet and yield what is ready; a packet of size 0 flushes the decoder.

        Args:
            packet: of the film, with the film's timestamps.
            offset: seconds that are taken off every time; what is before zero is cut off.
            end: last moment, not included, after that.
        """
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            samples = self._checked(frame)
            for block in self._placed(samples, frame, offset, end):
                yield from self._encoded(block)

    def finish(self) -> "Iterator[Packet[AudioStream]]":
        """Yield what is left at the end of the film."""
        yield from self._encoded(None)

    def _checked(self, frame: AudioFrame) -> Samples:
        samples = samples_of(frame, self._target.bits)
        wanted = self._target.rate, self._channels, SAMPLE_TYPES[self._target.sample_format[:3]]
        found = frame.sample_rate, samples.shape[1], samples.dtype.type
        if found != wanted:
            raise OutputError(
                f"{self._what}: changes its sample rate, channels or sample format midway, so it "
                "cannot be converted; write to .mkv or convert the sound to FLAC first"
            )
        return samples

    @property
    def _channels(self) -> int:
        return self.stream.codec_context.channels

    def _placed(
        self, samples: Samples, frame: AudioFrame, offset: Fraction, end: Fraction | None
    ) -> Iterator[Samples]:
        """Yield silence up to the samples, then the samples that lie between zero and the end."""
        rate = self._target.rate
        start = self._start(frame, offset)
        if self._position is None:
            samples, start = samples[max(0, -start) :], max(0, start)
            if not len(samples):
                return
            self._position = self._rest_start = start
        silent = start - self._position
        last = None if end is None else round(end * rate)
        if last is not None:
            silent = min(silent, last - self._position)
        while silent > 0:
            count = min(silent, SILENCE_SAMPLES)
            self._position += count
            silent -= count
            yield np.zeros((count, self._channels), samples.dtype)
        samples = samples[max(0, self._position - start) :]
        if last is not None:
            samples = samples[: max(0, last - self._position)]
        self._position += len(samples)
        yield samples

    def _start(self, frame: AudioFrame, offset: Fraction) -> int:
        """Return the position of the frame's first sample; small jitter is ignored."""
        rate = self._target.rate
        base = fraction(frame.time_base)
        if frame.pts is None or base is None:
            return self._position or 0
        start = round((frame.pts * base - offset) * rate)
        if self._position is None:
            return start
        jump = abs(start - self._position)
        if jump > LONGEST_GAP_SECONDS * rate:
            self.damaged += 1
            return self._position
        jitter = max(Fraction(frame.samples, 2), 2 * base * rate)
        return self._position if jump <= jitter else start

    def _encoded(self, block: Samples | None) -> "Iterator[Packet[AudioStream]]":
        """Encode in frames of the encoder's size; None flushes the encoder."""
        target, size = self._target, self.stream.codec_context.frame_size
        if block is not None:
            self._rest.append(block)
        waiting = sum(len(samples) for samples in self._rest)
        if waiting and (block is None or waiting >= size):
            samples = np.concatenate(self._rest)
            whole = waiting if block is None or not size else waiting - waiting % size
            step = size or whole
            for first in range(0, whole, step):
                part = samples[first : min(first + step, whole)]
                frame = _frame(
                    part, target.sample_format, target.layout, target.rate, self._rest_start
                )
                self._rest_start += len(part)
                yield from self.stream.encode(frame)
            self._rest = [samples[whole:]]
        if block is None and self._position is not None:
            yield from self.stream.encode(None)
