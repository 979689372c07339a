"""A gate at which workers wait as they receive a task: so one surely has it when it is killed."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vidcolor.pipeline.segment_job import SegmentTask

WAIT_SECONDS = 60


class Gate:
    """A file that each worker reads when it receives a task that it guards.

    with Gate(tmp_path / "gate") as gate:
        gate.shut()
        waiting = gate.wait_for(2, workers)
        gate.open()

    Shut, it is a pipe of which the test holds the other end: who reads it waits for that to close.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end: int | None = None
        path.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def shut(self) -> None:
        """Let whoever reads it from now on wait."""
        pipe = self.path.with_suffix(".pipe")
        os.mkfifo(pipe)
        self._end = os.open(pipe, os.O_RDWR)
        pipe.replace(self.path)

    def open(self) -> None:
        """Let all go on."""
        if self._end is not None:
            again = self.path.with_suffix(".again")
            again.touch()
            again.replace(self.path)
            os.close(self._end)
            self._end = None

    def guard(self, task: SegmentTask) -> SegmentTask:
        """Return a task that a worker gets only while the gate is open."""
        return _GuardedTask(task.number, task.frames, task.opener, str(self.path))

    def waiting(self, pids: Iterable[int]) -> set[int]:
        """Return which of some processes wait."""
        return {pid for pid in pids if self._is_open_in(pid)}

    def wait_for(self, count: int, pids: Callable[[], Iterable[int]]) -> set[int]:
        """Return those of some processes that wait, once there are so many."""
        end = time.monotonic() + WAIT_SECONDS
        while len(found := self.waiting(pids())) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} wait"
            time.sleep(0.01)
        return found

    def _is_open_in(self, pid: int) -> bool:
        with suppress(OSError):  # it, or one of its files, has just gone
            files = Path(f"/proc/{pid}/fd").iterdir()
            return any(file.readlink() == self.path for file in files)
        return False


@dataclass(frozen=True)
class _GuardedTask(SegmentTask):
    gate: str

    def __reduce__(self) -> tuple[Any, ...]:
        task = SegmentTask(self.number, self.frames, self.opener)
        # Built-ins alone: a worker of Ray cannot import the tests.
        return eval, ("(open(gate).read(), task)[1]", {"gate": self.gate, "task": task})
