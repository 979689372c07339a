"""A headless Chromium that tests drive over a pipe: what a person sees and does on a page.

It speaks the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) on two pipes,
a JSON message each, ended by a zero byte: no server, no port, no driver.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
IS_CI = os.environ.get("CI", "").lower() in ("true", "1")
MISSING = "no Chromium here; install it with: apt-get install chromium"
needs_chromium = pytest.mark.skipif(PROGRAM is None and not IS_CI, reason=MISSING)
"""Skips a test where there is no browser; with CI=true the test then fails instead."""

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe", "--autoplay-policy=user-gesture-required",
    "--mute-audio", "--window-size=1280,800",
)  # fmt: skip
PATIENCE_SECONDS = 60
KEY_CODES = {" ": 32, "Home": 36, "End": 35, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}


class Chromium:
    """One page of a browser."""

    def __init__(self, words: int, answers: int) -> None:
        self._words, self._answers = words, answers
        self._rest, self._number, self._session = b"", 0, None
        self.complaints: list[str] = []
        """What the page wrote to its console, and errors that nothing caught."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the browser's answer to a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._words, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._hear(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answers, 1 << 20)
            if not more:
                raise RuntimeError("Chromium has gone")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _hear(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(event["params"]))
        if event.get("method") == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if not url.startswith(("file:", "data:")):
                self.complaints.append(f"asked for {url}")

    def open(self, page: Path) -> None:
        """Go to a page and wait until both of its films can be shown."""
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait("document.readyState === 'complete' && document.querySelectorAll('video').length")
        self.wait(
            "[...document.querySelectorAll('video')].every(v => v.readyState >= 2 || v.error)"
        )

    def run(self, script: str) -> Any:
        """Return what an expression of JavaScript gives, once it is settled."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        begun = time.monotonic()
        while not self.run(script):
            assert time.monotonic() - begun < PATIENCE_SECONDS, f"never true: {script}"
            time.sleep(0.02)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let go of it."""
        text = key if len(key) == 1 else ""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                text=text if kind == "keyDown" else "",
                windowsVirtualKeyCode=KEY_CODES.get(key, 0),
                modifiers=8 if shift else 0,
            )

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse's left button at one place of the window and let go of it at another."""
        for kind, (x, y), buttons in (
            ("mousePressed", begin, 1), ("mouseMoved", end, 1), ("mouseReleased", end, 0),
        ):  # fmt: skip
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons,
                clickCount=1,
            )  # fmt: skip

    def picture(self) -> bytes:
        """Return what the window shows, a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """Start a browser that keeps what it writes in a folder, and end it."""
    if PROGRAM is None:
        pytest.fail(MISSING, pytrace=False)
    to_it, words = os.pipe()
    answers, from_it = os.pipe()
    # It reads commands from file 3 and writes answers to file 4.
    start = f'exec "$0" "$@" 3<&{to_it} 4>&{from_it}'
    process = subprocess.Popen(
        ["bash", "-c", start, PROGRAM, *FLAGS, f"--user-data-dir={folder}"],
        pass_fds=(to_it, from_it),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(to_it)
    os.close(from_it)
    try:
        yield Chromium(words, answers)
    finally:
        process.terminate()
        os.close(words)
        os.close(answers)
        process.wait(PATIENCE_SECONDS)
