"""What the tests of faults share: the program as a process, and films compared stream by stream.

A fault is a signal, a power cut or a byte that flips. After it, and after the same command again, a
film is as it would have been without: `picture_of` and `company_of` say what that means.
"""

import hashlib
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from tests.clips import draw_clip
from tests.models import TINY
from vidcolor.media.probe import KEEP_BYTES
from vidcolor.network.weights import save_model

ROOT = Path(__file__).parent.parent
SUBTITLES = """\
1
00:00:00,500 --> 00:00:01,500
First.

2
00:00:03,000 --> 00:00:04,250
<i>Second</i>, of two lines:
this one.
"""


def tiny_model(folder: Path) -> str:
    """Save a model whose colors are random but strong, the same in every run of the tests."""
    torch.manual_seed(3)
    save_model(TINY, TINY.build_network(), folder)
    return str(folder)


def command(film: Path, out: Path, model: str, *more: str) -> list[str]:
    """Return the words that render a film on the CPU in a process of its own."""
    words = ["render", "--device", "cpu", "--model", model, *more, str(film), str(out)]
    return [sys.executable, "-m", "vidcolor", *words]


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start a command whose messages can be read from its stderr."""
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def run(words: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, **how)


def work_folder(out: Path) -> Path:
    """Return where a render of `out` keeps what it has done."""
    return out.with_name(f".{out.name}.vidcolor")


def names_in(folder: Path) -> set[str]:
    """Return the names in a folder, hidden ones too."""
    return {path.name for path in folder.iterdir()}


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let every write beyond so many bytes of a file fail, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def peak_kilobytes(process: int | str = "self") -> int:
    """Return the most memory that a process had at once; 0 if it is over.

    What `getrusage` says begins at that of the process which started it.
    """
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) if found else 0


def draw_film_of_shots(path: Path, *, shots: int, shot_frames: int = 30, **wanted: Any) -> Path:
    """Draw a Matroska film of several shots with two sound tracks, chapters and subtitles."""
    frames = shots * shot_frames
    picture = draw_clip(
        path.with_name(f"{path.stem}-picture.mkv"),
        frames=frames,
        cuts=tuple(range(shot_frames, frames, shot_frames)),
        audio=2,
        chapters=((0, 2, "One"), (2, frames / 25, "Two")),
        **wanted,
    )
    text = path.with_suffix(".srt")
    text.write_text(SUBTITLES)
    with av.open(str(picture)) as film, av.open(str(text)) as words, av.open(str(path), "w") as out:
        sources = [*film.streams, *words.streams]
        streams = {source: out.add_stream_from_template(source) for source in sources}
        out.set_chapters(film.chapters())
        for packet in (*film.demux(), *words.demux()):
            if packet.size:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    picture.unlink()
    text.unlink()
    return path


def repeat_film(film: Path, times: int, path: Path) -> Path:
    """Write a film's packets so many times, one after the other; it must start with a keyframe."""
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        shown = source.streams.video[0]
        stream = out.add_stream_from_template(shown)
        time_base: Any = shown.time_base
        packets = [packet for packet in source.demux(shown) if packet.size]
        length = sum(packet.duration or 0 for packet in packets)
        again = [
            (bytes(packet), packet.pts or 0, packet.dts or 0, packet.is_keyframe)
            for packet in packets
        ]
        for number in range(times):
            for data, pts, dts, is_keyframe in again:
                packet = av.Packet(data)
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.time_base, packet.is_keyframe = time_base, is_keyframe
                packet.stream = stream
                out.mux(packet)
    return path


def picture_of(path: Path) -> list[tuple[Fraction, str]]:
    """Return when each frame is shown and a hash of all its planes, by PyAV alone."""
    shown = []
    with av.open(str(path), **KEEP_BYTES) as container:
        for frame in container.decode(container.streams.video[0]):
            planes = hashlib.sha256()
            for plane in frame.planes:
                lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
                sample_bytes = 1 if frame.format.components[0].bits == 8 else 2
                planes.update(lines[:, : plane.width * sample_bytes].tobytes())
            base: Any = frame.time_base
            seconds = (frame.pts or 0) * Fraction(base.numerator, base.denominator)
            shown.append((seconds, planes.hexdigest()))
    return shown


def company_of(path: Path) -> list[tuple[str, list[tuple[Fraction, str]]]]:
    """Return the codec of every stream but the first video, and its packets: times and hashes."""
    with av.open(str(path), **KEEP_BYTES) as container:
        main = container.streams.video[0].index
        others = [stream for stream in container.streams if stream.index != main]
        packets: dict[int, list[tuple[Fraction, str]]] = {stream.index: [] for stream in others}
        for packet in container.demux(others) if others else ():
            if packet.size:
                base: Any = packet.time_base
                seconds = (packet.pts or 0) * Fraction(base.numerator, base.denominator)
                digest = hashlib.sha256(bytes(packet)).hexdigest()
                packets[packet.stream.index].append((seconds, digest))
        return [(stream.codec_context.name, packets[stream.index]) for stream in others]
