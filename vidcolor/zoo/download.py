"""Download files: over HTTPS, resumed after an interruption, checked."""

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidcolor._version import __version__
from vidcolor.errors import ModelError, OutputError
from vidcolor.files import DIGEST_LETTERS, digest

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes downloaded, and the total where it is known."""

CHUNK_BYTES = 1 << 20
"""Read at once: often enough to show progress, and few enough calls."""
SILENCE_SECONDS = 30.0
"""Timeout of a read from a server."""
NO_VERSION = '"none"'
"""The version of a file whose server gives none: such a file is downloaded again each time."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the web."""

    address: str
    """Where it is."""
    now_at: str
    """Where it is downloaded from; may differ each time."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers."""
    sha256: str | None = None
    """Its known SHA-256."""


def hub_file(repository: str, name: str, revision: str | None) -> Remote:
    """Return a file of a repository on the Hugging Face Hub.

    The Hub knows the SHA-256 of large files. A token of `hf auth login` opens private repositories.

    Raises:
        ModelError: the repository or file does not exist, or the Hub cannot be reached.
    """
    import huggingface_hub

    try:
        address = huggingface_hub.hf_hub_url(repository, name, revision=revision)
        token = huggingface_hub.get_token()
        found = huggingface_hub.get_hf_file_metadata(address)
    except Exception as error:
        raise _not_fetched(f"hf://{repository}/{name}", error) from error
    # Another server, where large files are, must not see the token.
    is_at_home = urlsplit(found.location).netloc == urlsplit(address).netloc
    is_sha256 = found.etag is not None and len(found.etag) == DIGEST_LETTERS
    return Remote(
        address=address,
        now_at=found.location,
        headers={"Authorization": f"Bearer {token}"} if token and is_at_home else {},
        sha256=found.etag if is_sha256 else None,
    )


# Not pooch, which starts over after an interruption, and not hf_hub_download, which knows only the
# Hub and keeps a cache of its own: models are moved out of the downloads, which are then removed.
def fetch(remote: Remote, folder: Path, on_bytes: OnBytes | None = None) -> Path:
    """Download a file to the folder and return its path; a partial download is resumed.

    Raises:
        ModelError: it cannot be reached, has another SHA-256, or is neither known nor sent over
            HTTPS.
        OutputError: the folder cannot be written.
    """
    path = folder / (unquote(urlsplit(remote.address).path).rpartition("/")[2] or "file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fill(path, remote, on_bytes)
    except _ConnectionError as error:
        raise _not_fetched(remote.address, error) from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; fix that and try again") from error
    if remote.sha256 is not None:
        try:
            check_sha256(path, remote.sha256)
        except ModelError:
            path.unlink()  # else it would be resumed
            raise
    return path


def check_sha256(path: Path, wanted: str) -> None:
    """Compare a file's SHA-256 with the wanted one.

    Raises:
        ModelError: it differs.
    """
    found = digest(path)
    if found != wanted:
        raise ModelError(
            f"{path}: its SHA-256 is {found}, not {wanted}, so it is damaged or another file; "
            "download it again, or check the digest"
        )


class _ConnectionError(Exception):
    """A connection error."""


def _not_fetched(source: str, error: Exception) -> ModelError:
    return ModelError(
        f"{source}: cannot be downloaded ({error}); check the address and the connection and run "
        "the same command again to resume, or download the file yourself and give its path"
    )


def _fill(path: Path, remote: Remote, on_bytes: OnBytes | None) -> None:
    """Download the rest of a file, or all of it if it has changed on the server."""
    version = path.with_name(f"{path.name}.etag")
    has = path.stat().st_size if path.is_file() and version.is_file() else 0
    part = {"Range": f"bytes={has}-", "If-Range": version.read_text()} if has else {}
    response = _answer(remote, part)
    if response is None:  # it is complete
        return
    with response:
        has = has if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers["Content-Length"]
        total = None if length is None else has + int(length)
        with path.open("r+b" if has else "wb") as file:
            file.seek(has)
            version.write_text(response.headers["ETag"] or NO_VERSION)
            while chunk := _read(response):
                has += file.write(chunk)
                if on_bytes is not None:
                    on_bytes(has, total)
    if total is not None and has < total:
        raise _ConnectionError(f"the connection broke after {has} of {total} bytes")


def _answer(remote: Remote, part: Mapping[str, str]) -> HTTPResponse | None:
    """Return the server's response; None if nothing is missing of the requested range."""
    _require_safe(remote.now_at, remote)
    headers = {"User-Agent": f"vidcolor/{__version__}", **remote.headers, **part}
    request = urllib.request.Request(remote.now_at, headers=headers)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=SILENCE_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if part and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise _ConnectionError(error) from error
    except (OSError, HTTPException) as error:
        raise _ConnectionError(error) from error
    _require_safe(response.url, remote)
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _ConnectionError(error) from error


def _require_safe(address: str, remote: Remote) -> None:
    """Refuse plain HTTP, unless the file's SHA-256 is known."""
    if urlsplit(address).scheme != "https" and remote.sha256 is None:
        raise ModelError(
            f"{address}: is not encrypted, so the file could be changed on the way; "
            "use an https:// address, or give --sha256"
        )
