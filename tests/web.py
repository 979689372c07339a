"""A web server on this machine, which keeps files, sends parts of them, and can break off."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Web:
    """What the server has, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By path."""
    breaks_after: int | None = None
    """Bytes of an answer after which the line breaks; None: never."""
    damages: bool = False
    """Whether what is sent ends otherwise than what the server has."""
    moved: dict[str, str] = field(default_factory=dict)
    """Where a path is now."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """The paths that were fetched, and which part of each."""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """What was told at the last request for a path."""
    address: str = ""


@contextmanager
def serve() -> Iterator[Web]:
    """Serve files at an address of this machine until the block ends."""
    web = Web()

    class Handler(_Handler):
        served = web

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Web

    def do_HEAD(self) -> None:
        self._answer(is_whole=False)

    def do_GET(self) -> None:
        self.served.asked.append((self.path, self.headers["Range"]))
        self._answer(is_whole=True)

    def _answer(self, *, is_whole: bool) -> None:
        web = self.served
        web.headers[self.path] = dict(self.headers)
        if self.path in web.moved:
            self.send_response(302)
            self.send_header("Location", web.moved[self.path])
            self._describe(web.files[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in web.files:
            self.send_error(404)
            return
        content = web.files[self.path]
        start = 0
        if self.headers["If-Range"] == self._etag(content):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self._describe(content)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if is_whole:
            sent = content[:-1] + b"?" if web.damages else content
            self.wfile.write(sent[start:][: web.breaks_after])

    def _describe(self, content: bytes) -> None:
        """Send the headers by which the Hub tells of a file."""
        self.send_header("ETag", self._etag(content))
        self.send_header("X-Repo-Commit", "0" * 40)

    @staticmethod
    def _etag(content: bytes) -> str:
        return f'"{hashlib.sha256(content).hexdigest()}"'

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
