"""A store of files under an address: s3://bucket/prefix, gs://bucket/prefix or file:///folder.

    store = Store("s3://films/vidcolor")
    store.put(Path("in.mp4"), "files/in.mp4")
    store.fetch("files/in.mp4", Path("copy.mp4"))

What a key stands for is whole, or not there: an object store shows what was put when all of it has
arrived, and in a folder files get their names last. Who may read and write is what the machine's
own settings say (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, a role, GOOGLE_APPLICATION_CREDENTIALS, ...).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from vidcolor.errors import OptionsError, OutputError
from vidcolor.files import atomic_write
from vidcolor.options.render import STORES


class Store:
    """Files by their keys, which are names with slashes."""

    def __init__(self, address: str) -> None:
        """Open a store; nothing is asked of it yet.

        Raises:
            OptionsError: what speaks to stores of this kind is not installed.
        """
        self.address = address
        kind = urlsplit(address).scheme
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
        except ImportError as error:
            raise OptionsError(
                f"--store {address}: {error.name or STORES[kind]} is not installed; get it by "
                f"pip install 'vidcolor[cluster]' {STORES[kind]}"
            ) from error
        self._root = root.rstrip("/")
        self._is_folder = kind == "file"

    def has(self, key: str) -> bool:
        """Tell whether there is something under a key."""
        with self._explained():
            return bool(self._files.exists(f"{self._root}/{key}"))

    def put(self, path: Path, key: str) -> None:
        """Copy a file into the store."""
        place = f"{self._root}/{key}"
        with self._explained():
            if not self._is_folder:
                self._files.put_file(str(path), place)
                return
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(Path(place), is_shared=True) as draft:
                self._files.put_file(str(path), str(draft))

    def fetch(self, key: str, path: Path) -> None:
        """Copy a file from the store; it is whole and on the disk when it has its name."""
        with self._explained(), atomic_write(path, is_shared=True) as draft:
            self._files.get_file(f"{self._root}/{key}", str(draft))

    def text(self, key: str) -> str | None:
        """Return what a small file says, None if there is none."""
        with self._explained():
            try:
                return bytes(self._files.cat_file(f"{self._root}/{key}")).decode()
            except FileNotFoundError:
                return None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one line what a store refuses; each kind has exceptions of its own.

        Raises:
            OutputError: it did.
        """
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OutputError(
                f"--store {self.address}: {reason}; look at the address, the line to it and "
                "whether this machine may read and write there, then run the same command again"
            ) from error
