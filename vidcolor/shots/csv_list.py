"""Read a list of shots from a CSV file: when each shot starts.

PySceneDetect's `list-scenes` writes such files: a line with the cuts, which is skipped, a header
line, and a line for each scene. Any other list works that has a column with the start times.
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
"""Accepted names of the column with the times, in order of preference."""

TOLERANCE_SECONDS = Fraction(1, 1000)
"""How much too late a time may be: they are rounded to milliseconds."""


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
        InputError: the file cannot be read, or has no column of times.
        OptionsError: a value in that column is not a time.
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
        f"--scenes {path}: has no column of times; add a header line that names it 'start'"
    )


def _time(text: str, path: Path) -> Fraction:
    try:
        return seconds_from_text(text, option="time")
    except OptionsError as error:
        raise OptionsError(f"--scenes {path}: {error}") from error
