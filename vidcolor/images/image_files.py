"""Image files: read, compressed, written, listed. OpenCV is imported when one is touched."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidcolor.errors import InputError, OutputError
from vidcolor.files import atomic_write

RgbImage = NDArray[np.uint8]
"""(H, W, 3) RGB."""

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

JPEG_QUALITY = 95


def read_picture(path: Path) -> RgbImage:
    """Return a picture file as (H, W, 3) RGB, turned as its EXIF says.

    Raises:
        InputError: it is missing or not a picture.
    """
    return decode_picture(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Return the content of a picture file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"picture {path}: {error.strerror}; restore it") from error


def decode_picture(content: bytes, path: Path) -> RgbImage:
    """Return the content of a picture file as (H, W, 3) RGB, turned as its EXIF says.

    Args:
        content: of the file.
        path: where it was read, for the message.

    Raises:
        InputError: it is not a picture.
    """
    import cv2

    rgb = cv2.cvtColor(_decoded(content, path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.asarray(rgb, dtype=np.uint8)


def _decoded(content: bytes, path: Path, how: int) -> NDArray[Any]:
    import cv2

    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), how) if content else None
    except cv2.error:
        decoded = None  # a header that claims a picture too large to be one
    if decoded is None:
        raise InputError(f"picture {path}: is not a picture or is damaged; replace or remove it")
    return decoded


def read_labels(path: Path) -> NDArray[np.int64]:
    """Return a picture file as labels (H, W): each grey, or each color, is one label.

    Raises:
        InputError: it is missing or not a picture.
    """
    import cv2

    decoded = _decoded(read_content(path), path, cv2.IMREAD_UNCHANGED)
    labels = np.zeros(decoded.shape[:2], np.int64)
    for channel in np.atleast_3d(decoded).transpose(2, 0, 1):
        labels = (labels << 16) + channel
    return labels


def encode_picture(rgb: RgbImage, ending: str) -> bytes:
    """Return a picture (H, W, 3) RGB as the content of a file that ends in `jpg` or `png`.

    JPEG has quality 95 and full chroma: half of it would blur what is to be learnt.
    """
    import cv2

    full_chroma = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *full_chroma] if ending == "jpg" else []
    _, content = cv2.imencode(f".{ending}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)
    return content.tobytes()


def write_picture(path: Path, content: bytes, advice: str) -> None:
    """Write a picture file, and create its folders.

    Raises:
        OutputError: it cannot be written; ends with the advice.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, sync=False) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; {advice}") from error


def shrink(rgb: RgbImage, size: int) -> RgbImage:
    """Return a picture whose short side is `size` pixels at most; a small one stays as it is."""
    import cv2

    height, width = shrunk_size(rgb.shape[0], rgb.shape[1], size)
    if (height, width) == rgb.shape[:2]:
        return rgb
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def shrunk_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return the height and width that `shrink` gives."""
    scale = min(1.0, size / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def rough_luma(rgb: RgbImage) -> NDArray[np.float32]:
    """Return (H, W) in [0, 1] to find cuts with: BT.601's luma, rounded to 8 bit."""
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32) / np.float32(255)


def picture_paths(folder: Path) -> list[Path]:
    """Return the pictures in a folder in the order of the numbers in their names.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of pictures")
    paths = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_ENDINGS)
    return sorted(paths, key=lambda path: _natural_key(path.name))


def _natural_key(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]
