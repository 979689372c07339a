"""Send the inputs of a render to other machines through an object store, and get segments back.

A job contains paths of the machine that drives the render. Their files are uploaded once, with keys
made of their content. A worker downloads them, and the job's paths are changed to its local ones. A
segment is uploaded with a key made of its fingerprint, so that any run finds it again; its record,
a JSON file, is uploaded last, so that a segment with a record is complete.
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
    """A file or folder that a job reads."""

    path: str
    """Its absolute path on the driving machine."""
    keys: tuple[tuple[str, str], ...]
    """Name (empty if the item is a file) and key in the store of each file in it."""

    @property
    def digest(self) -> str:
        """A SHA-256 of its content."""
        return hashlib.sha256(repr(self.keys).encode()).hexdigest()


@dataclass(frozen=True)
class Packed:
    """A job that can be unpacked on another machine."""

    items: tuple[Item, ...]
    job: bytes


def pack_job(job: Job, store: Store) -> Packed:
    """Upload what a job reads, unless the store has it already, and pack the job.

    Raises:
        OutputError: the store cannot be written.
    """
    items = tuple(_put(whole, files, store) for whole, files in _read_by(job).items())
    file = io.BytesIO()
    _Packer(file, items).dump(job)
    return Packed(items, file.getvalue())


def unpack_job(packed: Packed, places: Sequence[Path], folder: Path) -> Job:
    """Return a packed job with paths of this machine.

    Args:
        packed: what `pack_job` made.
        places: local path of each of its items.
        folder: for its segments.
    """
    job: Job = _Unpacker(io.BytesIO(packed.job), places).load()
    return replace(job, folder=folder)


def _read_by(job: Job) -> dict[str, Sequence[Path]]:
    """Return the files and folders that a job reads, with the files in each."""
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
            log.info("%s: uploading to the store", file)
            store.put(file, key)
        keys.append(("" if _absolute(file) == whole else file.name, key))
    return Item(whole, tuple(keys))


def _absolute(path: Path | str) -> str:
    return os.path.abspath(path)  # noqa: PTH100  resolve() would follow links


class _Packer(pickle.Pickler):
    """Replaces each path in an item by the item's number, with the text before and after it."""

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
    """Inserts the local paths of the items."""

    def __init__(self, file: io.BytesIO, places: Sequence[Path]) -> None:
        super().__init__(file)
        self._places = places

    def persistent_load(self, left_out: Any) -> str | Path:
        before, number, after, is_path = left_out
        text = f"{before}{self._places[number]}{after}"
        return Path(text) if is_path else text


def put_segment(segment: Segment, job: Job, store: Store) -> None:
    """Upload a segment's file, and then its record.

    Raises:
        OutputError: the store cannot be written.
    """
    note = job.folder / f"{segment.name}.json"
    note.write_text(json.dumps(asdict(segment)), encoding="utf-8")
    store.put(job.folder / segment.name, _key(job, segment.name))
    store.put(note, _note_key(job, segment.number))


def take_segment(job: Job, task: SegmentTask, store: Store) -> Segment | None:
    """Download a segment that this run or another has rendered; None: the store has none.

    Raises:
        OutputError: the store cannot be read, or the job's folder not written.
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
    log.warning(
        "%s: segment %d is damaged in the store; rendering it again", job.plan.out, task.number
    )
    path.unlink()
    return None


def _key(job: Job, name: str) -> str:
    decided = json.dumps(dict(job.fingerprint), sort_keys=True)
    return f"segments/{hashlib.sha256(decided.encode()).hexdigest()}/{name}"


def _note_key(job: Job, number: int) -> str:
    return _key(job, f"{number:05d}.json")
