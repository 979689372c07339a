"""Crews that tests render with: real ones, of which something is known."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from random import Random

from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.segment_job import Job, Renderer, SegmentTask
from vidcolor.workers.pool import WorkerPool


class Shuffling:
    """Renders in this process, in a random order, what was pickled on the way."""

    size = 1

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def render_parts(self, job: Job, parts: Iterable[SegmentTask]) -> Iterator[Segment]:
        planned = list(parts)
        self._random.shuffle(planned)
        renderer = Renderer()
        for part in planned:
            yield renderer.render(*pickle.loads(pickle.dumps((job, part))))  # noqa: S301  our own


class Watching:
    """Lets another crew render, and remembers which parts it took and gave back.

    `on_part` is called with how many it took before, each time that it takes one.
    """

    def __init__(self, crew: WorkerPool, on_part: Callable[[int], None] = lambda _: None) -> None:
        self.size = crew.size
        self._crew, self._on_part = crew, on_part
        self.taken: list[int] = []
        self.given: list[int] = []

    def render_parts(self, job: Job, parts: Iterable[SegmentTask]) -> Iterator[Segment]:
        for segment in self._crew.render_parts(job, self._noting(parts)):
            self.given.append(segment.number)
            yield segment

    def _noting(self, parts: Iterable[SegmentTask]) -> Iterator[SegmentTask]:
        for part in parts:
            self._on_part(len(self.taken))
            self.taken.append(part.number)
            yield part
