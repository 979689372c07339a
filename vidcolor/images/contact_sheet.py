"""Contact sheets: pictures side by side on one PNG, for the eye."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vidcolor.errors import OutputError
from vidcolor.files import atomic_write
from vidcolor.images.image_files import RgbImage

CELL_PX = 320
"""Longest side of a picture on the sheet; larger ones are shrunk, smaller ones stay."""

_GAP_PX = 8
_HEADING_PX = 28
_PAPER = 24
_INK = (232, 232, 232)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def contact_sheet(
    rows: Sequence[Sequence[RgbImage]],
    labels: Sequence[str],
    path: Path,
    *,
    cell_px: int | None = CELL_PX,
    captions: Sequence[str] = (),
) -> None:
    """Write one PNG: a row of pictures for each of `rows`, a heading over each column.

    contact_sheet([[source, result] for ...], ["source", "result"], Path("sheet.png"))

    Args:
        rows: pictures (H, W, 3) RGB, sizes may differ; a row shorter than the others leaves its
            last cells empty.
        labels: one heading a column, in ASCII (all that OpenCV's font has).
        path: the PNG; its folder is created. It is written atomically.
        cell_px: longest side of a picture; None: whatever it has.
        captions: a line over each row, in ASCII; default: none.

    Raises:
        ValueError: no picture is given, or a row has more pictures than labels.
        OutputError: the file cannot be written.
    """
    if not any(len(row) for row in rows) or any(len(row) > len(labels) for row in rows):
        raise ValueError(f"rows of {[len(row) for row in rows]} pictures for {len(labels)} labels")
    shrunk = [[fit_cell(picture, cell_px) for picture in row] for row in rows]
    width = max(picture.shape[1] for row in shrunk for picture in row)
    bands = [_heading(labels, width)]
    for number, row in enumerate(shrunk):
        if captions:
            bands.append(_heading([captions[number]], width, columns=len(labels)))
        if row:
            bands.append(_band(row, width, len(labels)))
    _write_png(np.concatenate(bands), path)


def fit_cell(picture: RgbImage, cell_px: int | None = CELL_PX) -> RgbImage:
    """Return a picture whose longest side is `cell_px` pixels at most; None: as it is."""
    height, width = picture.shape[:2]
    factor = min(1.0, (cell_px or max(height, width)) / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _paper(height: int, width: int, columns: int) -> RgbImage:
    return np.full((height, columns * (width + _GAP_PX) + _GAP_PX, 3), _PAPER, dtype=np.uint8)


def _left(column: int, width: int) -> int:
    return _GAP_PX + column * (width + _GAP_PX)


def _band(row: Sequence[RgbImage], width: int, columns: int) -> RgbImage:
    height = max(picture.shape[0] for picture in row)
    band = _paper(height + _GAP_PX, width, columns)
    for column, picture in enumerate(row):
        top = (height - picture.shape[0]) // 2
        left = _left(column, width) + (width - picture.shape[1]) // 2
        band[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return band


def _heading(labels: Sequence[str], width: int, columns: int | None = None) -> RgbImage:
    heading = _paper(_HEADING_PX, width, columns or len(labels))
    for column, label in enumerate(labels):
        (natural_px, _), _ = cv2.getTextSize(label, _FONT, 0.5, 1)
        scale = 0.5 * min(1.0, width / max(1, natural_px))
        at = _left(column, width), _HEADING_PX - 10
        cv2.putText(heading, label, at, _FONT, scale, _INK, 1, cv2.LINE_AA)
    return heading


def _write_png(picture: RgbImage, path: Path) -> None:
    _, png = cv2.imencode(".png", picture[:, :, ::-1])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            draft.write_bytes(png.tobytes())
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"contact sheet {path}: {reason}; give a path that can be written"
        ) from error
