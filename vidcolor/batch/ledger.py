"""The ledger of an output folder: from which film and with which options each output was made.

A file of JSON lines next to the outputs. One line is written before a film is rendered, and one
after its output has got its name. The last line on an output counts. So it is known which outputs
are complete, even if the run is killed: a render names its output only when it is complete.
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
    """An entry on an output."""

    out: str
    """Its path relative to the ledger's folder."""
    fingerprint: Fingerprint
    """The fingerprint of its render."""
    byte_count: int | None
    """Size of the output; None: its render was started."""
    was_there: bool = False
    """A file of this name existed before that render."""


class Ledger:
    """The ledger of a folder; thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LEDGER_NAME
        self._lock = Lock()
        self._entries = {entry.out: entry for entry in _read(self._path)}

    def last_fingerprint(self, out: Path) -> Fingerprint:
        """Return the fingerprint of an output, or of the last try; empty if unknown."""
        entry = self._entries.get(self._name(out))
        return {} if entry is None else entry.fingerprint

    def is_done(self, out: Path, fingerprint: Fingerprint) -> bool:
        """Tell whether an output exists, is complete, and was made with this fingerprint."""
        entry = self._entries.get(self._name(out))
        if entry is None or entry.fingerprint != fingerprint or not out.is_file():
            return False
        if entry.byte_count is None:  # the run was killed after naming the output
            return not entry.was_there
        return entry.byte_count == out.stat().st_size

    def check(self, out: Path, fingerprint: Fingerprint) -> None:
        """Check that no output with another fingerprint would be replaced.

        Raises:
            OutputError: it would; the message names the differences.
        """
        entry = self._entries.get(self._name(out))
        if entry is not None and entry.fingerprint != fingerprint and out.exists():
            raise OutputError(
                f"{out}: was made with {describe_difference(entry.fingerprint, fingerprint)}; add "
                "--overwrite to replace it, or name another folder"
            )

    def begin(self, out: Path, fingerprint: Fingerprint) -> None:
        """Record that a render is about to start."""
        self._note(_Entry(self._name(out), fingerprint, None, was_there=out.exists()))

    def end(self, out: Path, fingerprint: Fingerprint) -> None:
        """Record that an output is complete."""
        self._note(_Entry(self._name(out), fingerprint, out.stat().st_size))

    def _name(self, out: Path) -> str:
        return out.relative_to(self._folder).as_posix()

    def _note(self, entry: _Entry) -> None:
        with self._lock, output_errors(self._path):
            self._entries[entry.out] = entry
            # Start a new line, in case a crash has cut the last one short.
            append(self._path, f"\n{json.dumps(asdict(entry))}\n")


def _read(path: Path) -> list[_Entry]:
    """Return the entries of a ledger; skip lines that a crash has cut short."""
    try:
        lines = read_json_lines(path)
    except OSError:
        return []
    entries = []
    for line in lines:
        with suppress(TypeError):
            entries.append(_Entry(**line))
    return entries
