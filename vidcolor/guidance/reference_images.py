"""Reference images: which ones, and the times of the frames that they show."""

import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from vidcolor.color import chroma_from_rgb, luma_from_rgb
from vidcolor.errors import InputError, OptionsError
from vidcolor.files import digest
from vidcolor.guidance.exemplar import Known, Span
from vidcolor.guidance.sidecar import Sidecar
from vidcolor.images.image_files import decode_picture, picture_paths, read_content
from vidcolor.images.resize import resize
from vidcolor.media.orientation import stored_from_shown
from vidcolor.media.probe import Film
from vidcolor.options.values import seconds_from_text

log = logging.getLogger(__name__)

TIME_IN_NAME = re.compile(r"@(\d+(?:-\d+){0,2}(?:\.\d+)?)$")
"""A time at the end of a picture's name: `shot@00-01-02.480`; dashes are valid everywhere."""
NUMBER_IN_NAME = re.compile(r"(\d+)$")
COLOURLESS_UNIT_CHROMA = 2 / 255
"""Mean |Cb|, |Cr| below which a picture has no color; JPEG adds as much to grey."""


@dataclass(frozen=True)
class GivenPicture:
    """A reference image."""

    path: Path
    seconds: Fraction | None
    """Its time, on the same scale as `--start`; None: not given."""
    shot: Span | None = None
    """The frames that it applies to, if the user gives them."""
    sha256: str = ""
    """Of the file; it is read when its colors are needed, and refused if it has changed."""


def given_pictures(words: Iterable[str], film: Film, sidecar: Sidecar) -> list[GivenPicture]:
    """Return the pictures that `--reference` and the film's sidecar name, with their digests.

    Args:
        words: as for `find_pictures`.
        film: the film that they belong to.
        sidecar: of the film.

    Raises:
        InputError: there is no such picture or folder.
        OptionsError: a time is invalid.
    """
    named = find_pictures(words, film)
    for settings in sidecar.shots:
        if settings.reference is not None:
            start, end = film.start_seconds + settings.start, film.start_seconds + settings.end
            pictures = find_pictures([settings.reference], film)
            named += [replace(picture, shot=Span(start, end)) for picture in pictures]
    return [replace(picture, sha256=digest(picture.path)) for picture in named]


def find_pictures(words: Iterable[str], film: Film) -> list[GivenPicture]:
    """Return the reference images that the values of `--reference` name.

    Args:
        words: each a picture, a picture and a time (FRAME.png@1:02.5), or a folder of pictures.
        film: the film that they belong to.

    Raises:
        InputError: the picture or folder does not exist, or the folder has no pictures.
        OptionsError: the text after @ is not a valid time.
    """
    return [picture for word in words for picture in _named(word, film)]


def _named(word: str, film: Film) -> list[GivenPicture]:
    path = Path(word)
    if path.is_dir():
        pictures = [GivenPicture(p, _seconds_in_folder(p, film)) for p in picture_paths(path)]
        if not pictures:
            raise InputError(f"--reference {word}: has no pictures; color a few frames first")
        return pictures
    if path.is_file():
        return [GivenPicture(path, _seconds_in_name(path))]
    name, at, time = word.rpartition("@")
    if not at or not Path(name).is_file():
        raise InputError(f"--reference {name or word}: no such picture or folder; check the name")
    return [GivenPicture(Path(name), seconds_from_text(time, option="--reference"))]


def _seconds_in_name(path: Path) -> Fraction | None:
    time = TIME_IN_NAME.search(path.stem)
    if time is None:
        return None
    return seconds_from_text(time[1].replace("-", ":"), option=f"--reference {path}")


def _seconds_in_folder(path: Path, film: Film) -> Fraction | None:
    """Return when a picture of a folder is shown: its time, or its number among the frames."""
    number = NUMBER_IN_NAME.search(path.stem)
    if TIME_IN_NAME.search(path.stem) or number is None:
        return _seconds_in_name(path)
    if film.rate is None:
        raise OptionsError(
            f"--reference {path}: {film.path} has no frame rate to convert frame numbers; put "
            "times in the names, as in shot@00-01-02.480.png"
        )
    first = film.first_pts * film.time_base - film.start_seconds
    return first + int(number[1]) / film.rate


def is_colored(picture: GivenPicture) -> bool:
    """Tell whether a picture has any color; a frame that is not colored yet has none.

    Raises:
        InputError: it cannot be read, or has changed since it was found.
    """
    rgb_3hw = _rgb(picture)
    return bool(chroma_from_rgb(rgb_3hw, "bt601").abs().mean() >= COLOURLESS_UNIT_CHROMA)


def known_of_picture(picture: GivenPicture, film: Film, height: int, width: int) -> Known:
    """Return a picture, oriented as the film is displayed, at a working size."""
    rgb_3hw = _rgb(picture)
    planes = (*luma_from_rgb(rgb_3hw, film.matrix), *chroma_from_rgb(rgb_3hw, film.matrix))
    stored = (stored_from_shown(plane.numpy(), film.display_matrix) for plane in planes)
    luma_hw, *chroma = (resize(plane, height, width) for plane in stored)
    return Known(luma_hw, np.stack(chroma), np.ones_like(luma_hw))


def _rgb(picture: GivenPicture) -> torch.Tensor:
    content = read_content(picture.path)
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise InputError(
            f"--reference {picture.path}: was changed during the render; run the command again"
        )
    rgb_hw3 = torch.from_numpy(decode_picture(content, picture.path))
    return rgb_hw3.permute(2, 0, 1).contiguous().float() / 255
