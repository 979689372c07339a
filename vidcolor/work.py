"""Where a render works: a hidden folder beside its result, held by one process at a time."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidcolor.locks import lock
from vidcolor.media.encode import output_errors

NAME_BYTES = 255
"""Longest file name of the usual file systems."""


@contextmanager
def work_folder(out: Path | str) -> Iterator[Path]:
    """Make `.NAME.vidcolor` beside the result; it is removed at the end, done or failed.

    What a killed run left there is removed first.

    Raises:
        OutputError: it cannot be made, or another run is at work in it.
    """
    out = Path(out)
    name = f".{out.name}.vidcolor"
    if len(os.fsencode(name)) > NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:32]}.vidcolor"
    folder = out.parent / name
    with output_errors(out):
        folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as file:
        with output_errors(out):
            lock(
                file,
                if_held=f"{out}: another run is rendering it; wait for that, or name another file",
            )
        for stale in folder.iterdir():
            if stale.name != "lock":
                stale.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
