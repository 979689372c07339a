"""Crash-safe file writing, file locks, and the user's folders for data and cache."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vidcolor.errors import InputError, OutputError


def lock(file: IO[Any], *, if_held: str) -> None:
    """Lock an open file until it is closed or the process ends.

    Raises:
        OutputError: another process has locked it; the message is `if_held`.
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(if_held) from error


def wait_for_lock(file: IO[Any], *, with_others: bool = False) -> None:
    """Lock an open file as `lock` does, but wait until no other process has locked it.

    Args:
        file: if this process has locked it already, that lock is changed.
        with_others: lock shared, with other processes that lock shared.

    Raises:
        OSError: the file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_SH if with_others else fcntl.LOCK_EX)


def is_named(file: IO[Any], path: Path) -> bool:
    """Tell whether an open file still has this name; it may have been removed meanwhile.

    Raises:
        OSError: its folder cannot be read.
    """
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def sync_file(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: Path, *, sync: bool = True, is_shared: bool = False) -> Iterator[Path]:
    """Yield a path next to `path` to write to; it is renamed when it is complete and on disk.

    After an error it is removed, and an existing file at `path` is unchanged. Links are followed.
    If `path` is not a regular file, as a pipe or /dev/stdout, it is written to directly.

    Args:
        path: in an existing folder.
        sync: wait for the disk. If False, the process may be killed at any time, but after a power
            failure the file may be empty: for thousands of files that can be made again.
        is_shared: other processes may write the same file at the same time.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    token = f".{secrets.token_hex(4)}" if is_shared else ""
    draft = path.with_name(f"{path.name}{token}.part")
    try:
        yield draft
        if sync:
            sync_file(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if sync:
        sync_file(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to `path`; it is renamed to `path` after the block.

    After an error it is removed. One that a killed process left is removed first.
    """
    draft = path.with_name(f"{path.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def append(path: Path, text: str) -> None:
    """Append text to a file; it is on disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[Any]:
    """Return the value of each line of a JSON lines file; an empty list if it does not exist.

    A last line that a crash has cut short is dropped. Other lines that are not JSON are None: the
    caller decides whether the lines after them count.

    Raises:
        OSError: the file exists but cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [_value_or_none(line) for line in lines]


def _value_or_none(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def read_toml(path: Path, *, what: str, if_missing: str) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Args:
        path: the file.
        what: kind of file, for messages.
        if_missing: what to do if it cannot be opened, for messages.

    Raises:
        InputError: it cannot be read, or is not valid TOML.
    """
    return read_hashed_toml(path, what=what, if_missing=if_missing)[0]


def read_hashed_toml(path: Path, *, what: str, if_missing: str) -> tuple[dict[str, Any], str]:
    """Return the tables of a TOML file, as `read_toml` does, and the SHA-256 of its bytes."""
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode()), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise InputError(f"{what} {path}: {error.strerror}; {if_missing}") from error
    except ValueError as error:
        raise InputError(f"{what} {path}: {toml_fault(error)}") from error


def toml_fault(error: ValueError) -> str:
    """Return why a text is not valid TOML, as a sentence for users.

    Args:
        error: the error that reading or decoding raised.
    """
    if isinstance(error, UnicodeDecodeError):
        return "is not valid TOML: it is not UTF-8 text; save it as UTF-8"
    fault, has_place, place = str(error).rstrip(")").rpartition(" (at ")
    if not has_place:
        return f"is not valid TOML: {error}; correct that value"
    return f"is not valid TOML ({place}): {fault}; correct that line"


DIGEST_LETTERS = 64
"""Length of a SHA-256 in hexadecimal."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def home() -> Path:
    """Return the user's data folder: $VIDCOLOR_HOME, else vidcolor/ in XDG's data folder.

    Source: XDG Base Directory Specification 0.8, XDG_DATA_HOME.
    """
    return _chosen_home() or _xdg("XDG_DATA_HOME", ".local/share")


def cache() -> Path:
    """Return the cache folder: $VIDCOLOR_HOME/cache, else vidcolor/ in XDG's cache folder.

    Source: XDG Base Directory Specification 0.8, XDG_CACHE_HOME.
    """
    chosen = _chosen_home()
    return chosen / "cache" if chosen else _xdg("XDG_CACHE_HOME", ".cache")


def _chosen_home() -> Path | None:
    chosen = os.environ.get("VIDCOLOR_HOME")
    return Path(chosen).expanduser().absolute() if chosen else None


def _xdg(name: str, usual: str) -> Path:
    """Return vidcolor's folder in the one that an XDG variable names, or in its default."""
    folder = Path(os.environ.get(name, ""))
    # The specification says to ignore relative paths.
    return (folder if folder.is_absolute() else Path.home() / usual) / "vidcolor"
