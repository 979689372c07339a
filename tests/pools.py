"""Pools that tests render with: real ones, of which something is known."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from random import Random

from tests.gates import Gate
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.segment_job import Job, Renderer, SegmentTask
from vidcolor.workers.pool import WorkerPool


class Shuffling:
    """Renders in this process, in a random order, what was pickled on the way."""

    size = 1

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def render_tasks(self, job: Job, tasks: Iterable[SegmentTask]) -> Iterator[Segment]:
        planned = list(tasks)
        self._random.shuffle(planned)
        renderer = Renderer()
        for task in planned:
            yield renderer.render(*pickle.loads(pickle.dumps((job, task))))  # noqa: S301  our own


class Watching:
    """Lets another pool render, and remembers which tasks it took and gave back.

    `on_task` is called with how many it took before, each time that it takes one. Workers receive
    tasks through the gate, if there is one.
    """

    def __init__(
        self,
        pool: WorkerPool,
        on_task: Callable[[int], None] = lambda _: None,
        gate: Gate | None = None,
    ) -> None:
        self.size = pool.size
        self._pool, self._on_task, self._gate = pool, on_task, gate
        self.taken: list[int] = []
        self.given: list[int] = []

    def render_tasks(self, job: Job, tasks: Iterable[SegmentTask]) -> Iterator[Segment]:
        for segment in self._pool.render_tasks(job, self._noting(tasks)):
            self.given.append(segment.number)
            yield segment

    def _noting(self, tasks: Iterable[SegmentTask]) -> Iterator[SegmentTask]:
        for task in tasks:
            self._on_task(len(self.taken))
            self.taken.append(task.number)
            yield task if self._gate is None else self._gate.guard(task)
