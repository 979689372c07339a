"""A gate at which workers wait as they begin a part: so one is surely at it when it is killed."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

WAIT_SECONDS = 60


class Gate:
    """A sidecar without settings, which each worker reads for each part.

    with Gate(tmp_path / "sidecar.toml") as gate:
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
