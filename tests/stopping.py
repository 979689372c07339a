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
import threading
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, cast

ROOT = Path(__file__).parent.parent

OTHERS_SECONDS = 1
"""What the main thread is given to tell all others that it was interrupted."""
WAIT_SECONDS = 200
POLL_SECONDS = 0.001
INTERRUPT = "interrupt\n"

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
    """Send SIGINT to one that stands, wait for its end and return its messages.

    It goes to the main thread: another one that got it would not wake that to answer it.
    """
    assert process.stdin is not None
    process.send_signal(signal.SIGCONT)
    process.stdin.write(INTERRUPT)
    process.stdin.flush()
    end = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and _answers(process.pid, signal.SIGINT):
        if time.monotonic() > end:
            raise AssertionError(f"no answer to an interruption: {kill(process)}")
        time.sleep(POLL_SECONDS)
    time.sleep(OTHERS_SECONDS)
    return go_on(process)


def _answers(pid: int, signum: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal; ours takes itself away first of all."""
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[:1]
    return any(int(mask, 16) & 1 << signum - 1 for mask in caught)


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
            if sys.stdin.readline() == INTERRUPT:
                signal.pthread_kill(cast(int, threading.main_thread().ident), signal.SIGINT)
            sys.stdin.read()

    sys.addaudithook(look)
    sys.argv = ["vidcolor", *words]
    runpy.run_module("vidcolor", run_name="__main__")


if __name__ == "__main__":
    _main(*sys.argv[1:])
