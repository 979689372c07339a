"""Files that survive a crash, folders of the user, and locks that a dead process does not hold."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def sync_file(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; the file gets its name when it is whole and on disk.

    After an error what was written is removed, and an older file of that name is as it was.
    """
    draft = path.with_name(f"{path.name}.part")
    try:
        yield draft
        sync_file(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_file(path.parent)


def append(path: Path, text: str) -> None:
    """Add text to a file; it is on the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


DIGEST_LETTERS = 64
"""Of a SHA-256 in hexadecimal."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def home() -> Path:
    """Return the user's own folder: $VIDCOLOR_HOME, else vidcolor/ where XDG keeps users' data.

    Source: XDG Base Directory Specification 0.8, XDG_DATA_HOME.
    """
    return _chosen_home() or _xdg("XDG_DATA_HOME", ".local/share")


def cache() -> Path:
    """Return the folder of what can be made again: $VIDCOLOR_HOME/cache, else where XDG has caches.

    Source: XDG Base Directory Specification 0.8, XDG_CACHE_HOME.
    """
    chosen = _chosen_home()
    return chosen / "cache" if chosen else _xdg("XDG_CACHE_HOME", ".cache")


def _chosen_home() -> Path | None:
    chosen = os.environ.get("VIDCOLOR_HOME")
    return Path(chosen).expanduser().absolute() if chosen else None


def _xdg(name: str, usual: str) -> Path:
    """Return vidcolor's folder in one that XDG names, or in what it usually is."""
    folder = Path(os.environ.get(name, ""))
    # The specification has paths that are not absolute ignored.
    return (folder if folder.is_absolute() else Path.home() / usual) / "vidcolor"
