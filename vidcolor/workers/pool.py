"""Who renders the parts of films: a pool. Here, processes of this machine, one model each.

If a worker dies, its segment is tried again; the others are not affected.
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
"""Workers are forked from a process that has only imported torch: they start at once, also when one
replaces a dead worker, and share the memory of torch."""
FORKING.set_forkserver_preload([__name__])
REAPING = threading.Lock()
"""Held while a process is started or its exit code is read: the code can be read only once, and
starting a process reads those of all others."""
TRIES = 3
"""Tries for a segment whose worker dies. One death may be chance, as a lack of memory; if three
workers die, it is the segment's fault."""
AHEAD = 2
"""Segments in flight per worker: the one that it renders, and the next."""


class WorkerPool(Protocol):
    """Renders segments of films, several at a time."""

    size: int
    """Number of workers."""

    def render_tasks(
        self, job: Job, tasks: Iterable[SegmentTask]
    ) -> Generator[Segment, None, None]:
        """Yield the segments as they finish, in any order; their files are in the job's folder.

        Several threads may call it, each for its own film. After the generator is closed, or has
        raised, nothing writes into the job's folder any more.

        Args:
            job: what the parts share.
            tasks: drawn as workers become free, AHEAD for each at the most.

        Raises:
            VidcolorError: what a part failed with.
            CancelledError: the pool was dismissed.
            OutputError: the worker that rendered a part died, TRIES times.
        """


class DeathError(Exception):
    """A worker died before it answered; the message says why."""


class Worker(Protocol):
    """Renders one segment after the other; restarted when it dies."""

    def render(self, job: Job, task: SegmentTask, is_over: threading.Event) -> Segment:
        """Render a segment, or raise the error it failed with.

        Args:
            job: what the parts of a film share.
            task: which part.
            is_over: set, before `kill`, when nobody wants the segment any more.

        Raises:
            DeathError: the worker died, or the segment is no longer needed.
        """

    def kill(self) -> None:
        """End it, so that a waiting `render` fails; called from another thread."""

    def end(self) -> object:
        """End it permanently."""


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
        """Return itself; workers start when they are first needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers, even if they are busy, and cancel all calls."""
        with self._lock:
            self._is_dismissed = True
            calls = list(self._calls)
        for call in calls:
            call.end()
        # Not with cancel_futures: threads that wait for such a future would wait forever.
        self._threads.shutdown()
        while not self._idle.empty():
            self._idle.get().end()

    def render_tasks(
        self, job: Job, tasks: Iterable[SegmentTask]
    ) -> Generator[Segment, None, None]:
        """Yield the segments as they finish, as every `WorkerPool` does."""
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
                    log.warning("%s: segment %d: %s", job.plan.out, task.number + 1, reason)
        finally:
            self._idle.put(worker)
        raise OutputError(
            f"{job.plan.out}: the worker that rendered its part {task.number + 1} died {TRIES} "
            f"times ({reason}); it may have been short of memory, take fewer --workers"
        )


class LocalPool(BasePool):
    """Processes of this machine; if it has several GPUs, they are assigned in turn.

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
    """Return the name in CUDA_VISIBLE_DEVICES of each GPU that this process sees."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


class _Call:
    """One call of `render_tasks`, with the workers that are rendering for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self.is_over = threading.Event()

    @contextmanager
    def using(self, worker: Worker) -> Iterator[None]:
        """End the worker if the call ends in this block.

        Raises:
            CancelledError: the call has ended.
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
        """End the workers that are rendering for it."""
        self.is_over.set()
        with self._lock:
            for worker in self._workers:
                worker.kill()


class _Process:
    """A worker process; it is restarted when it dies."""

    def __init__(self, gpu: str | None, size: int) -> None:
        self._gpu, self._size = gpu, size
        self._process: BaseProcess | None = None
        self._connection: Connection
        self._lock = threading.Lock()

    def render(self, job: Job, task: SegmentTask, is_over: threading.Event) -> Segment:
        """Render a segment in the process, or raise the error it failed with.

        Raises:
            DeathError: the process died.
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
                raise DeathError("its film was cancelled")
            process.start()
            self._process = process
        its_own.close()

    def kill(self) -> None:
        """End the process, so that a waiting `render` fails."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def end(self) -> str:
        """End the process and return its signal or exit code, in words."""
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
    """Render the tasks that come through a connection until it is closed; the worker's main."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # CUDA reads it when it is first used
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes; the driver ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    send_messages(_ToParent(cast(Any, connection)))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    renderer = Renderer()
    with suppress(EOFError, OSError):  # the driver is gone
        while True:
            job, task = connection.recv()
            connection.send(answer(partial(renderer.render, job, task)))


def answer(render: Callable[[], Segment]) -> Segment | Exception:
    """Return the rendered segment, or its error in a form that can be pickled."""
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
    """Sends log messages to the driver, which shows them."""

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the driver is gone
            cast(Connection, self.queue).send(record)


def send_messages(to: logging.Handler) -> None:
    """Send warnings to the driver, except those on decoding, which the driver logs itself."""
    package = logging.getLogger("vidcolor")
    package.handlers, package.propagate = [to], False
    package.setLevel(logging.WARNING)
    logging.getLogger("vidcolor.media").setLevel(logging.ERROR)
