"""A pool on a Ray cluster: actors that hold the model, on whatever machine has room for one.

Ray places the workers and says when one is lost; what is done, what is tried again and how much is
in flight is this process's business, as with processes of this machine. An actor is handed work
when it has started and not before, so that none waits for a machine that never comes.

Source for actors rather than tasks: a task with a GPU gets a process of its own, which would load
the model for each part (Ray, `max_calls`).
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
"""How often whoever waits for a worker looks whether it still shall: unseen by a user."""
SAY_SECONDS = 60
"""After so long without a worker that is said: a machine that is being started may take as long."""
ANSWER_SECONDS = 10
"""A machine that does not answer in this time is not there, or behind a wall."""
STORE_BYTES = 100_000_000
"""Of memory for Ray's own store of a cluster begun here: nothing large goes through it."""


@contextmanager
def open_ray_pool(where: str, options: RenderOptions) -> Iterator[WorkerPool]:
    """Provide a pool of a Ray cluster's actors: as many as it has room for, or `--workers` says.

    Args:
        where: auto, local, or the address of a cluster.
        options: what a worker needs. Of workers, 1 says nothing: one could do without a cluster.

    Raises:
        OptionsError: there is no Ray here, or no such cluster.
    """
    with _connected(where):
        needs = _needs(options)
        size = max(1, _room(needs)) if options.workers in (1, "auto") else int(options.workers)
        log.info("workers: %d on the Ray cluster %s, each with %s", size, where, _in_words(needs))
        actors = _Actors(size, needs, options.store)
        seats = [_RaySlot(actors) for _ in range(size)]
        with _StorePool(seats, options.store) if options.store else BasePool(seats) as pool:
            yield pool


@contextmanager
def _connected(where: str) -> Iterator[None]:
    """Connect this process with a cluster; one that it began ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # it would print a lost node's log
    try:
        import ray
    except ImportError as error:
        raise OptionsError(
            f"--ray {where}: Ray is not installed; get it by pip install 'vidcolor[cluster]'"
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
        signal.signal(signal.SIGTERM, ours)  # Ray's own would end us without tidying up
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(where: str) -> None:
    """Refuse an address at which nobody answers, for which Ray itself would look for minutes."""
    if where in ("auto", "local"):
        return
    host, _, port = where.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(where, str(error)) from error


def _no_cluster(where: str, reason: str) -> OptionsError:
    return OptionsError(
        f"--ray {where}: no cluster to work with ({reason}); give the HOST:PORT that "
        "`ray start --head` says, or take --ray local"
    )


def _needs(options: RenderOptions) -> dict[str, float]:
    """Return what a worker takes of a machine, in Ray's words.

    `auto` is what it is on this machine: the engine was chosen here, and so it is for all.
    """
    import ray

    needs = {"CPU": options.worker_cpus}
    has_gpus = bool(ray.cluster_resources().get("GPU", 0))
    if options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available()):
        needs["GPU"] = options.worker_gpus
    elif options.device == "auto" and has_gpus:
        log.warning("the cluster has GPUs, this machine none; add --device cuda to use them")
    return needs


def _room(needs: dict[str, float]) -> int:
    """Return how many workers the machines of the cluster hold."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        min(int(machine.get(kind, 0) / share) for kind, share in needs.items())
        for machine in machines
    )


def _in_words(needs: dict[str, float]) -> str:
    return " and ".join(f"{share:g} {kind}" for kind, share in needs.items())


class _Actor:
    """What runs on the machines: one model, one part after the other."""

    def __init__(self, folder: Path, threads: int, store: str | None) -> None:
        """Begin, in the folder of whoever drives where there is one: names may count from there."""
        with suppress(OSError):
            os.chdir(folder)
        self._messages: SimpleQueue[logging.LogRecord] = SimpleQueue()
        send_messages(QueueHandler(self._messages))
        torch.set_num_threads(threads)
        self._renderer = _SharingRenderer() if store is None else _FetchingRenderer(store)

    def version(self) -> str:
        """Return the version that it runs."""
        return __version__

    def render(
        self, job: Any, task: SegmentTask
    ) -> tuple[list[logging.LogRecord], Segment | Exception]:
        """Return what is to be said, and the segment or what went wrong."""
        made = answer(partial(self._renderer.render, job, task))
        return [self._messages.get() for _ in range(self._messages.qsize())], made


class _SharingRenderer:
    """Renders where film and result lie in folders that all machines share."""

    def __init__(self) -> None:
        self._renderer = Renderer()

    def render(self, job: Job, task: SegmentTask) -> Segment:
        if not job.folder.is_dir():
            raise OutputError(
                f"{job.folder}: is not on {os.uname().nodename}, which shall write there; put film "
                "and result on a folder that all machines share, or add --store"
            )
        return self._renderer.render(job, task)


class _FetchingRenderer:
    """Renders what it fetches from a store, and puts its segments there."""

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
        """Ask for one more actor."""
        actor: Any = self._kind.remote(*self._arguments)
        actor.version.remote().future().add_done_callback(lambda v: self._started.put((actor, v)))

    @contextmanager
    def lent(self, is_over: threading.Event) -> Iterator[Any]:
        """Lend an actor that has started.

        Raises:
            DeathError: it is lost, or the wait for one is over.
            OptionsError: it has another vidcolor.
        """
        import ray

        actor, version = self._next(is_over)
        is_lost = False
        try:
            if version.result() != __version__:
                raise OptionsError(
                    f"--ray: a worker has vidcolor {version.result()}, and this is {__version__}; "
                    "install the same on all machines"
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
        said = time.monotonic()
        while not is_over.is_set():
            with suppress(Empty):
                return self._started.get(timeout=LOOK_SECONDS)
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                log.warning("no worker yet: the cluster has no room with %s", self._in_words)
        raise DeathError("its film is over")


def _reason(error: Exception) -> str:
    """Return the line of Ray's many that tells most: what kept an actor from starting is last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if "creation task" in lines[0] else 0]


class _RaySlot:
    """A worker whom an actor stands for, now this one and then that."""

    def __init__(self, actors: _Actors) -> None:
        self._actors = actors
        self._actor: Any = None

    def render(self, job: Job, task: SegmentTask, is_over: threading.Event) -> Segment:
        """Return the segment that an actor made of a part, or raise what went wrong there.

        Raises:
            DeathError: it is lost.
        """
        if not isinstance(job, _SentJob):
            return self._rendered(job, task, is_over)
        found = None if job.options.restart else take_segment(job, task, job.store)
        if found is None:
            self._rendered(job.packed, task, is_over)
            found = take_segment(job, task, job.store)
        if found is None:
            raise DeathError(f"its segment is gone from the store {job.store.address}")
        return found

    def _rendered(self, job: Job | Packed, task: SegmentTask, is_over: threading.Event) -> Segment:
        import ray

        made: Segment | Exception
        with self._actors.lent(is_over) as actor:
            self._actor = actor
            if is_over.is_set():
                raise DeathError("its film is over")
            messages, made = ray.get(actor.render.remote(job, task))
            self._actor = None
        for message in messages:
            logging.getLogger(message.name).handle(message)
        if isinstance(made, Exception):
            raise made
        return made

    def kill(self) -> None:
        """End the actor, so that `render` fails where it waits."""
        import ray

        actor = self._actor
        if actor is not None:
            ray.kill(actor)

    def end(self) -> None:
        """Let go of the actor: it ends with the connection."""


@dataclass(frozen=True, kw_only=True)
class _SentJob(Job):
    """A job of which the store has what it reads."""

    packed: Packed
    store: Store


class _StorePool(BasePool):
    """A pool of machines that share a store."""

    def __init__(self, seats: Sequence[_RaySlot], store: str) -> None:
        super().__init__(seats)
        self._store = Store(store)

    def render_tasks(
        self, job: Job, tasks: Iterable[SegmentTask]
    ) -> Generator[Segment, None, None]:
        """Yield the segments as they are done, as every pool does; those in the store at once."""
        packed = pack_job(job, self._store)
        return super().render_tasks(_SentJob(**vars(job), packed=packed, store=self._store), tasks)
