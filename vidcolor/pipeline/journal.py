"""The journal of a render: its fingerprint, and the segments that are done.

A file of JSON lines. The first is the fingerprint of the work; then, in any order, one for each
segment whose file is complete and on the disk; last, one for the file that was published under the
result's name. Each is on the disk before the next step, so the journal is true whenever the run is
killed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vidcolor.files import DIGEST_LETTERS, append, atomic_write, read_json_lines

Fingerprint = Mapping[str, str | int | float | bool | None]
"""What decides the frames of a result, by its name for users."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment that is done."""

    number: int
    """Which one of the film, from 0."""
    name: str
    """Its file in the work folder."""
    sha256: str
    """Of that file."""
    frame_count: int
    shot_count: int
    """Shots that start in it."""
    first_pts: int
    """When its first frame is shown, ticks of the film."""
    first_luma: int
    """CRC-32 of the luma of its first frame, as decoded."""
    last_pts: int
    """When its last frame is shown, ticks of the film."""
    changes: tuple[str, ...]
    """Warnings about the film up to this segment (`Changes.sentences`)."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Time of each pipeline stage since the segment before, seconds."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """The file that was renamed to the result: a rename keeps both of these."""

    inode: int
    byte_count: int

    @classmethod
    def of(cls, path: Path) -> "Published":
        """Describe an existing file."""
        stat = path.stat()
        return cls(inode=stat.st_ino, byte_count=stat.st_size)


@dataclass(frozen=True)
class Record:
    """The content of a journal."""

    fingerprint: Fingerprint
    segments: tuple[Segment, ...] = ()
    published: Published | None = None


def read_journal(path: Path) -> Record | None:
    """Return the journal up to the first invalid line; None if there is nothing.

    A crash can cut the last line short, and nothing else.
    """
    try:
        first, *entries = read_json_lines(path)
        fingerprint = first["work"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    segments: list[Segment] = []
    for entry in entries:
        try:
            if "published" in entry:
                return Record(fingerprint, tuple(segments), Published(**entry["published"]))
            segments.append(segment_from(entry["segment"]))
        except (ValueError, KeyError, TypeError):
            break
    return Record(fingerprint, tuple(segments))


def segment_from(entry: dict[str, Any]) -> Segment:
    """Return the segment from an entry that `asdict` made."""
    return Segment(**{**entry, "changes": tuple(entry["changes"])})


def write_journal(path: Path, record: Record) -> None:
    """Replace the whole journal."""
    lines = [_line("work", record.fingerprint)]
    lines += [_line("segment", asdict(segment)) for segment in record.segments]
    with atomic_write(path) as draft:
        draft.write_text("".join(lines), encoding="utf-8")


def append_entry(path: Path, done: Segment | Published) -> None:
    """Add a line; it is on the disk when this returns."""
    append(path, _line("segment" if isinstance(done, Segment) else "published", asdict(done)))


def _line(kind: str, entry: Mapping[str, object]) -> str:
    return json.dumps({kind: entry}) + "\n"


def describe_difference(old: Fingerprint, new: Fingerprint) -> str:
    """Return how two fingerprints differ, for messages: `another film and --crf 18, not 20`."""
    words = []
    for name in {**old, **new}:
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        is_digest = isinstance(before, str) and len(before) == DIGEST_LETTERS
        words.append(f"another {name}" if is_digest else f"{name} {before}, not {now}")
    return " and ".join(words)
