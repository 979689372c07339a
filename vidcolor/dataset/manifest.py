"""The layout of a dataset's folder: numbered frame files and a manifest.

DATA/NAME/manifest.json        written last: without it the folder is unfinished
DATA/NAME/train/00001.jpg ...  numbered from 1 in each split
DATA/NAME/test/00001.jpg ...
DATA/NAME/.extracting/         the state of an interrupted extraction
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from vidcolor.errors import InputError, OutputError
from vidcolor.files import atomic_write

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

MANIFEST_NAME = "manifest.json"
UNFINISHED_NAME = ".extracting"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Consecutive kept frames of one shot; windows stay inside. A still photo is one alone."""

    first: int
    """Number of its first file in the split, from 1."""
    count: int
    source: int
    """Index into the manifest's sources."""
    pts: tuple[int, ...] = ()
    """Time of each frame in the source's time base; none for photos."""


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """A film, or a folder of photos, that frames were taken from."""

    film: str
    """Name of the file or folder, without its path."""
    fingerprint: str
    """Identifies the same source under another name."""
    width: int
    """Of its frames as stored, pixels; 0: they differ."""
    height: int
    time_base: str | None = None
    """Seconds of a tick of `pts`, as a fraction; None for photos."""
    every: int = 1
    start: str | None = None
    end: str | None = None
    drop_black: float = 0.0
    """Frames darker than this CIE lightness were left out."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a dataset's folder."""

    name: str
    format: str
    """Ending of the frame files, without a dot."""
    size: int
    """Short side of a frame at most, pixels."""
    sources: tuple[DatasetSource, ...] = ()
    train: tuple[Stretch, ...] = ()
    test: tuple[Stretch, ...] = ()
    version: int = VERSION

    def stretches(self, split: Split) -> tuple[Stretch, ...]:
        """Return the stretches of a split, in the order of their files."""
        return self.train if split == "train" else self.test

    def frame_count(self, split: Split) -> int:
        """Return the number of frames in a split."""
        return sum(stretch.count for stretch in self.stretches(split))

    def to_json(self) -> str:
        """Return the manifest as text, one line a stretch."""
        record = asdict(self)
        lines = [f'"{key}": {_listed(value)}' for key, value in record.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def _listed(value: Any) -> str:
    if not isinstance(value, tuple) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]"


def manifest_from_json(text: str, *, where: Path) -> Manifest:
    """Parse a manifest.

    Raises:
        InputError: the text is not a manifest, or of a newer vidcolor; names `where`.
    """
    try:
        record = json.loads(text)
        if record["version"] != VERSION:
            raise InputError(
                f"dataset {where}: its manifest has version {record['version']}, this vidcolor "
                f"reads {VERSION}; update vidcolor or extract the dataset again"
            )
        return _manifest_from_record(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"dataset {where}: its manifest is damaged ({error}); extract the dataset again"
        ) from error


def _manifest_from_record(record: Mapping[str, Any]) -> Manifest:
    train, test = (
        tuple(Stretch(**{**entry, "pts": tuple(entry["pts"])}) for entry in record[split])
        for split in SPLITS
    )
    return Manifest(
        name=record["name"],
        format=record["format"],
        size=record["size"],
        sources=tuple(DatasetSource(**source) for source in record["sources"]),
        train=train,
        test=test,
    )


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a dataset's folder, None where there is none.

    Raises:
        InputError: there is one that cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"dataset {folder}: its manifest cannot be read ({error})") from error
    return manifest_from_json(text, where=folder)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a dataset's manifest, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with atomic_write(folder / MANIFEST_NAME) as draft:
            draft.write_text(manifest.to_json(), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"dataset {folder}: {error.strerror}; free some space and run the command again"
        ) from error


def frame_path(folder: Path, split: Split, number: int, ending: str) -> Path:
    """Return the path of a frame; numbers start at 1."""
    return folder / split / f"{number:05d}.{ending}"
