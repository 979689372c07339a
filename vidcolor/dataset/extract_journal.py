"""The state of an extraction, so that it can resume after a crash.

Frames are collected in `DATA/NAME/.extracting`, numbered from 1. The journal gets a line after each
complete one. After the last they move to train/ and test/; the manifest is written last.
"""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from vidcolor.dataset.manifest import UNFINISHED_NAME, Stretch
from vidcolor.errors import OutputError, VidcolorError
from vidcolor.files import atomic_write, lock, read_json_lines

JOURNAL_NAME = "journal.jsonl"
_COMPLETE = "complete"

BORDER_SHARE = 0.05
"""A border between train and test given as a share moves to a cut at most this far away."""


@dataclass(frozen=True)
class Kept:
    """A frame that an extraction has kept."""

    pts: int
    starts_shot: bool


class Staging:
    """The frames collected so far and their journal.

    with open_staging(folder, settings, ending="jpg", finished=()) as staging:
        staging.add(jpeg, Kept(pts=0, starts_shot=True))
        staging.complete()
    """

    def __init__(self, folder: Path, journal: IO[str], ending: str) -> None:
        self.folder, self._journal, self._ending = folder, journal, ending
        self.kept: list[Kept] = []
        """What was kept, in film order."""
        self.is_complete = False
        """No frame is missing; they only have to be moved."""

    def path(self, number: int) -> Path:
        """Return the path of a kept frame; numbers start at 1."""
        return self.folder / f"{number:05d}.{self._ending}"

    def add(self, content: bytes, kept: Kept) -> None:
        """Keep a frame: write its file atomically, then its line in the journal."""
        path = self.path(len(self.kept) + 1)
        with atomic_write(path, sync=False) as draft:
            draft.write_bytes(content)
        self._write([kept.pts, kept.starts_shot])
        self.kept.append(kept)

    def complete(self) -> None:
        """Record that no frame is missing."""
        self._write(_COMPLETE)
        self.is_complete = True

    def move(self, number: int, target: Path) -> None:
        """Move a kept frame to its place, unless an interrupted run has done so."""
        path = self.path(number)
        if path.exists() or not target.exists():
            path.replace(target)

    def remove(self) -> None:
        """Remove the folder with all that is still in it."""
        shutil.rmtree(self.folder)

    def _write(self, entry: object) -> None:
        self._journal.write(json.dumps(entry) + "\n")
        self._journal.flush()

    def read_journal(self, settings: Mapping[str, Any], finished: Collection[str]) -> None:
        """Read the journal of an interrupted run, or start one.

        Args:
            settings: the settings that the run must have.
            finished: fingerprints of the sources in the dataset: a journal about one of
                these was about to be removed.

        Raises:
            OutputError: the run had other settings.
        """
        path = self.folder / JOURNAL_NAME
        entries = read_json_lines(path)
        if None in entries:
            raise OutputError(f"{path}: is damaged; delete this folder to start over")
        if entries and entries[0]["fingerprint"] in finished:
            entries = []
        if entries and entries[0] != dict(settings):
            raise OutputError(
                f"{self.folder}: an extraction with other settings was interrupted here "
                f"({_difference(entries[0], settings)}); finish it with its own settings, "
                "or delete this folder"
            )
        # A last line that was cut short makes room for the next.
        self._journal.truncate(path.read_bytes().rfind(b"\n") + 1 if entries else 0)
        if not entries:
            self._write(dict(settings))
        self.is_complete = _COMPLETE in entries
        self.kept = [Kept(*entry) for entry in entries[1:] if entry != _COMPLETE]


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {found.get(key)} instead of {wanted[key]}"
        for key in wanted
        if found.get(key) != wanted[key]
    )


@contextmanager
def open_staging(
    folder: Path, settings: Mapping[str, Any], *, ending: str, finished: Collection[str]
) -> Iterator[Staging]:
    """Open the state of a dataset's extraction, for one process at a time.

    Args:
        folder: the dataset's folder.
        settings: all that the frames depend on, as JSON values, with `fingerprint`; an interrupted
            run is resumed only with the same ones.
        ending: of the frame files, without a dot.
        finished: fingerprints of the complete sources of the dataset.

    Raises:
        OutputError: the folder cannot be written, another process extracts to it, or an
            interrupted run had other settings.
    """
    unfinished = folder / UNFINISHED_NAME
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with (unfinished / JOURNAL_NAME).open("a+", encoding="ascii") as journal:
            lock(
                journal,
                if_held=f"dataset {folder}: another vidcolor is extracting to it; "
                "wait for it or stop it",
            )
            staging = Staging(unfinished, journal, ending)
            staging.read_journal(settings, finished)
            yield staging
    except VidcolorError:
        raise
    except OSError as error:
        raise OutputError(
            f"dataset {folder}: {error.strerror}; fix that and run the same command again to resume"
        ) from error


def split_sizes(kept: list[Kept], split: tuple[int, int] | tuple[float, float]) -> tuple[int, int]:
    """Return how many of the frames are for training and how many, after them, for testing.

    Counts are exact; for a film with fewer frames their ratio is used. Shares add up to the
    whole film, and their border moves to a cut that is near, so that no shot is on both sides.
    """
    total = len(kept)
    train, test = split
    if isinstance(train, int) and train + test <= total:
        return train, int(test)
    border = round(total * train / (train + test))
    near = [
        index
        for index, frame in enumerate(kept)
        if frame.starts_shot and index > 0 and abs(index - border) <= BORDER_SHARE * total
    ]
    if test > 0:
        border = min(near, key=lambda index: abs(index - border), default=border)
    return border, total - border


def stretches(kept: list[Kept], *, source: int, offset: int) -> tuple[Stretch, ...]:
    """Return kept frames as runs of one shot each, numbered on from `offset`."""
    starts = [i for i, frame in enumerate(kept) if i == 0 or frame.starts_shot]
    return tuple(
        Stretch(
            first=offset + start + 1,
            count=end - start,
            source=source,
            pts=tuple(frame.pts for frame in kept[start:end]),
        )
        for start, end in pairwise([*starts, len(kept)])
    )
