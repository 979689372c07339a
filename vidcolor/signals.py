"""Handle Ctrl-C and `kill`: one line on stderr, and the exit code that shells expect.

Importing torch takes seconds, and an exception raised inside an import is sometimes swallowed
there. So a signal ends the process at once until work starts. Within `stoppable()`, where
with-blocks must clean up open files, it raises Interrupted. If C code swallows that (PyAV calls
back into Python to read a pipe), it is raised again a moment later.
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
    """SIGINT or SIGTERM arrived during work."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


AGAIN_SECONDS = 0.001
"""Delay before a swallowed interruption is raised again: short, so that no C code that takes it for
an end of file does harm."""

_is_stoppable = False
_received: Interrupted | None = None


def install() -> None:
    """Handle SIGINT and SIGTERM, unless the parent made us ignore them (nohup, &)."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _stop)
    signal.signal(signal.SIGALRM, _stop_again)
    sys.unraisablehook = _raise_later
    sys.excepthook = _hide  # Cython reports swallowed exceptions to both


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Interrupted in this block when a signal arrives, so that with-blocks clean up."""
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
    """Raise the interruption that has arrived, if any; call this when handling another error.

    A library may have turned the interruption into that error.
    """
    if _received is not None:
        raise _received from None


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    global _received
    signal.signal(signum, signal.SIG_DFL)  # a second signal ends the process without cleaning up
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
