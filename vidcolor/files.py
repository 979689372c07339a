"""Locks that a dead process does not hold: open files, by flock."""

import fcntl
import os
from pathlib import Path
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


def wait_for_lock(file: IO[Any], *, with_others: bool = False) -> None:
    """Lock an open file as `lock` does, as soon as no other process holds it.

    Args:
        file: where this process holds its lock already, it is changed.
        with_others: share it with those that ask so, too.

    Raises:
        OSError: the file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_SH if with_others else fcntl.LOCK_EX)


def is_named(file: IO[Any], path: Path) -> bool:
    """Tell whether an open file has this name still: whoever waited for it may hold a removed one.

    Raises:
        OSError: its folder cannot be read.
    """
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
