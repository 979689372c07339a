"""The program, standing still at an exact moment of its work until a test ends or interrupts it.

    process = stopped("append", 2, "*/journal.jsonl", ["render", ...])
    process.kill()

The moment is just before it appends to a file, gives it its name or removes a folder, for the
so-many-th time. All of its threads stand; the one that had come so far goes on after all others.
"""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parent.parent

OTHERS_SECONDS = 1
"""What the main thread is given to tell all others that it was interrupted."""
WAIT_SECONDS = 200
POLL_SECONDS = 0.001

Deed = Literal["append", "name", "remove"]


def stopped(
    deed: Deed, count: int, pattern: str, words: list[str], folder: Path = ROOT
) -> subprocess.Popen[str]:
    """Start `vidcolor WORDS` in a folder, and return when it stands at the moment.

    Its messages can be read from its stderr; processes that it started go on.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stopping", deed, str(count), pattern, *words],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert state is not None
    assert state.si_code == os.CLD_STOPPED, process.communicate()[1]
    return process


def kill(process: subprocess.Popen[str]) -> str:
    """Kill one that stands and return its messages."""
    process.kill()
    messages = process.communicate(timeout=WAIT_SECONDS)[1]
    assert process.returncode == -signal.SIGKILL
    return messages


def go_on(process: subprocess.Popen[str]) -> str:
    """Let one that stands go on, wait for its end and return its messages."""
    process.send_signal(signal.SIGCONT)
    return process.communicate(timeout=WAIT_SECONDS)[1]  # which closes its stdin


def interrupt(process: subprocess.Popen[str]) -> str:
    """Send SIGINT to one that stands, wait for its end and return its messages."""
    process.send_signal(signal.SIGCONT)
    _wait_until(process, lambda told: told["State"].startswith("S"))  # any might get it before
    process.send_signal(signal.SIGINT)
    _wait_until(process, lambda told: not int(told["SigCgt"], 16) & 1 << signal.SIGINT - 1)
    time.sleep(OTHERS_SECONDS)
    return go_on(process)


def _wait_until(process: subprocess.Popen[str], is_so: Callable[[dict[str, str]], bool]) -> None:
    """Wait until what the system tells of a process's main thread is so, or the process ends."""
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if is_so({name: told.strip() for name, _, told in (line.partition(":") for line in lines)}):
            return
        time.sleep(POLL_SECONDS)


def _place(deed: str, event: str, arguments: tuple[Any, ...]) -> str:
    """Return with what an event of Python's own does the deed; nothing if it does not."""
    if deed == "append" and event == "open" and str(arguments[1]).startswith("a"):
        return str(arguments[0])
    if deed == "name" and event == "os.rename":
        return str(arguments[1])
    return str(arguments[0]) if deed == "remove" and event == "shutil.rmtree" else ""


def _main(deed: str, count: str, pattern: str, *words: str) -> None:
    left = int(count)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if not fnmatch(_place(deed, event, arguments), pattern):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            sys.stdin.read()

    sys.addaudithook(look)
    sys.argv = ["vidcolor", *words]
    runpy.run_module("vidcolor", run_name="__main__")


if __name__ == "__main__":
    _main(*sys.argv[1:])
