"""What a folder of results holds: of which film and by which options each was made.

A file of JSON lines beside the results. One is written before a film's render begins, and one when
its result has its name; of a result, the last line counts. So whatever kills the run, it is known
which results are whole: a render gives its result the name when it is.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from vidcolor.errors import OutputError
from vidcolor.files import append, read_json_lines
from vidcolor.media.output_errors import output_errors
from vidcolor.pipeline.journal import Fingerprint, describe_difference

LEDGER_NAME = ".vidcolor-batch.jsonl"


@dataclass(frozen=True)
class _Entry:
    """What is known of a result."""

    out: str
    """Its name, from the ledger's folder."""
    fingerprint: Fingerprint
    """What decides its frames."""
    byte_count: int | None
    """Of the result; None: a render of it was begun."""
    was_there: bool = False
    """Before that render, there was a file of this name."""


class Ledger:
    """The ledger of a folder; any thread may write into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LEDGER_NAME
        self._lock = Lock()
        self._entries = {entry.out: entry for entry in _read(self._path)}

    def begun_with(self, out: Path) -> Fingerprint:
        """Return what decided the frames of a result, or of the last try; nothing if unknown."""
        entry = self._entries.get(self._name(out))
        return {} if entry is None else entry.fingerprint

    def is_done(self, out: Path, fingerprint: Fingerprint) -> bool:
        """Tell whether a result is there, whole, and made of that film in that way."""
        entry = self._entries.get(self._name(out))
        if entry is None or entry.fingerprint != fingerprint or not out.is_file():
            return False
        if entry.byte_count is None:  # the run was killed after it had named the result
            return not entry.was_there
        return entry.byte_count == out.stat().st_size

    def check(self, out: Path, fingerprint: Fingerprint) -> None:
        """Refuse to go on where a result was made in another way.

        Raises:
            OutputError: says in which.
        """
        entry = self._entries.get(self._name(out))
        if entry is not None and entry.fingerprint != fingerprint and out.exists():
            raise OutputError(
                f"{out}: was made with {describe_difference(entry.fingerprint, fingerprint)}; add "
                "--overwrite to replace it, or name another folder"
            )

    def begin(self, out: Path, fingerprint: Fingerprint) -> None:
        """Note that a result is about to be made."""
        self._note(_Entry(self._name(out), fingerprint, None, was_there=out.exists()))

    def end(self, out: Path, fingerprint: Fingerprint) -> None:
        """Note that a result is there."""
        self._note(_Entry(self._name(out), fingerprint, out.stat().st_size))

    def _name(self, out: Path) -> str:
        return out.relative_to(self._folder).as_posix()

    def _note(self, entry: _Entry) -> None:
        with self._lock, output_errors(self._path):
            self._entries[entry.out] = entry
            # A line of its own even where a crash has cut the last one short.
            append(self._path, f"\n{json.dumps(asdict(entry))}\n")


def _read(path: Path) -> list[_Entry]:
    """Return the entries of a ledger; lines that a crash cut short are passed over."""
    try:
        lines = read_json_lines(path)
    except OSError:
        return []
    entries = []
    for line in lines:
        with suppress(TypeError):
            entries.append(_Entry(**line))
    return entries
