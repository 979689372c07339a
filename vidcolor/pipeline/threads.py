"""Pipeline stages in parallel: each reads from the one before it, in its own thread.

A frame passes through the stages in order, and frames leave in the order in which they came, so
the result is the same as with one thread. Decoders, encoders, networks and filters release
Python's lock while they work, so each stage can use a core.
"""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, Queue
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

AHEAD = 4
"""Items that a stage may be ahead of the next: what evens out a slow frame, at a few megabytes
each."""


@dataclass
class StageTime:
    """Working time of a stage."""

    seconds: float = 0.0
    """How long it worked; waiting for the stage before or after it is not work."""
    count: int = 0
    """Items that it finished."""


class _Waited(threading.local):
    """How long this thread has waited for earlier stages."""

    seconds = 0.0


class ThreadedStages:
    """Runs stages in parallel, and measures how long each of them works.

    with ThreadedStages() as stages:
        frames = stages.ahead(read_frames(film), "decode")
        for picture in stages.each(develop, frames, "develop"):
            with stages.clock("encode"):
                write(picture)
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or max(1, (os.cpu_count() or 1) // 2)
        """Threads that share the frames of `each`; every other stage has one thread."""
        self.times: dict[str, StageTime] = {}
        self._told: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="vidcolor-each")
        self._waited = _Waited()
        self._ends: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for running calls; drop those that have not started.

        Stages end here even if a traceback still refers to their generators.
        """
        for end in self._ends:
            end()
        self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Count the time of the block as one item of a stage."""
        time = self.times.setdefault(name, StageTime())
        begun, waited = perf_counter(), self._waited.seconds
        yield
        time.seconds += perf_counter() - begun - (self._waited.seconds - waited)
        time.count += 1

    def lap(self) -> dict[str, float]:
        """Return how many seconds each stage has worked since the last lap, by its name."""
        now = {name: time.seconds for name, time in list(self.times.items())}
        lap = {name: seconds - self._told.get(name, 0.0) for name, seconds in now.items()}
        self._told = now
        return lap

    def ahead(
        self, items: Iterable[Item], name: str, count: int = AHEAD
    ) -> Generator[Item, None, None]:
        """Yield the items, which a thread reads up to `count` ahead.

        What goes wrong there is raised here, after the items before it. When the generator is
        closed, the thread ends, and what it drew from is closed in it.

        Args:
            items: drawn in the thread.
            name: of the stage that makes them.
            count: items that are buffered at most, without the one in progress.
        """
        queue: Queue[Item | _End] = Queue(count)
        stop, ended = threading.Event(), threading.Lock()

        def draw() -> None:
            last = _End()
            try:
                with closing(self._clocked(items, name)) as drawn:
                    for item in drawn:
                        queue.put(item)
                        if stop.is_set():
                            return
            except BaseException as error:  # noqa: BLE001 - raised where the items are asked for
                last = _End(error)
            if not stop.is_set():
                queue.put(last)

        def end() -> None:
            if not ended.acquire(blocking=False):
                return
            stop.set()
            _empty(queue)  # the thread may wait for room; it puts one item more at the most
            thread.join()
            _empty(queue)
            queue.put(_End())  # the thread of the next stage may wait for an item

        thread = threading.Thread(target=draw, name=f"vidcolor-{name}", daemon=True)
        thread.start()
        self._ends.append(end)
        try:
            while not isinstance(item := self._next_of(queue), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            end()

    def each(
        self, function: Callable[[Item], Made], items: Iterable[Item], name: str
    ) -> Generator[Made, None, None]:
        """Yield the function's result for each item, in order, several at a time.

        Args:
            function: called in any of the threads, of nothing but its item.
            items: drawn here, some ahead of what is yielded.
            name: of the stage.
        """

        def work(item: Item) -> tuple[Made, float]:
            begun = perf_counter()
            return function(item), perf_counter() - begun

        begun = (self._pool.submit(work, item) for item in items)
        with closing(self.ahead(begun, name, self.threads)) as futures:
            for future in futures:
                made, seconds = future.result()
                self.times[name].seconds += seconds
                yield made

    def _clocked(self, items: Iterable[Item], name: str) -> Generator[Item, None, None]:
        drawn = iter(items)
        try:
            with suppress(StopIteration):
                while True:
                    with self.clock(name):
                        item = next(drawn)
                    yield item
        finally:
            if isinstance(drawn, Generator):
                drawn.close()

    def _next_of(self, queue: "Queue[Item | _End]") -> "Item | _End":
        begun = perf_counter()
        item = queue.get()
        self._waited.seconds += perf_counter() - begun
        return item


def _empty(queue: "Queue[Any]") -> None:
    with suppress(Empty):
        while True:
            queue.get_nowait()


@dataclass(frozen=True)
class _End:
    """Comes after the last item."""

    error: BaseException | None = None
    """Why it is the last."""
