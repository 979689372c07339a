"""One run at a time: a lock that a dead process does not hold."""

import fcntl
from typing import IO, Any

from vidcolor.errors import OutputError


def lock(file: IO[Any], *, if_held: str) -> None:
    """Lock an open file until it is closed, by its process's death at the latest.

    Raises:
        OutputError: another process holds it; says `if_held`.
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(if_held) from error
