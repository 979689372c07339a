"""Lists of shots that others made: when each begins, from a CSV file.

PySceneDetect's `list-scenes` writes such files: a line with the cuts, which is passed over, a line
with the names of the columns, and a line a scene. Any other list will do that has a column for the
time at which a shot begins.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from vidcolor.errors import InputError, OptionsError
from vidcolor.media.frame import Frame
from vidcolor.media.probe import Film
from vidcolor.options.values import seconds_from_text

TIME_COLUMNS = ("start time (seconds)", "start timecode", "start", "seconds", "time", "timecode")
"""Names that the column with the times may have, in the order of preference."""

TOLERANCE_SECONDS = Fraction(1, 1000)
"""By what a time in a list may be late: they are rounded to milliseconds."""


class SceneList:
    """Tells of a film's frames, asked of each in turn, which begin a shot."""

    def __init__(self, starts: list[Fraction], film: Film) -> None:
        self._starts, self._film = sorted(starts), film
        self._begun: int | None = None

    def starts_shot(self, frame: Frame) -> bool:
        """Tell whether a shot has begun since the frame before."""
        seconds = frame.seconds - self._film.start_seconds
        begun = bisect_right(self._starts, seconds + TOLERANCE_SECONDS)
        before, self._begun = self._begun, begun
        return before is not None and begun > before


def read_scenes(path: Path, film: Film) -> SceneList:
    """Return the shots of a film that a CSV file lists.

    Raises:
        InputError: the file cannot be read, or no column holds times.
        OptionsError: something in that column is no time.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"--scenes {path}: {error}; give a CSV file of times") from error
    return SceneList(list(_times(rows, path)), film)


def _times(rows: list[list[str]], path: Path) -> Iterator[Fraction]:
    for number, row in enumerate(rows):
        names = [name.strip().lower() for name in row]
        column = next((names.index(name) for name in TIME_COLUMNS if name in names), None)
        if column is not None:
            for line in rows[number + 1 :]:
                if len(line) > column:
                    yield _time(line[column], path)
            return
    raise InputError(
        f"--scenes {path}: has no column of times; name it 'start', in a first line above the times"
    )


def _time(text: str, path: Path) -> Fraction:
    try:
        return seconds_from_text(text, option="time")
    except OptionsError as error:
        raise OptionsError(f"--scenes {path}: {error}") from error
