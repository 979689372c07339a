"""Lists of shots that others made: when each begins, from a CSV file.

PySceneDetect's `list-scenes` writes such files: a line with the cuts, which is passed over, a line
with the names of the columns, and a line a scene. Any other list will do that has a column for the
time at which a shot begins.
"""

import csv
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class SceneList:
    """When shots begin, as a CSV file says."""

    starts: tuple[Fraction, ...]
    """Seconds, as `--start` counts, in order."""
    sha256: str
    """Of the file."""

    def starts_shot(self, film: Film) -> Callable[[Frame], bool]:
        """Return what tells, asked of each frame in turn, whether a shot has begun since the last.

        Args:
            film: whose frames they are.
        """
        begun_before: int | None = None

        def starts(frame: Frame) -> bool:
            nonlocal begun_before
            seconds = frame.seconds - film.start_seconds
            before, begun = begun_before, bisect_right(self.starts, seconds + TOLERANCE_SECONDS)
            begun_before = begun
            return before is not None and begun > before

        return starts


def read_scenes(path: Path) -> SceneList:
    """Return the list of shots that a CSV file is.

    Raises:
        InputError: the file cannot be read, or no column holds times.
        OptionsError: something in that column is no time.
    """
    try:
        content = path.read_bytes()
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    except OSError as error:
        raise InputError(f"--scenes {path}: {error.strerror}; check the name") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"--scenes {path}: {error}; give a CSV file of times") from error
    return SceneList(tuple(sorted(_times(rows, path))), hashlib.sha256(content).hexdigest())


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
