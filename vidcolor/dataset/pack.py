"""Pack a dataset into one HDF5 file, and add photos to a dataset.

A packed file has the tables `Train` and `Test`, uint8 (N, H, W, 3) RGB, one frame a chunk, and
`Train_runs` and `Test_runs`, int32 (R, 3): first frame from 0, count, source. The attribute
`sources` is a JSON list of names; the text `manifest` is the manifest of the folder.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidcolor.dataset.dataset import FolderFrames, dataset_frames
from vidcolor.dataset.manifest import (
    SPLITS,
    DatasetSource,
    Manifest,
    Split,
    Stretch,
    frame_path,
    read_manifest,
    write_manifest,
)
from vidcolor.errors import InputError, OutputError
from vidcolor.files import atomic_write
from vidcolor.images.image_files import (
    RgbImage,
    encode_picture,
    picture_paths,
    read_picture,
    shrink,
    shrunk_size,
    write_picture,
)

log = logging.getLogger(__name__)

GREY_RGB_SPREAD = 2.0
"""Mean of the largest less the smallest channel of a photo, codes of 255, below which it is grey.

JPEG leaves under 1 in a grey photo.
"""


def pack_dataset(name: str, data: Path) -> Path:
    """Pack a dataset's folder into DATA/NAME.h5, which replaces an older one when it is complete.

    All frames of a pack have one size. Where those of the folder differ, their short sides are
    shrunk to the smallest, then the middle is cut out that all of them fill; this is logged.

    Raises:
        InputError: the dataset does not exist, or a frame is missing.
        OutputError: the file cannot be written.
    """
    folder = data / name
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(
            f"dataset {folder}: does not exist or is not finished; "
            f"create it with: vidcolor extract FILM --dataset {name}"
        )
    path = data / f"{name}.h5"
    try:
        with atomic_write(path) as draft:
            _write_pack(draft, folder, manifest)
    except InputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}; free some space") from error
    return path


def _write_pack(path: Path, folder: Path, manifest: Manifest) -> None:
    import h5py

    tables = {split: dataset_frames(folder, manifest, split) for split in SPLITS}
    sizes = [size for table in tables.values() for size in _sizes(table)]
    short_side, height, width = _common_size(sizes)
    if len(set(sizes)) > 1:
        log.warning("%s: frames differ in size; packed at %dx%d", manifest.name, width, height)
    with h5py.File(path, "w") as file:
        file.attrs["sources"] = json.dumps([source.film for source in manifest.sources])
        file["manifest"] = manifest.to_json()
        for split, table in tables.items():
            frames = (_fit(table.read(i), short_side, height, width) for i in range(len(table)))
            _write_table(file, split, frames, (len(table), height, width, 3))
            rows = [(run.first, run.count, run.source) for run in table.runs]
            file[f"{split.capitalize()}_runs"] = np.array(rows, np.int32).reshape(-1, 3)


def _sizes(table: FolderFrames) -> Iterator[tuple[int, int]]:
    """Yield the size of the first frame of each run: the others have it too."""
    for run in table.runs:
        height, width, _ = table.read(run.first).shape
        yield height, width


def _common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Return the short side to shrink to, then the height and width that all frames fill."""
    short_side = min(min(size) for size in sizes)
    shrunk = [shrunk_size(height, width, short_side) for height, width in sizes]
    return short_side, min(height for height, _ in shrunk), min(width for _, width in shrunk)


def _fit(rgb: RgbImage, short_side: int, height: int, width: int) -> RgbImage:
    rgb = shrink(rgb, short_side)
    top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return rgb[top : top + height, left : left + width]


def _write_table(
    file: Any, split: Split, frames: Iterable[RgbImage], shape: tuple[int, int, int, int]
) -> None:
    table = file.create_dataset(
        split.capitalize(),
        shape=shape,
        maxshape=(None, *shape[1:]),
        chunks=(1, *shape[1:]),
        dtype=np.uint8,
    )
    for index, frame in enumerate(frames):
        table[index] = frame


@dataclass(frozen=True)
class Added:
    """How many photos of a folder were added."""

    photos: int
    """Photos that were added."""
    grey: int
    """Photos without color, left out."""
    damaged: int
    """Photos that cannot be read, left out."""


def add_stills(
    folders: Sequence[Path], *, dataset: str, data: Path, size: int, split: Split
) -> Added:
    """Add the photos of folders to a dataset: each photo is a run of one, each folder a source.

    Args:
        folders: of picture files; folders within them are not entered.
        dataset: name of the dataset, which is created if it does not exist.
        data: folder that holds the datasets.
        size: short side of a stored photo at most, pixels; a small one is not enlarged.
        split: where all of them go.

    Raises:
        InputError: a folder is missing, has no usable photo or is already in the dataset.
        OutputError: the dataset cannot be written or has frames of another format.
    """
    folder = data / dataset
    manifest = read_manifest(folder) or Manifest(name=dataset, format="jpg", size=size)
    if manifest.format != "jpg" or manifest.size != size:
        raise OutputError(
            f"dataset {folder}: its frames are {manifest.format} of size {manifest.size}; "
            "use the same size, or another dataset"
        )
    added = Added(0, 0, 0)
    for photos in folders:
        manifest, part = _add_folder(photos, folder, manifest, split)
        added = Added(
            added.photos + part.photos, added.grey + part.grey, added.damaged + part.damaged
        )
    return added


def _add_folder(
    photos: Path, folder: Path, manifest: Manifest, split: Split
) -> tuple[Manifest, Added]:
    paths = picture_paths(photos)
    listing = json.dumps([(path.name, path.stat().st_size) for path in paths])
    fingerprint = hashlib.sha256(listing.encode()).hexdigest()
    if any(source.fingerprint == fingerprint for source in manifest.sources):
        raise InputError(f"{photos}: is already in the dataset {folder}; leave it out")
    before = manifest.frame_count(split)
    counts = {"photos": 0, "grey": 0, "damaged": 0}
    for path in paths:
        kind, content = _still(path, manifest.size)
        counts[kind] += 1
        if content:
            number = before + counts["photos"]
            write_picture(frame_path(folder, split, number, "jpg"), content, "free some space")
    if not counts["photos"]:
        raise InputError(f"{photos}: has no color photo; give a folder of color photos")
    source = DatasetSource(film=photos.name, fingerprint=fingerprint, width=0, height=0)
    stretches = tuple(
        Stretch(first=before + n, count=1, source=len(manifest.sources))
        for n in range(1, counts["photos"] + 1)
    )
    grown = replace(
        manifest,
        sources=(*manifest.sources, source),
        train=manifest.train + (stretches if split == "train" else ()),
        test=manifest.test + (stretches if split == "test" else ()),
    )
    write_manifest(folder, grown)
    return grown, Added(**counts)


def _still(path: Path, size: int) -> tuple[str, bytes]:
    """Return how a photo is counted, and its file's content if it is added."""
    try:
        rgb = read_picture(path)
    except InputError as error:
        log.warning("%s", error)
        return "damaged", b""
    spread = np.ptp(rgb.astype(np.int16), axis=2).mean()
    return (
        ("photos", encode_picture(shrink(rgb, size), "jpg"))
        if spread >= GREY_RGB_SPREAD
        else ("grey", b"")
    )
