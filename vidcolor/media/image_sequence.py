"""Image sequences as films: the files of a folder, or of a pattern, in numeric order."""

import os
import re
from pathlib import Path

from vidcolor.errors import InputError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
PLACEHOLDER = re.compile(r"%(?:0(\d+))?d")
"""The number in a pattern: %d, or %05d for at least five digits."""
GLOB_SIGNS = re.compile(r"([\\*?\[\]{}])")
"""Special characters of glob(3), with braces."""


def pictures_of_folder(folder: Path) -> tuple[Path, ...]:
    """Return a folder's pictures in the order in which FFmpeg's glob reads them.

    Raises:
        InputError: it has none, they are of several types, or their numbers are out of order.
    """
    try:
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read; check its permissions") from error
    names = [name for name in names if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    if not names:
        kinds = ", ".join(suffix.lstrip(".") for suffix in PICTURE_SUFFIXES)
        raise InputError(f"{folder}: has no pictures ({kinds}); give a film or a picture folder")
    suffixes = sorted({Path(name).suffix for name in names})
    if len(suffixes) > 1:
        raise InputError(
            f"{folder}: has pictures of several types ({', '.join(suffixes)}); "
            "keep one type, with the same file ending"
        )
    names.sort(key=os.fsencode)
    for name, later in zip(names, sorted(names, key=_reading_order), strict=True):
        if name != later:
            raise InputError(
                f"{folder}: the names of its pictures do not sort as their numbers do ({name} "
                f"comes before {later}); pad the numbers with zeros, as in 00012.png"
            )
    return tuple(folder / name for name in names)


def _reading_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which 2 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _runs(name)]


def _runs(name: str) -> list[str]:
    return [part for part in re.split(r"([0-9]+)", name) if part]


def glob_of(folder: Path, suffix: str) -> str:
    """Return FFmpeg's glob for a folder's pictures of one type."""
    return GLOB_SIGNS.sub(r"\\\1", f"{folder}{os.sep}") + f"*{suffix}"


def is_pattern(path: Path) -> bool:
    """Tell whether a picture's name has one %d or %05d."""
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES
    return is_picture and len(PLACEHOLDER.findall(path.name)) == 1


def pictures_of_pattern(pattern: Path) -> tuple[int, tuple[Path, ...]]:
    """Return the first number and the pictures of `frames/%05d.png`, numbered without a gap.

    Raises:
        InputError: no file matches, or a number is missing between two others.
    """
    numbers = _numbers_of(pattern)
    if not numbers:
        raise InputError(f"{pattern}: no file matches; check the folder and the pattern")
    first, last = min(numbers), max(numbers)
    missing = next((number for number in range(first, last) if number not in numbers), None)
    if missing is not None:
        raise InputError(
            f"{pattern}: number {missing} is missing between {first} and {last}; give the folder "
            "instead to use the files that exist"
        )
    return first, tuple(pattern.with_name(numbers[n]) for n in range(first, last + 1))


def _numbers_of(pattern: Path) -> dict[int, str]:
    """Return the names that match the pattern, by number."""
    placeholder = PLACEHOLDER.search(pattern.name)
    assert placeholder is not None
    before, after = pattern.name[: placeholder.start()], pattern.name[placeholder.end() :]
    digits = int(placeholder[1] or 1)
    try:
        names = [path.name for path in pattern.parent.iterdir()]
    except OSError:
        return {}
    found = {}
    for name in names:
        number = name[len(before) : len(name) - len(after)]
        is_number = number.isascii() and number.isdecimal()
        if is_number and name == f"{before}{int(number):0{digits}d}{after}":
            found[int(number)] = name
    return found


def sequence_of(pattern: Path) -> str:
    """Return FFmpeg's name for a pattern, with other percent signs escaped."""
    placeholder = PLACEHOLDER.search(pattern.name)
    assert placeholder is not None
    before, after = pattern.name[: placeholder.start()], pattern.name[placeholder.end() :]
    folder = f"{pattern.parent}{os.sep}"
    return f"{_literal(folder + before)}{placeholder[0]}{_literal(after)}"


def _literal(text: str) -> str:
    return text.replace("%", "%%")
