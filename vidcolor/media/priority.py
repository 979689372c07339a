"""The priority of this process's threads, which SVT-AV1 raises where it may."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")
"""A folder for each thread of this process, named by its id (Linux, proc_pid_task(5))."""


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Put the calling thread, and threads that begin meanwhile, back to its scheduling afterwards.

    Run by root, SVT-AV1 gives itself and whoever opens it the real-time policy SCHED_FIFO at
    priority 99, and the machine does nothing else until the film is encoded.
    """
    if not _THREADS.is_dir():
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = set(thread_ids())
    try:
        yield
    finally:
        for thread in (0, *set(thread_ids()) - before):
            with suppress(ProcessLookupError):  # a thread may have ended since
                os.sched_setscheduler(thread, policy, parameters)


def thread_ids() -> list[int]:
    """Return the ids of the threads of this process."""
    return [int(thread.name) for thread in _THREADS.iterdir()]
