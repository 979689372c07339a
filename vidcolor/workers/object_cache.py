"""A local cache of files from an object store, shared by all workers of this machine.

A worker that uses an item holds a shared lock on it; one that downloads or removes it holds an
exclusive lock. Locks end with their process, so the next worker can use, or remove, what a killed
one left. Items that have not been used for KEPT_SECONDS are removed.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from vidcolor.errors import OutputError
from vidcolor.files import atomic_folder, is_named, lock, wait_for_lock
from vidcolor.workers.job_shipping import Item
from vidcolor.workers.object_store import Store

KEPT_SECONDS = 1800
"""Unused items are removed after this time. A batch alternates between segments of several films,
each of which takes minutes, so an item may be needed again after a while."""


# Not fsspec's file cache: it has no locks between processes, and removes nothing by itself.
class Cache:
    """A folder with items of a store, shared with other processes."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        self._held: dict[str, IO[str]] = {}

    def keep(self, items: Sequence[Item]) -> list[Path]:
        """Lock these items, download the missing ones, and release items locked before.

        Returns:
            The local path of each.

        Raises:
            OutputError: the store cannot be read, or the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            held = {
                item.digest: self._held.pop(item.digest)
                if item.digest in self._held
                else self._hold(item)
                for item in items
            }
            for file in self._held.values():
                os.utime(file.fileno())
                file.close()
            self._held = held
            self._remove_unused()
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"{self._folder}: {error.strerror}; free some space, or name another folder with "
                "VIDCOLOR_HOME"
            ) from error
        return [self._place(item) for item in items]

    def _place(self, item: Item) -> Path:
        return self._folder / item.digest / Path(item.path).name

    def _hold(self, item: Item) -> IO[str]:
        """Return a shared lock on an item, which is downloaded first if it is missing."""
        path = self._folder / f"{item.digest}.lock"
        while True:
            file = path.open("a")
            wait_for_lock(file, with_others=True)
            if self._place(item).exists() and is_named(file, path):
                os.utime(path)
                return file
            wait_for_lock(file)
            if not self._place(item).exists() and is_named(file, path):
                self._fetch(item)
            file.close()  # another process may have fetched or removed it in between

    def _fetch(self, item: Item) -> None:
        with atomic_folder(self._folder / item.digest) as draft:
            place = draft / Path(item.path).name
            for name, key in item.keys:
                file = place / name if name else place
                file.parent.mkdir(parents=True, exist_ok=True)
                self._store.fetch(key, file)

    def _remove_unused(self) -> None:
        for path in self._folder.glob("*.lock"):
            with suppress(FileNotFoundError, OutputError):  # another process removes it, or uses it
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    with path.open("r+") as file:
                        lock(file, if_held=f"{path}: is in use")
                        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                        path.unlink()
