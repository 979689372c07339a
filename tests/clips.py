"""Clips that the tests draw themselves, with PyAV; nothing is stored or downloaded.

Import it as `from tests.clips import draw_clip, Clip` (tests/conftest.py puts the checkout on the
import path), or take the fixture `draw`, which draws into the test's own folder:

    def test_something(draw):
        path = draw("late.mkv", frames=10, audio=2, first_seconds=0.5)

`draw_clip(path, **anything in Clip)` returns the path. Pictures are moving shapes on a gradient;
frame `n` of shot `s` is `picture(n, s, width, height)`, RGB, so that a test knows the truth.
`luma_of(path)` reads the luma planes back without going through vidcolor.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

TURNED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
"""Display matrix of a film that is shown turned by a quarter, clockwise."""
HARD_TO_ENTER: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {"codec_options": {"x264-params": "bframes=3:open-gop=1:keyint=20"}},
    "refresh.mp4": {"codec_options": {"x264-params": "intra-refresh=1:keyint=40:bframes=0"}},
    "mpeg2.ts": {
        "codec": "mpeg2video",
        "codec_options": {"bf": "2", "g": "12"},
        "time_base": Fraction(1, 25),
    },
}
"""Names and fields of clips in whose middle a decoder needs more than the frame it is shown."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What a clip shall be like; the default is a second of tiny grey H.264 at 25 frames/s."""

    frames: int = 25
    width: int = 64
    height: int = 48
    rate: Fraction = Fraction(25)
    times: tuple[Fraction, ...] | None = None
    """Seconds of each frame, for a variable rate; None: evenly at `rate`."""
    first_seconds: Fraction | float = 0
    """When the first frame is shown."""
    last_seconds: Fraction | None = None
    """How long the last frame is shown; None: as long as `rate` says."""
    time_base: Fraction | None = None
    """None: fine enough for `rate`."""
    is_color: bool = False
    """Colored shapes; else neutral chroma (or no chroma planes with pix_fmt gray)."""
    cuts: tuple[int, ...] = ()
    """Frames at which a new shot begins."""
    black: tuple[int, ...] = ()
    """Frames that show nothing."""
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    full_range: bool = False
    matrix: int = 2
    """Number of ITU-T H.273: 1 bt709, 6 bt601, 9 bt2020, 2 unspecified."""
    sample_aspect_ratio: Fraction | None = None
    display_matrix: tuple[int, ...] | None = None
    is_lossless: bool = True
    codec_options: dict[str, str] = field(default_factory=dict)
    audio: int = 0
    """Number of AAC tracks: tones of 440, 550, ... Hz."""
    audio_codec: str = "aac"
    audio_seconds: float | None = None
    """None: as long as the picture."""
    languages: tuple[str, ...] = ("eng", "fra", "deu")
    title: str | None = None
    chapters: tuple[tuple[float, float, str], ...] = ()


def draw_clip(path: Path, clip: Clip | None = None, **wanted: Any) -> Path:
    """Write a clip as `wanted` (fields of Clip) says and return its path."""
    clip = clip or Clip(**wanted)
    rate = Fraction(clip.rate)
    base = clip.time_base or (
        Fraction(1, 1000)
        if path.suffix in (".mkv", ".webm")
        else 1 / (rate.numerator * Fraction(512))
    )
    times = clip.times or tuple(Fraction(n) / rate for n in range(clip.frames))
    first = Fraction(clip.first_seconds)
    fine = {"video_track_timescale": str(base.denominator), "movie_timescale": "90000"}
    with av.open(str(path), "w", container_options=fine) as container:
        video = _add_video(container, clip, base)
        tracks = [_add_audio(container, clip, n) for n in range(clip.audio)]
        container.metadata.update({"title": clip.title} if clip.title else {})
        if clip.chapters:
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": int(start * 1000),
                        "end": int(end * 1000),
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    }
                    for number, (start, end, title) in enumerate(clip.chapters)
                ]
            )
        container.start_encoding()
        for number, track in enumerate(tracks):
            audio_seconds = clip.audio_seconds or float(times[-1] + 1 / rate)
            _write_tone(container, track, 440 + 110 * number, audio_seconds)
        for number, seconds in enumerate(times):
            frame = _video_frame(clip, number)
            frame.pts, frame.time_base = round((first + seconds) / base), base
            if clip.last_seconds and number == len(times) - 1:
                frame.duration = round(clip.last_seconds / base)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def picture(number: int, shot: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return frame `number`, RGB (H, W, 3): a disc and a bar that move over a gradient."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    base = np.stack([x / width, y / height, 1 - x / width], axis=-1) * 90 + 40
    if shot % 2:
        base = 200 - base[::-1]
    colors = [(220, 60, 40), (40, 90, 210), (60, 190, 70), (230, 200, 50)]
    radius = min(width, height) / 4
    center = (width * (0.25 + 0.02 * (number % 25)), height * 0.5)
    disc = (x - center[0]) ** 2 + (y - center[1]) ** 2 < radius**2
    base[disc] = colors[shot % 4]
    bar = (x + 2 * number) % max(8, width // 2) < max(2, width // 16)
    base[bar & (y > height * 0.8)] = colors[(shot + 1) % 4]
    return np.clip(base, 0, 255).astype(np.uint8)


def luma_of(path: Path) -> list[NDArray[Any]]:
    """Decode the first plane of every frame, by PyAV alone."""
    planes = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            depth = frame.format.components[0].bits
            plane = frame.planes[0]
            samples = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)
            planes.append(samples.reshape(plane.height, -1)[:, : plane.width].copy())
    return planes


def times_of(path: Path) -> list[Fraction]:
    """Return the seconds at which the frames are shown, by PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base: Any = stream.time_base
        base = Fraction(base.numerator, base.denominator)
        return [(frame.pts or 0) * base for frame in container.decode(stream)]


def audio_packets_of(path: Path) -> list[list[bytes]]:
    """Return the packets of each sound track."""
    with av.open(str(path)) as container:
        tracks: dict[int, list[bytes]] = {stream.index: [] for stream in container.streams.audio}
        for packet in container.demux(*container.streams.audio) if tracks else ():
            if packet.size:
                tracks[packet.stream.index].append(bytes(packet))
    return list(tracks.values())


def audio_start_of(path: Path) -> Fraction:
    """Return the seconds at which the first packet of the first sound track is heard."""
    with av.open(str(path)) as container:
        packet: Any = next(container.demux(container.streams.audio[0]))
        return packet.pts * Fraction(packet.time_base.numerator, packet.time_base.denominator)


def _add_video(container, clip: Clip, base: Fraction):
    lossless = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}}
    options = lossless.get(clip.codec, {}) if clip.is_lossless else {}
    options = {"threads": "1", **options, **clip.codec_options}
    video = container.add_stream(clip.codec, rate=Fraction(clip.rate), options=options)
    video.width, video.height, video.pix_fmt = clip.width, clip.height, clip.pix_fmt
    video.time_base = video.codec_context.time_base = base
    video.codec_context.color_range = 2 if clip.full_range else 1
    video.codec_context.colorspace = clip.matrix
    video.codec_context.flags |= Flags.frame_duration
    if clip.sample_aspect_ratio:
        video.codec_context.sample_aspect_ratio = clip.sample_aspect_ratio
    if clip.display_matrix:
        video.set_display_matrix(clip.display_matrix)
    return video


def _add_audio(container, clip: Clip, number: int):
    audio = container.add_stream(clip.audio_codec, rate=48000, layout="mono")
    audio.metadata["language"] = clip.languages[number % len(clip.languages)]
    return audio


def _write_tone(container, audio, hertz: int, seconds: float) -> None:
    count = round(seconds * 48000)
    tone = (np.sin(np.arange(count) * (2 * np.pi * hertz / 48000)) * 0.3).astype(np.float32)
    size = audio.codec_context.frame_size or 1024
    for start in range(0, count, size):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + size], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(audio.encode(_as_format(frame, audio.format.name)))
    container.mux(audio.encode(None))


def _as_format(frame, name: str):
    if name == frame.format.name:
        return frame
    return av.AudioResampler(format=name, layout="mono", rate=48000).resample(frame)[0]


def _video_frame(clip: Clip, number: int) -> av.VideoFrame:
    shot = sum(number >= cut for cut in clip.cuts)
    rgb = picture(number, shot, clip.width, clip.height) * np.uint8(number not in clip.black)
    matrix = {1: 1, 9: 9}.get(clip.matrix, 5)
    color_range = 2 if clip.full_range else 1
    source = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    if clip.pix_fmt in ("rgb24", "bgra", "gbrp", "pal8", "rgb8"):
        return source.reformat(format=clip.pix_fmt)
    frame = source.reformat(format=clip.pix_fmt, dst_colorspace=matrix, dst_color_range=color_range)
    if not clip.is_color and len(frame.planes) > 1:
        _make_grey(frame)
    return frame


def _make_grey(frame: av.VideoFrame) -> None:
    depth = frame.format.components[0].bits
    for plane in frame.planes[1:]:
        samples = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)
        samples[:] = 1 << (depth - 1)
