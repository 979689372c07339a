"""What a render reads, sent to machines where none of it lies, and the segments that come back.

A job names files of the machine that drives. They go to a store once, under names made of their
content; the machine that renders fetches them, and each path in the job is the path there. A
segment is put into the store under what decides its frames, so that any run finds it again: it is
there when the note beside it is, which names it and comes last.
"""

import hashlib
import io
import json
import logging
import os
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vidcolor.files import digest
from vidcolor.network.card import CARD, WEIGHTS
from vidcolor.pipeline.fingerprint import content_digest
from vidcolor.pipeline.journal import Segment, segment_from
from vidcolor.pipeline.segment_job import Job, SegmentTask
from vidcolor.workers.object_store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A file or a folder that a job reads."""

    path: str
    """Where it is on the machine that drives; absolute."""
    keys: tuple[tuple[str, str], ...]
    """Of each file in it the name, empty if the item is a file itself, and the key in the store."""

    @property
    def digest(self) -> str:
        """A SHA-256 of its content."""
        return hashlib.sha256(repr(self.keys).encode()).hexdigest()


@dataclass(frozen=True)
class Packed:
    """A job that can be unpacked elsewhere."""

    items: tuple[Item, ...]
    job: bytes


def pack_job(job: Job, store: Store) -> Packed:
    """Put what a job reads into the store, where it is not there yet, and pack the job.

    Raises:
        OutputError: the store cannot be written.
    """
    items = tuple(_put(whole, files, store) for whole, files in _read_by(job).items())
    file = io.BytesIO()
    _Packer(file, items).dump(job)
    return Packed(items, file.getvalue())


def unpack_job(packed: Packed, places: Sequence[Path], folder: Path) -> Job:
    """Return a job as it is here.

    Args:
        packed: what `pack_job` made.
        places: where each of its items is.
        folder: for its segments.
    """
    job: Job = _Unpacker(io.BytesIO(packed.job), places).load()
    return replace(job, folder=folder)


def _read_by(job: Job) -> dict[str, Sequence[Path]]:
    """Return the files and folders that a job reads, and the files of each."""
    films = (job.film, *job.guidance.masks.films)
    read: list[tuple[Path, Sequence[Path]]] = [
        *((film.path, film.source.files) for film in films),
        (job.model, [job.model / name for name in (CARD, WEIGHTS)]),
        *((picture.path, [picture.path]) for picture in job.guidance.pictures),
    ]
    return {
        _absolute(whole if whole.is_file() else files[0].parent): files for whole, files in read
    }


def _put(whole: str, files: Sequence[Path], store: Store) -> Item:
    keys = []
    for file in files:
        key = f"files/{content_digest([file])}/{file.name}"
        if not store.has(key):
            log.info("%s: goes into the store", file)
            store.put(file, key)
        keys.append(("" if _absolute(file) == whole else file.name, key))
    return Item(whole, tuple(keys))


def _absolute(path: Path | str) -> str:
    return os.path.abspath(path)  # noqa: PTH100  resolve() would follow links


class _Packer(pickle.Pickler):
    """Leaves out each path in an item: what is before it, which item, and what follows."""

    def __init__(self, file: io.BytesIO, items: Sequence[Item]) -> None:
        super().__init__(file)
        paths = ((item.path, number) for number, item in enumerate(items))
        self._paths = sorted(paths, key=lambda path: -len(path[0]))

    def persistent_id(self, thing: object) -> tuple[str, int, str, bool] | None:
        if not isinstance(thing, str | Path):
            return None
        text = _absolute(thing) if isinstance(thing, Path) else thing
        for path, number in self._paths:
            before, found, after = text.partition(path)
            if found and before in ("", "file:") and after[:1] in ("", "/"):
                return before, number, after, isinstance(thing, Path)
        return None


class _Unpacker(pickle.Unpickler):
    """Puts in where the items are now."""

    def __init__(self, file: io.BytesIO, places: Sequence[Path]) -> None:
        super().__init__(file)
        self._places = places

    def persistent_load(self, left_out: Any) -> str | Path:
        before, number, after, is_path = left_out
        text = f"{before}{self._places[number]}{after}"
        return Path(text) if is_path else text


def put_segment(segment: Segment, job: Job, store: Store) -> None:
    """Put a segment's file into the store, and then the note that it is there.

    Raises:
        OutputError: the store cannot be written.
    """
    note = job.folder / f"{segment.name}.json"
    note.write_text(json.dumps(asdict(segment)), encoding="utf-8")
    store.put(job.folder / segment.name, _key(job, segment.name))
    store.put(note, _note_key(job, segment.number))


def take_segment(job: Job, task: SegmentTask, store: Store) -> Segment | None:
    """Fetch the segment that was made of a part, by this run or another; None: there is none.

    Raises:
        OutputError: the store or the job's folder is not what it should be.
    """
    note = store.text(_note_key(job, task.number))
    if note is None:
        return None
    segment = segment_from(json.loads(note))
    first = next(frame for frame in task.frames if frame.segment == task.number)
    if (segment.first_pts, segment.first_luma) != (first.pts, first.luma):
        return None
    path = job.folder / Path(segment.name).name
    store.fetch(_key(job, path.name), path)
    if digest(path) == segment.sha256:
        return segment
    log.warning("%s: part %d is damaged in the store; it is made again", job.plan.out, task.number)
    path.unlink()
    return None


def _key(job: Job, name: str) -> str:
    decided = json.dumps(dict(job.fingerprint), sort_keys=True)
    return f"segments/{hashlib.sha256(decided.encode()).hexdigest()}/{name}"


def _note_key(job: Job, number: int) -> str:
    return _key(job, f"{number:05d}.json")
