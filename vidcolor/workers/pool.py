"""Who renders the parts of films: a pool. Here, processes of this machine, one model each.

A worker that dies costs the part that it was at another try; the others go on.
"""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import LifoQueue
from types import TracebackType
from typing import Any, Protocol, Self, cast

import torch

from vidcolor.errors import OutputError, VidcolorError
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.segment_job import Job, Renderer, SegmentTask

log = logging.getLogger(__name__)

FORKING = multiprocessing.get_context("forkserver")
"""Workers are forks of a process that has imported torch and begun nothing: each starts at once, a
dead one's successor, too, and they share what torch takes."""
FORKING.set_forkserver_preload([__name__])
REAPING = threading.Lock()
"""Held by whoever starts a process or asks how one ended: that can be read once, and a start asks
for all."""
TRIES = 3
"""Of a part whose worker dies: once may be chance, a machine that was short of memory; what kills
three is the part itself."""
AHEAD = 2
"""Parts in flight for each worker: the one that it renders, and the next."""


class WorkerPool(Protocol):
    """Renders the parts of films, several at a time."""

    size: int
    """How many."""

    def render_tasks(
        self, job: Job, tasks: Iterable[SegmentTask]
    ) -> Generator[Segment, None, None]:
        """Yield the segments as they are done, in any order; their files are in the job's folder.

        Several threads may call it, each for its film. When the generator is closed, or raises,
        nothing writes into the job's folder any more.

        Args:
            job: what the parts share.
            tasks: drawn as workers become free, AHEAD for each at the most.

        Raises:
            VidcolorError: what a part failed with.
            CancelledError: the pool was dismissed.
            OutputError: the worker that rendered a part died, TRIES times.
        """


class DeathError(Exception):
    """A worker ended before it answered; says of what."""


class Worker(Protocol):
    """Renders one part after the other; when it dies, another takes its place."""

    def render(self, job: Job, task: SegmentTask, is_over: threading.Event) -> Segment:
        """Return the segment made of a part, or raise what went wrong with it.

        Args:
            job: what the parts of a film share.
            task: which part.
            is_over: set, before `kill`, when nobody wants the segment any more.

        Raises:
            DeathError: the worker died, or nobody wants the segment.
        """

    def kill(self) -> None:
        """End it, so that `render` fails where it waits; another thread may call this."""

    def end(self) -> object:
        """End it for good."""


class BasePool:
    """A pool of workers, each of which a thread waits for."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.size = len(workers)
        self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="vidcolor-worker")
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in reversed(workers):
            self._idle.put(worker)
        self._calls: set[_Call] = set()
        self._is_dismissed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Return itself; a worker starts when it is first needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers, whatever they are at; calls that go on are cancelled."""
        with self._lock:
            self._is_dismissed = True
            calls = list(self._calls)
        for call in calls:
            call.end()
        # Not with cancel_futures: whoever waits for such a future is never told of it.
        self._threads.shutdown()
        while not self._idle.empty():
            self._idle.get().end()

    def render_tasks(
        self, job: Job, tasks: Iterable[SegmentTask]
    ) -> Generator[Segment, None, None]:
        """Yield the segments as they are done, as every `WorkerPool` does."""
        call = _Call()
        futures: set[Future[Segment]] = set()
        try:
            for task in tasks:
                futures.add(self._begun(job, task, call))
                is_full = len(futures) >= AHEAD * self.size
                done, futures = wait(futures, None if is_full else 0, FIRST_COMPLETED)
                yield from (future.result() for future in done)
            while futures:
                done, futures = wait(futures, None, FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            call.end()
            for future in futures:
                future.cancel()
            wait(futures)
            self._calls.discard(call)

    def _begun(self, job: Job, task: SegmentTask, call: "_Call") -> "Future[Segment]":
        with self._lock:
            if self._is_dismissed:
                raise CancelledError
            self._calls.add(call)
            return self._threads.submit(self._render, job, task, call)

    def _render(self, job: Job, task: SegmentTask, call: "_Call") -> Segment:
        worker = self._idle.get()
        try:
            for _ in range(TRIES):
                try:
                    with call.using(worker):
                        return worker.render(job, task, call.is_over)
                except DeathError as death:
                    reason = str(death)
                    log.warning("%s: part %d: %s", job.plan.out, task.number + 1, reason)
        finally:
            self._idle.put(worker)
        raise OutputError(
            f"{job.plan.out}: the worker that rendered its part {task.number + 1} died {TRIES} "
            f"times ({reason}); it may have been short of memory, take fewer --workers"
        )


class LocalPool(BasePool):
    """Processes of this machine; on one with several GPUs they take turns in having these.

    with LocalPool(2) as pool, closing(pool.render_tasks(job, tasks)) as segments:
        for segment in segments:
            work.append_entry(segment)
    """

    def __init__(self, size: int) -> None:
        gpus = _gpus()
        super().__init__(
            [_Process(gpus[n % len(gpus)] if gpus else None, size) for n in range(size)]
        )


def _gpus() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES calls each GPU that this process sees."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


class _Call:
    """The workers that render for one call, until it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self.is_over = threading.Event()

    @contextmanager
    def using(self, worker: Worker) -> Iterator[None]:
        """Let a worker be ended with the call.

        Raises:
            CancelledError: the call is over.
        """
        with self._lock:
            self._workers.add(worker)
        try:
            if self.is_over.is_set():
                raise CancelledError
            yield
        except DeathError:
            if self.is_over.is_set():
                raise CancelledError from None
            raise
        finally:
            with self._lock:
                self._workers.remove(worker)

    def end(self) -> None:
        """End the workers that are at it."""
        self.is_over.set()
        with self._lock:
            for worker in self._workers:
                worker.kill()


class _Process:
    """A process that renders one part after the other; another takes its place when it dies."""

    def __init__(self, gpu: str | None, size: int) -> None:
        self._gpu, self._size = gpu, size
        self._process: BaseProcess | None = None
        self._connection: Connection
        self._lock = threading.Lock()

    def render(self, job: Job, task: SegmentTask, is_over: threading.Event) -> Segment:
        """Return the segment that the process made of a part, or raise what went wrong there.

        Raises:
            DeathError: the process ended.
        """
        if not self._is_alive():
            self._start(is_over)
        try:
            self._connection.send((job, task))
            while isinstance(answer := self._connection.recv(), logging.LogRecord):
                logging.getLogger(answer.name).handle(answer)
        except (EOFError, OSError) as error:
            raise DeathError(f"its worker ended with {self.end()}") from error
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Segment)
        return answer

    def _is_alive(self) -> bool:
        with REAPING:
            return self._process is not None and self._process.is_alive()

    def _start(self, is_over: threading.Event) -> None:
        self._connection, its_own = FORKING.Pipe()
        process = FORKING.Process(target=_serve, args=(its_own, self._gpu, self._size), daemon=True)
        with self._lock, REAPING:
            if is_over.is_set():
                raise DeathError("its film is over")
            process.start()
            self._process = process
        its_own.close()

    def kill(self) -> None:
        """End the process, so that `render` fails where it waits."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def end(self) -> str:
        """End the process and say what it ended with."""
        process = self._process
        if process is None:
            return "nothing"
        self.kill()
        with REAPING:
            process.join()
        self._connection.close()
        self._process, code = None, process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, gpu: str | None, size: int) -> None:
    """Render what comes through a connection, until it is closed; this is a worker's process."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # CUDA reads it when it is first used
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; whoever drives ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    send_messages(_ToParent(cast(Any, connection)))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    renderer = Renderer()
    with suppress(EOFError, OSError):  # whoever drives is gone
        while True:
            job, task = connection.recv()
            connection.send(answer(partial(renderer.render, job, task)))


def answer(render: Callable[[], Segment]) -> Segment | Exception:
    """Return the segment made of a part, or what went wrong with it, as can be pickled."""
    try:
        return render()
    except VidcolorError as error:
        return error
    except Exception:  # noqa: BLE001  not every error can be pickled, and none with its traceback
        return RuntimeError(f"in a worker: {traceback.format_exc()}")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _ToParent(QueueHandler):
    """Sends messages where they can be shown."""

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # whoever drives is gone
            cast(Connection, self.queue).send(record)


def send_messages(to: logging.Handler) -> None:
    """Send warnings to whoever drives, but for those that come of decoding: it has said them."""
    package = logging.getLogger("vidcolor")
    package.handlers, package.propagate = [to], False
    package.setLevel(logging.WARNING)
    logging.getLogger("vidcolor.media").setLevel(logging.ERROR)
