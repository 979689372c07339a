"""Interlaced film: deinterlace its frames, or flag the frames of the result as interlaced."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from vidcolor.media.frame import Frame, plane_of
from vidcolor.media.probe import Film
from vidcolor.media.quantization import Codes

TICK = Fraction(1, 1000)
"""A time base for filter graphs whose times are ignored."""


def deinterlace(frames: Iterable[Frame], film: Film) -> Iterator[Frame]:
    """Deinterlace each frame with FFmpeg's bwdif: one field's lines, new ones between them.

    The number of frames and their times stay. Only luma is deinterlaced; `Frame.chroma` is still
    the film's own.
    """
    grey = "gray" if film.depth == 8 else "gray16le"
    settings = f"mode=send_frame:parity={film.deinterlaced}:deint=all"
    graph = _graph(film.width, film.height, grey, TICK, "bwdif", settings)
    waiting: deque[Frame] = deque()
    for number, frame in enumerate(frames):
        waiting.append(frame)
        picture = VideoFrame(film.width, film.height, grey)
        plane_of(picture, 0, film.depth)[:] = frame.luma
        picture.pts, picture.time_base = number, TICK
        graph.push(picture)
        for luma in _lumas(graph, film.depth):
            yield replace(waiting.popleft(), luma=luma)
    graph.push(None)
    for luma in _lumas(graph, film.depth):
        yield replace(waiting.popleft(), luma=luma)


def _lumas(graph: Graph, depth: int) -> Iterator[Codes]:
    """Yield the graph's output, clipped: new lines may overshoot the codes of this depth."""
    while True:
        try:
            picture = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, VideoFrame)
        luma: Codes = np.minimum(plane_of(picture, 0, depth), (1 << depth) - 1)
        luma.flags.writeable = False
        yield luma


class FieldMarker:
    """Flags pictures as interlaced, which PyAV cannot do without a filter.

    mark = FieldMarker("tff", 720, 576, "yuv420p", time_base)
    stream.encode(mark(picture))
    """

    def __init__(
        self, order: str, width: int, height: int, pix_fmt: str, time_base: Fraction
    ) -> None:
        self._graph = _graph(width, height, pix_fmt, time_base, "setfield", f"mode={order}")

    def __call__(self, picture: VideoFrame) -> VideoFrame:
        """Return the picture, flagged."""
        self._graph.push(picture)
        marked = self._graph.pull()
        assert isinstance(marked, VideoFrame)
        return marked


def _graph(
    width: int, height: int, pix_fmt: str, time_base: Fraction, name: str, settings: str
) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat(pix_fmt), time_base=time_base
    )
    step, sink = graph.add(name, settings), graph.add("buffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()
    return graph
