"""The work folder of a render: hidden, next to the result, locked by one process at a time."""

import hashlib
import logging
import os
import shutil
from bisect import insort
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO

from vidcolor.errors import OutputError
from vidcolor.files import digest, is_named, lock, sync_file
from vidcolor.media.output_errors import output_errors
from vidcolor.pipeline.journal import (
    Fingerprint,
    Published,
    Record,
    Segment,
    append_entry,
    describe_difference,
    read_journal,
    write_journal,
)

log = logging.getLogger(__name__)

JOURNAL = "journal.jsonl"
NAME_BYTES = 255
"""Longest file name of common file systems."""


class WorkDir:
    """The work folder of one result, locked by this process; made by `work_on`."""

    def __init__(self, out: Path, fingerprint: Fingerprint) -> None:
        self.out = out
        self.folder = folder_of(out)
        self.segments: list[Segment] = []
        """The finished segments, in the film's order; there may be gaps."""
        self._fingerprint = fingerprint
        self._journal = self.folder / JOURNAL

    @property
    def paths(self) -> list[Path]:
        """Files of the finished segments."""
        return [self.folder / segment.name for segment in self.segments]

    @property
    def frame_count(self) -> int:
        """Frames of the finished segments."""
        return sum(segment.frame_count for segment in self.segments)

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the finished segments."""
        return frozenset(segment.number for segment in self.segments)

    @property
    def unbroken(self) -> list[Segment]:
        """The finished segments before the first gap."""
        return [s for number, s in enumerate(self.segments) if s.number == number]

    @property
    def changes(self) -> tuple[str, ...]:
        """What the finished segments lost or converted, each once."""
        return tuple(dict.fromkeys(chain(*(segment.changes for segment in self.segments))))

    def is_published(self) -> bool:
        """Tell whether an earlier run finished this result, and was killed while cleaning up."""
        record = read_journal(self._journal)
        if record is None or record.published is None or not self.out.exists():
            return False
        self.segments = _in_order(record.segments)
        return record.published == Published.of(self.out) and (
            record.fingerprint == self._fingerprint
        )

    def resume(self, *, restart: bool, is_expendable: bool) -> None:
        """Resume an interrupted run, or start over.

        Args:
            restart: start over in any case.
            is_expendable: start over if it used another film, model or option.

        Raises:
            OutputError: it did, and is not expendable.
        """
        record = None if restart else read_journal(self._journal)
        if record is not None and record.fingerprint == self._fingerprint:
            self.segments = self._whole(record.segments)
        elif record is not None and record.segments and not is_expendable:
            raise OutputError(
                f"{self.out}: an interrupted render of it used "
                f"{describe_difference(record.fingerprint, self._fingerprint)}; "
                "run that command again to resume it, or add --restart to start over"
            )
        self._write()

    def reset(self) -> None:
        """Start over."""
        self.segments = []
        self._write()

    def append_entry(self, segment: Segment) -> None:
        """Record a finished segment, whose file is on disk; the record is on disk on return."""
        with output_errors(self.out):
            sync_file(self.folder)  # the segment's name, too
            append_entry(self._journal, segment)
        insort(self.segments, segment, key=_number)

    def record_publish(self, whole: Path) -> None:
        """Record which file is about to be renamed to the result."""
        with output_errors(self.out):
            append_entry(self._journal, Published.of(whole))

    def _whole(self, segments: tuple[Segment, ...]) -> list[Segment]:
        """Return the segments whose files are what the journal says."""
        return [segment for segment in _in_order(segments) if self._is_whole(segment)]

    def _is_whole(self, segment: Segment) -> bool:
        path = self.folder / Path(segment.name).name
        is_whole = path.is_file() and digest(path) == segment.sha256
        if not is_whole:
            log.warning(
                "%s: segment %d is damaged; rendering it again", self.out, segment.number + 1
            )
        return is_whole

    def _write(self) -> None:
        with output_errors(self.out):
            write_journal(self._journal, Record(self._fingerprint, tuple(self.segments)))
            self.remove_strays()

    def keep_or_remove(self) -> None:
        """Keep the folder and say so if it can be resumed; else remove it.

        The journal is read again: an interruption may come between its last line and `segments`.
        """
        record = read_journal(self._journal)
        if record is None or not record.segments:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif record.fingerprint == self._fingerprint:
            self.segments = _in_order(record.segments)
            self.remove_strays()
            log.warning(
                "%s: %d frames are done; run the same command again to resume",
                self.out,
                self.frame_count,
            )

    def remove_strays(self) -> None:
        """Remove all files but the lock, the journal and the finished segments."""
        known = {"lock", self._journal.name, *(segment.name for segment in self.segments)}
        for path in self.folder.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)  # a worker that is ending may rename it


def _in_order(segments: Iterable[Segment]) -> list[Segment]:
    return sorted(segments, key=_number)


def _number(segment: Segment) -> int:
    return segment.number


@contextmanager
def work_on(out: Path | str, fingerprint: Fingerprint) -> Iterator[WorkDir]:
    """Make or find the work folder of a result, and lock it.

    It is removed when the block ends without an error. After an error it is kept if it contains
    finished segments, from which the same command resumes.

    Raises:
        OutputError: it cannot be made, or another process has locked it.
    """
    work = WorkDir(Path(out), fingerprint)
    file: IO[str] | None = None
    try:
        file = _locked(work.out, work.folder)
        yield work
    except BaseException:
        # An interruption may come while the folder is made: whoever gets the lock cleans up.
        with suppress(OutputError), file or _locked(work.out, work.folder):
            work.keep_or_remove()
        raise
    with file:
        shutil.rmtree(work.folder, ignore_errors=True)


def interrupted_fingerprint(out: Path) -> Fingerprint:
    """Return the fingerprint of an interrupted render; empty if it finished no segment."""
    record = read_journal(folder_of(out) / JOURNAL)
    return record.fingerprint if record is not None and record.segments else {}


def folder_of(out: Path) -> Path:
    """Return the work folder of a result, `.NAME.vidcolor` next to it."""
    name = f".{out.name}.vidcolor"
    if len(os.fsencode(name)) > NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:32]}.vidcolor"
    return out.with_name(name)


def _locked(out: Path, folder: Path) -> IO[str]:
    """Make the folder and lock it; try again if its last holder removed it in between."""
    path = folder / "lock"
    while True:
        with output_errors(out):
            folder.mkdir(exist_ok=True)
        with output_errors(out), suppress(FileNotFoundError), ExitStack() as stack:
            file = stack.enter_context(path.open("w"))
            lock(
                file,
                if_held=f"{out}: another run is rendering it; wait for it, or name another file",
            )
            if is_named(file, path):
                stack.pop_all()
                return file
