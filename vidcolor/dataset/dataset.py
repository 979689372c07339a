"""Open a dataset: a folder, a packed file or any folder of pictures.

Reading needs NumPy, and h5py for a packed file or OpenCV for picture files, but neither PyAV nor
FFmpeg, so training needs only torch.
"""

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vidcolor.dataset.manifest import (
    MANIFEST_NAME,
    SPLITS,
    UNFINISHED_NAME,
    Manifest,
    Split,
    frame_path,
    manifest_from_json,
    read_manifest,
)
from vidcolor.errors import InputError
from vidcolor.images.image_files import RgbImage, picture_paths, read_picture, rough_luma


@dataclass(frozen=True)
class Run:
    """Consecutive frames of one shot: a window never leaves its run."""

    first: int
    """Index of its first frame in the table, from 0."""
    count: int
    source: int
    """Index into the table's `source_names`."""


class FrameTable(Protocol):
    """The frames of one split.

    table = open_frames("zootopia", "train", Path("data"))
    previous, current, following = (table.read(i) for i in window_indices(table, 7))
    """

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, in order: together they hold every frame once."""

    @property
    def source_names(self) -> tuple[str, ...]:
        """The films and folders that the frames came from."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> RgbImage:
        """Return a frame, (H, W, 3) RGB; frames of one run have one size."""


class FolderFrames:
    """Frames that are picture files."""

    def __init__(
        self, paths: Sequence[Path], runs: Sequence[Run], source_names: Sequence[str]
    ) -> None:
        self._paths, self.runs, self.source_names = tuple(paths), tuple(runs), tuple(source_names)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> RgbImage:
        """Return a frame, (H, W, 3) RGB.

        Raises:
            InputError: its file is missing or not a picture.
        """
        return read_picture(self._paths[index])


class PackedFrames:
    """Frames of a packed file; each process opens it again: HDF5 does not survive a fork."""

    def __init__(self, path: Path, split: Split) -> None:
        self.path, self.split = path, split
        with open_pack(path) as pack:
            table = split.capitalize()
            self._count = int(pack[table].shape[0])
            rows = pack[f"{table}_runs"][()].tolist()
            names = json.loads(pack.attrs["sources"])
        self.runs = tuple(Run(first, count, source) for first, count, source in rows)
        self.source_names: tuple[str, ...] = tuple(names)
        self._opened_in, self._table = 0, None

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened_in": 0, "_table": None}

    def read(self, index: int) -> RgbImage:
        """Return a frame, (H, W, 3) RGB."""
        if self._opened_in != os.getpid():
            self._table = open_pack(self.path)[self.split.capitalize()]
            self._opened_in = os.getpid()
        frame: RgbImage = self._table[index]  # type: ignore[index]
        return frame


def window_indices(table: FrameTable, index: int) -> tuple[int, int, int]:
    """Return previous, current and next frame, clamped to the run of the current one."""
    run = table.runs[bisect_right(table.runs, index, key=lambda run: run.first) - 1]
    return max(run.first, index - 1), index, min(run.first + run.count - 1, index + 1)


def open_frames(name_or_path: str | Path, split: Split, data: Path) -> FrameTable:
    """Return the frames of a split.

    A name is looked up in `data`, where a pack is used instead of its folder, unless the folder has
    changed since. Otherwise it is the path of a dataset's folder, of a packed file (.h5), of a
    folder with train/ and test/ (or val/), or of a plain folder of pictures. A plain folder is all
    `train`, ordered by the numbers in its names, and a run ends where the picture's size or shot
    changes.

    The test split may be empty; the train split never is.

    Raises:
        InputError: the dataset does not exist, is unfinished or has no frames.
    """
    table = _find_frames(name_or_path, split, data)
    if not len(table) and split == "train":
        raise InputError(f"dataset {name_or_path}: has no frames; {_how_to_make(name_or_path)}")
    return table


def _find_frames(name_or_path: str | Path, split: Split, data: Path) -> FrameTable:
    named = data / name_or_path
    for folder in (named, Path(name_or_path)):
        manifest = read_manifest(folder)
        pack = Path(f"{folder}.h5")
        if pack.is_file() and (manifest is None or is_fresh(pack, manifest)):
            return PackedFrames(pack, split)
        if manifest is not None:
            return dataset_frames(folder, manifest, split)
        if folder.is_file():
            return PackedFrames(folder, split)
        if (folder / UNFINISHED_NAME).is_dir():
            raise InputError(
                f"dataset {name_or_path}: its extraction is not finished; "
                "run the same `vidcolor extract` again to resume it"
            )
        if folder.is_dir():
            return _picture_frames(folder, split)
    available = ", ".join(dataset_names(data)) or "none"
    raise InputError(
        f"dataset {name_or_path}: not found in {data} (available: {available}); "
        f"{_how_to_make(name_or_path)}"
    )


def _how_to_make(name_or_path: str | Path) -> str:
    return f"create it with: vidcolor extract FILM --dataset {Path(name_or_path).name}"


def dataset_names(data: Path) -> list[str]:
    """Return the names of the datasets and packs in a folder, sorted."""
    folders = {path.parent.name for path in data.glob(f"*/{MANIFEST_NAME}")}
    return sorted(folders | {path.stem for path in data.glob("*.h5")})


@dataclass(frozen=True)
class DatasetInfo:
    """A description of a dataset; as text, one line."""

    name: str
    is_packed: bool
    """Frames come from a packed file."""
    train_frames: int
    test_frames: int
    runs: int
    width: int
    """Of its first frame, pixels."""
    height: int
    source_names: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.train_frames} training frames, {self.test_frames} test frames, "
            f"{self.runs} runs, {self.width}x{self.height}"
            f"{', packed' if self.is_packed else ''}; from {', '.join(self.source_names)}"
        )


def list_datasets(data: Path) -> tuple[DatasetInfo, ...]:
    """Return a description of each dataset and pack in a folder, by name."""
    return tuple(describe_dataset(name, data) for name in dataset_names(data))


def describe_dataset(name: str, data: Path) -> DatasetInfo:
    """Return a description of a dataset.

    Raises:
        InputError: the dataset does not exist, or it cannot be read.
    """
    train, test = (_find_frames(name, split, data) for split in SPLITS)
    sample = train if len(train) else test
    height, width = sample.read(0).shape[:2] if len(sample) else (0, 0)
    return DatasetInfo(
        name=name,
        is_packed=isinstance(train, PackedFrames),
        train_frames=len(train),
        test_frames=len(test),
        runs=len(train.runs) + len(test.runs),
        width=width,
        height=height,
        source_names=train.source_names,
    )


def open_pack(path: Path) -> Any:
    """Return a packed file, open for reading.

    Raises:
        InputError: it is not a packed dataset.
    """
    import h5py

    try:
        pack = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: is not a packed dataset ({error}); pack it again with: "
            f"vidcolor dataset pack {path.stem}"
        ) from error
    if "Train" not in pack or "Test_runs" not in pack or "sources" not in pack.attrs:
        pack.close()
        raise InputError(
            f"{path}: is an HDF5 file, but not a packed dataset; create one with: "
            "vidcolor dataset pack NAME"
        )
    return pack


def is_fresh(pack_path: Path, manifest: Manifest) -> bool:
    """Tell whether a pack has the current frames of its folder."""
    with open_pack(pack_path) as pack:
        return manifest_from_json(pack["manifest"].asstr()[()], where=pack_path) == manifest


def dataset_frames(folder: Path, manifest: Manifest, split: Split) -> FolderFrames:
    """Return the frames of a dataset's folder, whether it is packed or not."""
    stretches = manifest.stretches(split)
    numbers = range(1, manifest.frame_count(split) + 1)
    return FolderFrames(
        [frame_path(folder, split, number, manifest.format) for number in numbers],
        [Run(stretch.first - 1, stretch.count, stretch.source) for stretch in stretches],
        [source.film for source in manifest.sources],
    )


def _picture_frames(folder: Path, split: Split) -> FolderFrames:
    is_split = any((folder / name).is_dir() for name in SPLITS)
    if is_split:
        names = ("train",) if split == "train" else ("test", "val")
        pictures = next((f for f in (folder / name for name in names) if f.is_dir()), None)
    else:
        pictures = folder if split == "train" else None
    paths = picture_paths(pictures) if pictures else []
    return FolderFrames(paths, list(_runs_of_pictures(paths)), [folder.name])


def _runs_of_pictures(paths: Sequence[Path]) -> Iterator[Run]:
    from vidcolor.shots.detector import CutDetector

    detector, first, last_shape = CutDetector(), 0, None
    for index, path in enumerate(paths):
        picture = read_picture(path)
        is_cut = detector.is_cut(rough_luma(picture))
        if index and (is_cut or picture.shape != last_shape):
            yield Run(first, index - first, 0)
            first = index
        last_shape = picture.shape
    if paths:
        yield Run(first, len(paths) - first, 0)
