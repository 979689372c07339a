"""An object store: s3://bucket/prefix, gs://bucket/prefix or file:///folder.

    store = Store("s3://films/vidcolor")
    store.put(Path("in.mp4"), "files/in.mp4")
    store.fetch("files/in.mp4", Path("copy.mp4"))

A file is complete as soon as its key exists: object stores show an object when all of it has
arrived, and in a folder files are renamed last. Credentials are those of the machine's environment
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, a role, GOOGLE_APPLICATION_CREDENTIALS, ...).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from vidcolor.errors import OptionsError, OutputError
from vidcolor.files import atomic_write
from vidcolor.options.render import STORES


class Store:
    """Files by key; a key is a name with slashes."""

    def __init__(self, address: str) -> None:
        """Open a store, without connecting to it yet.

        Raises:
            OptionsError: the Python package for this kind of store is not installed.
        """
        self.address = address
        kind = urlsplit(address).scheme
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
        except ImportError as error:
            raise OptionsError(
                f"--store {address}: {error.name or STORES[kind]} is not installed; run "
                f"pip install 'vidcolor[cluster]' {STORES[kind]}"
            ) from error
        self._root = root.rstrip("/")
        self._is_folder = kind == "file"

    def has(self, key: str) -> bool:
        """Tell whether a key exists."""
        with self._explained():
            return bool(self._files.exists(f"{self._root}/{key}"))

    def put(self, path: Path, key: str) -> None:
        """Upload a file."""
        place = f"{self._root}/{key}"
        with self._explained():
            if not self._is_folder:
                self._files.put_file(str(path), place)
                return
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(Path(place), is_shared=True) as draft:
                self._files.put_file(str(path), str(draft))

    def fetch(self, key: str, path: Path) -> None:
        """Download a file; it gets its name when it is complete and on disk."""
        with self._explained(), atomic_write(path, is_shared=True) as draft:
            self._files.get_file(f"{self._root}/{key}", str(draft))

    def text(self, key: str) -> str | None:
        """Return the text of a small file; None if the key does not exist."""
        with self._explained():
            try:
                return bytes(self._files.cat_file(f"{self._root}/{key}")).decode()
            except FileNotFoundError:
                return None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn any error of a store into one line; each kind of store has its own exceptions.

        Raises:
            OutputError: the store failed.
        """
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OutputError(
                f"--store {self.address}: {reason}; check the address, the connection and this "
                "machine's permissions, then run the same command again"
            ) from error
