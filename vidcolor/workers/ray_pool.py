"""A pool on a Ray cluster: actors that hold the model, on whatever machine has room for one.

Ray places the workers and reports when one is lost. This process decides what is rendered, what is
tried again and how much is in flight, as for local processes. An actor gets work only after it has
started, so that no segment waits for a machine that never starts.

Actors and not tasks, because a Ray task with a GPU gets its own process, which would load the model
for each segment (Ray, `max_calls`).
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from logging.handlers import QueueHandler
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import torch

from vidcolor._version import __version__
from vidcolor.errors import OptionsError, OutputError
from vidcolor.files import cache
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.segment_job import Job, Renderer, SegmentTask
from vidcolor.workers.job_shipping import Packed, pack_job, put_segment, take_segment, unpack_job
from vidcolor.workers.object_cache import Cache
from vidcolor.workers.object_store import Store
from vidcolor.workers.pool import BasePool, DeathError, WorkerPool, answer, send_messages

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""How often a thread that waits for a worker checks whether its film was cancelled."""
SAY_SECONDS = 60
"""Time without a worker after which a warning is logged; starting a machine may take as long."""
ANSWER_SECONDS = 10
"""Timeout for connecting to a cluster."""
STORE_BYTES = 100_000_000
"""Memory for the object store of a cluster started here: nothing large goes through it."""


@contextmanager
def open_ray_pool(where: str, options: RenderOptions) -> Iterator[WorkerPool]:
    """Provide a pool of a Ray cluster's actors: as many as it has room for, or `--workers` says.

    Args:
        where: auto, local, or the address of a cluster.
        options: what a worker needs. `workers` 1 means auto: one worker needs no cluster.

    Raises:
        OptionsError: Ray is not installed, or cannot connect to the cluster.
    """
    with _connected(where):
        needs = _needs(options)
        size = max(1, _room(needs)) if options.workers in (1, "auto") else int(options.workers)
        log.info("workers: %d on the Ray cluster %s, each with %s", size, where, _in_words(needs))
        actors = _Actors(size, needs, options.store)
        slots = [_RaySlot(actors) for _ in range(size)]
        with _StorePool(slots, options.store) if options.store else BasePool(slots) as pool:
            yield pool


@contextmanager
def _connected(where: str) -> Iterator[None]:
    """Connect to a cluster; one that was started here ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # else it prints the log of a lost node
    try:
        import ray
    except ImportError as error:
        raise OptionsError(
            f"--ray {where}: Ray is not installed; run pip install 'vidcolor[cluster]'"
        ) from error
    where = os.environ.get("RAY_ADDRESS", where) if where == "auto" else where
    _require_answer(where)
    ours = signal.getsignal(signal.SIGTERM)
    begun: dict[str, Any] = {"object_store_memory": STORE_BYTES} if where == "local" else {}
    try:
        ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **begun)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(where, _reason(error)) from error
    finally:
        signal.signal(signal.SIGTERM, ours)  # Ray's handler would end us without cleaning up
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(where: str) -> None:
    """Fail at once if nothing answers at an address; Ray itself would try for minutes."""
    if where in ("auto", "local"):
        return
    host, _, port = where.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(where, str(error)) from error


def _no_cluster(where: str, reason: str) -> OptionsError:
    return OptionsError(
        f"--ray {where}: cannot connect to a cluster ({reason}); give the HOST:PORT that "
        "`ray start --head` prints, or use --ray local"
    )


def _needs(options: RenderOptions) -> dict[str, float]:
    """Return the resources of a worker, by Ray's names.

    `--device auto` is decided on this machine, as the engine is, and applies to all workers.
    """
    import ray

    needs = {"CPU": options.worker_cpus}
    has_gpus = bool(ray.cluster_resources().get("GPU", 0))
    if options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available()):
        needs["GPU"] = options.worker_gpus
    elif options.device == "auto" and has_gpus:
        log.warning("the cluster has GPUs but this machine has none; add --device cuda to use them")
    return needs


def _room(needs: dict[str, float]) -> int:
    """Return how many workers the machines of the cluster have room for."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        min(int(machine.get(kind, 0) / share) for kind, share in needs.items())
        for machine in machines
    )


def _in_words(needs: dict[str, float]) -> str:
    return " and ".join(f"{share:g} {kind}" for kind, share in needs.items())


class _Actor:
    """Runs on the machines: holds one model, and renders one segment after the other."""

    def __init__(self, folder: Path, threads: int, store: str | None) -> None:
        """Start in the driver's folder, if it exists here: paths may be relative to it."""
        with suppress(OSError):
            os.chdir(folder)
        self._messages: SimpleQueue[logging.LogRecord] = SimpleQueue()
        send_messages(QueueHandler(self._messages))
        torch.set_num_threads(threads)
        self._renderer = _SharingRenderer() if store is None else _FetchingRenderer(store)

    def version(self) -> str:
        """Return its version of vidcolor."""
        return __version__

    def render(
        self, job: Any, task: SegmentTask
    ) -> tuple[list[logging.LogRecord], Segment | Exception]:
        """Return log messages, and the segment or its error."""
        made = answer(partial(self._renderer.render, job, task))
        return [self._messages.get() for _ in range(self._messages.qsize())], made


class _SharingRenderer:
    """Renders if film and result are in folders that all machines share."""

    def __init__(self) -> None:
        self._renderer = Renderer()

    def render(self, job: Job, task: SegmentTask) -> Segment:
        if not job.folder.is_dir():
            raise OutputError(
                f"{job.folder}: does not exist on {os.uname().nodename}, which renders; put film "
                "and result in a folder that all machines share, or add --store"
            )
        return self._renderer.render(job, task)


class _FetchingRenderer:
    """Downloads its inputs from a store, and uploads its segments."""

    def __init__(self, store: str) -> None:
        self._renderer = Renderer()
        self._store = Store(store)
        self._cache = Cache(cache() / "films", self._store)

    def render(self, packed: Packed, task: SegmentTask) -> Segment:
        places = self._cache.keep(packed.items)
        with TemporaryDirectory(prefix="vidcolor-") as folder:
            job = unpack_job(packed, places, Path(folder))
            segment = self._renderer.render(job, task)
            put_segment(segment, job, self._store)
        return segment


class _Actors:
    """The actors of a pool: those that have started are lent, one that is lost is replaced."""

    def __init__(self, count: int, needs: dict[str, float], store: str | None) -> None:
        import ray

        self._kind = ray.remote(
            num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), scheduling_strategy="SPREAD"
        )(_Actor)
        self._arguments = Path.cwd(), max(1, int(needs["CPU"])), store
        self._in_words = _in_words(needs)
        self._started: SimpleQueue[tuple[Any, Future[str]]] = SimpleQueue()
        for _ in range(count):
            self.start()

    def start(self) -> None:
        """Request one more actor."""
        actor: Any = self._kind.remote(*self._arguments)
        actor.version.remote().future().add_done_callback(lambda v: self._started.put((actor, v)))

    @contextmanager
    def lent(self, is_over: threading.Event) -> Iterator[Any]:
        """Provide an actor that has started.

        Raises:
            DeathError: the actor is lost, or the film was cancelled.
            OptionsError: it has another version of vidcolor.
        """
        import ray

        actor, version = self._next(is_over)
        is_lost = False
        try:
            if version.result() != __version__:
                raise OptionsError(
                    f"--ray: a worker has vidcolor {version.result()}, and this is {__version__}; "
                    "install the same version on all machines"
                )
            yield actor
        except ray.exceptions.RayError as error:
            is_lost = True
            raise DeathError(f"its worker is lost ({_reason(error)})") from error
        finally:
            if is_lost or is_over.is_set():  # it may just have been killed
                ray.kill(actor)
                self.start()
            else:
                self._started.put((actor, version))

    def _next(self, is_over: threading.Event) -> tuple[Any, Future[str]]:
        warned = time.monotonic()
        while not is_over.is_set():
            with suppress(Empty):
                return self._started.get(timeout=LOOK_SECONDS)
            if time.monotonic() - warned > SAY_SECONDS:
                warned = time.monotonic()
                log.warning(
                    "still waiting for a worker: the cluster has no room for %s", self._in_words
                )
        raise DeathError("its film was cancelled")


def _reason(error: Exception) -> str:
    """Return the most useful line of a Ray error: last, if an actor failed to start; else first."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if "creation task" in lines[0] else 0]


class _RaySlot:
    """A worker that uses any of the actors, one at a time."""

    def __init__(self, actors: _Actors) -> None:
        self._actors = actors
        self._actor: Any = None

    def render(self, job: Job, task: SegmentTask, is_over: threading.Event) -> Segment:
        """Render a segment in an actor, or raise the error it failed with.

        Raises:
            DeathError: the actor is lost.
        """
        if not isinstance(job, _SentJob):
            return self._rendered(job, task, is_over)
        found = None if job.options.restart else take_segment(job, task, job.store)
        if found is None:
            self._rendered(job.packed, task, is_over)
            found = take_segment(job, task, job.store)
        if found is None:
            raise DeathError(f"its segment is missing in the store {job.store.address}")
        return found

    def _rendered(self, job: Job | Packed, task: SegmentTask, is_over: threading.Event) -> Segment:
        import ray

        made: Segment | Exception
        with self._actors.lent(is_over) as actor:
            self._actor = actor
            if is_over.is_set():
                raise DeathError("its film was cancelled")
            messages, made = ray.get(actor.render.remote(job, task))
            self._actor = None
        for message in messages:
            logging.getLogger(message.name).handle(message)
        if isinstance(made, Exception):
            raise made
        return made

    def kill(self) -> None:
        """End the actor, so that a waiting `render` fails."""
        import ray

        actor = self._actor
        if actor is not None:
            ray.kill(actor)

    def end(self) -> None:
        """Do nothing: actors end with the connection to Ray."""


@dataclass(frozen=True, kw_only=True)
class _SentJob(Job):
    """A job whose inputs are in the store."""

    packed: Packed
    store: Store


class _StorePool(BasePool):
    """A pool of machines that share a store."""

    def __init__(self, slots: Sequence[_RaySlot], store: str) -> None:
        super().__init__(slots)
        self._store = Store(store)

    def render_tasks(
        self, job: Job, tasks: Iterable[SegmentTask]
    ) -> Generator[Segment, None, None]:
        """Yield the segments as they finish; those in the store already, at once."""
        packed = pack_job(job, self._store)
        return super().render_tasks(_SentJob(**vars(job), packed=packed, store=self._store), tasks)
