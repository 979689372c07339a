"""Files from the web: fetched over a safe line, gone on with after an interruption, checked."""

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
"""Called with the bytes that are there, and how many there shall be where that is known."""

CHUNK_BYTES = 1 << 20
"""Read at once: often enough to show progress, and few enough calls."""
SILENCE_SECONDS = 30.0
"""A server that says nothing for so long is gone."""
NO_VERSION = '"none"'
"""Stands for the version of a file whose server names none: it sends the file anew each time."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the web."""

    address: str
    """Where it is."""
    now_at: str
    """Where it is sent from; may differ at each look."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What its server wants to be told."""
    sha256: str | None = None
    """What it is known to be."""


def hub_file(repository: str, name: str, revision: str | None) -> Remote:
    """Return a file of a repository on the Hugging Face Hub.

    The Hub knows the SHA-256 of large files. A token of `hf auth login` opens private repositories.

    Raises:
        ModelError: there is no such repository or file, or the Hub cannot be reached.
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
    """Bring a file into the folder and return its path; what is there of it is not sent again.

    Raises:
        ModelError: it cannot be reached, is not what it is known to be, or would come over a line
            on which anybody can change it.
        OutputError: the folder cannot be written.
    """
    path = folder / (unquote(urlsplit(remote.address).path).rpartition("/")[2] or "file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fill(path, remote, on_bytes)
    except _LineError as error:
        raise _not_fetched(remote.address, error) from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; mend that, then fetch it again") from error
    if remote.sha256 is not None:
        try:
            check_sha256(path, remote.sha256)
        except ModelError:
            path.unlink()  # else it would be gone on with
            raise
    return path


def check_sha256(path: Path, wanted: str) -> None:
    """Compare a file with what it shall be.

    Raises:
        ModelError: it is another.
    """
    found = digest(path)
    if found != wanted:
        raise ModelError(
            f"{path}: its SHA-256 is {found}, not {wanted}; it is damaged or another file: "
            "get it anew, or ask who gave the digest"
        )


class _LineError(Exception):
    """What goes wrong between a server and us."""


def _not_fetched(source: str, error: Exception) -> ModelError:
    return ModelError(
        f"{source}: cannot be fetched ({error}); look at address and connection and run the same "
        "command again, it goes on where it was, or fetch the file elsewhere and give its path"
    )


def _fill(path: Path, remote: Remote, on_bytes: OnBytes | None) -> None:
    """Append what is missing of a file, or all of it where the server has another one by now."""
    version = path.with_name(f"{path.name}.etag")
    has = path.stat().st_size if path.is_file() and version.is_file() else 0
    part = {"Range": f"bytes={has}-", "If-Range": version.read_text()} if has else {}
    response = _answer(remote, part)
    if response is None:  # there is no more of it
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
        raise _LineError(f"the line broke after {has} of {total} bytes")


def _answer(remote: Remote, part: Mapping[str, str]) -> HTTPResponse | None:
    """Return a server's answer; None where nothing is missing of the part that is asked for."""
    _require_safe(remote.now_at, remote)
    headers = {"User-Agent": f"vidcolor/{__version__}", **remote.headers, **part}
    request = urllib.request.Request(remote.now_at, headers=headers)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=SILENCE_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if part and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise _LineError(error) from error
    except (OSError, HTTPException) as error:
        raise _LineError(error) from error
    _require_safe(response.url, remote)
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _LineError(error) from error


def _require_safe(address: str, remote: Remote) -> None:
    """Refuse a line on which anybody can change what is sent, unless it is known what that is."""
    if urlsplit(address).scheme != "https" and remote.sha256 is None:
        raise ModelError(
            f"{address}: on the way here anybody could change it; "
            "take an https:// address, or say what it is by --sha256"
        )
