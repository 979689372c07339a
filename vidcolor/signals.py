"""Ctrl-C and `kill`: one line, the exit code that shells expect, from the first import on.

Importing torch takes seconds, and an exception raised inside an import is at times swallowed
there. So a signal ends the process at once while nothing has been begun, and raises Interrupted
within `stoppable()`, where files are open that with-blocks must put away. Where C code swallows
it (PyAV calls back into Python to read a pipe), it is raised again a moment later.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived while work was under way."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


AGAIN_SECONDS = 0.001
"""When a swallowed interruption is raised again: before a false end of file does harm."""

_is_stoppable = False
_received: Interrupted | None = None


def install() -> None:
    """Answer SIGINT and SIGTERM; one that the parent told us to ignore (nohup, &) stays ignored."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _stop)
    signal.signal(signal.SIGALRM, _stop_again)
    sys.unraisablehook = _raise_later
    sys.excepthook = _hide  # Cython reports what it swallows to both


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Interrupted in here when a signal arrives, so that what was begun is put away."""
    global _is_stoppable
    _is_stoppable = True
    try:
        yield
    except Exception:
        reraise_pending_interrupt()
        raise
    finally:
        _is_stoppable = False


def reraise_pending_interrupt() -> None:
    """Raise the interruption that has arrived, if one has: of an error, it may be what caused it.

    A library can turn it into an error of its own, after which nobody shall go on.
    """
    if _received is not None:
        raise _received from None


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    global _received
    signal.signal(signum, signal.SIG_DFL)  # a second one ends it without cleaning up
    _received = Interrupted(signum)
    if _is_stoppable:
        raise _received
    os.write(2, f"vidcolor: {_received}\n".encode())
    os._exit(_received.exit_code)


def _raise_later(unraisable: "UnraisableHookArgs") -> None:
    if isinstance(unraisable.exc_value, Interrupted):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)


def _hide(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, Interrupted):
        sys.__excepthook__(kind, error, trace)


def _stop_again(_signum: int, _frame: FrameType | None) -> None:
    if _is_stoppable and _received is not None:
        raise _received.with_traceback(None)
