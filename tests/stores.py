"""Stores to test with: a folder, and buckets of moto, a server of S3's protocol."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

WAIT_SECONDS = 60


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server until the block ends, to which this process's s3:// addresses lead."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    settings = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(address)
            os.environ.update(settings)
            yield address
        finally:
            server.terminate()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _wait_for(address: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            urlopen(f"{address}/moto-api/", timeout=1).close()
        except (URLError, OSError):
            assert time.monotonic() < end, "the server of S3's protocol did not start"
            time.sleep(0.05)
        else:
            return


def make_bucket(name: str) -> str:
    """Make a bucket on the server; return its address."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # they may speak to an earlier server
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
