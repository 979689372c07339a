"""The verb `keyframes`: write one frame of each shot as a picture, to color by hand.

The names contain the number of the shot and the time of the frame, so that the folder can be used
as `--reference` when the pictures are colored.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vidcolor.errors import OutputError
from vidcolor.images.display import shown_picture
from vidcolor.images.image_files import encode_picture, write_picture
from vidcolor.media.decode import read_frames, unit_luma
from vidcolor.media.probe import Film
from vidcolor.options.values import text_from_seconds
from vidcolor.viewing.shot_list import Shot, ShotList


def write_keyframes(
    film: Film, found: ShotList, folder: Path, *, on_shot: Callable[[int], None] | None = None
) -> list[Path]:
    """Write the key frame of each shot into a folder, as grey PNGs, upright and in aspect.

    Args:
        film: the film.
        found: its shots.
        folder: created if it does not exist.
        on_shot: called with the number of pictures written, after each.

    Raises:
        InputError: the film cannot be read.
        OutputError: a picture exists already, or cannot be written.
    """
    paths = [folder / name_of(shot) for shot in found.shots]
    for path in paths:
        if path.exists():
            raise OutputError(f"{path}: exists already; use another folder, with --out")
    for number, (shot, path) in enumerate(zip(found.shots, paths, strict=True), start=1):
        write_picture(path, _picture(film, shot), "use a folder that can be written")
        if on_shot is not None:
            on_shot(number)
    return paths


def name_of(shot: Shot) -> str:
    """Return `shot-0003@00-01-02.480.png`: no colons, which not every system allows."""
    time = text_from_seconds(shot.key_seconds).replace(":", "-")
    return f"shot-{shot.number:04}@{time}.png"


def _picture(film: Film, shot: Shot) -> bytes:
    frame = next(read_frames(film, start=shot.key_seconds))
    grey_2hw = np.zeros((2, 1, 1), np.float32)
    return encode_picture(shown_picture(unit_luma(frame), grey_2hw, film), "png")
