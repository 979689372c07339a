"""Measure costs: CPU time, wall time, memory."""

import re
import resource
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

from vidcolor.errors import InputError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """CPU and wall time of some work."""

    cpu_seconds: float = 0.0
    """Of all threads, user and system: the time it would take on one core."""
    wall_seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of both, one after the other."""
        return Cost(self.cpu_seconds + other.cpu_seconds, self.wall_seconds + other.wall_seconds)

    def __truediv__(self, count: int) -> "Cost":
        """Return the cost of one of `count` equal pieces of work."""
        return Cost(self.cpu_seconds / count, self.wall_seconds / count)


def timed(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Return the result of the work, and its cost in this process."""
    cpu, wall = process_time(), perf_counter()
    result = work()
    return result, Cost(process_time() - cpu, perf_counter() - wall)


def timed_command(words: Sequence[str]) -> Cost:
    """Run a program to its end and return its cost.

    Raises:
        InputError: it failed; the message has its last line.
    """
    cpu, wall = _cpu_of_children(), perf_counter()
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    cost = Cost(_cpu_of_children() - cpu, perf_counter() - wall)
    if done.returncode != 0:
        reason = (done.stderr.splitlines() or [f"status {done.returncode}"])[-1]
        raise InputError(
            f"{words[0]}: failed: {reason}; run it by hand to see more: {' '.join(words)}"
        )
    return cost


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_bytes() -> int:
    """Return the peak resident memory of this process.

    `getrusage` cannot be used: its value includes the peak of the parent process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
