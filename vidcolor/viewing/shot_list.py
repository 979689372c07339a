"""The shots of a film, as `vidcolor shots` lists them.

shots = list_shots(probe("film.mp4"))
print(shots.to_json())
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.guidance.sidecar import write_sidecar
from vidcolor.images.contact_sheet import contact_sheet, fit_cell
from vidcolor.images.display import shown_picture
from vidcolor.images.image_files import RgbImage
from vidcolor.media.decode import Frame, read_frames, unit_luma
from vidcolor.media.probe import Film
from vidcolor.options.values import text_from_seconds
from vidcolor.shots.detector import ShotFrame, TransitionKind, find_shots
from vidcolor.shots.luma import shot_luma

Beginning = Literal["start", "cut", "dissolve", "fade-in"]

SHEET_COLUMNS = 5
SHEET_CELL_PX = 240
"""Longest side of a picture on the sheet; small, so that hundreds of shots fit."""

LOOK_PX = 320
"""Width at which sharpness is measured; averages grain out, but not motion blur."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Frames between two cuts, dissolves or fades."""

    number: int
    """From 1."""
    first_frame: int
    """Counted from 0, as all frames."""
    last_frame: int
    start_seconds: Fraction
    """Time of its first frame, from the film's start, as for `--start`."""
    end_seconds: Fraction
    """End of its last frame, likewise."""
    begins: Beginning
    key_frame: int
    """Its sharpest frame that does not also show another shot."""
    key_seconds: Fraction
    key_picture: RgbImage = field(repr=False, compare=False)
    """That frame, small, as a player shows it."""


@dataclass(frozen=True, kw_only=True)
class ShotTransition:
    """A dissolve or fade; of a long dissolve, its middle."""

    kind: TransitionKind
    first_frame: int
    last_frame: int


@dataclass(frozen=True, kw_only=True)
class ShotList:
    """The result of `list_shots`."""

    film: Path
    frame_count: int
    shots: tuple[Shot, ...]
    transitions: tuple[ShotTransition, ...]

    @property
    def cuts(self) -> list[int]:
        """First frames of the shots that start with a cut."""
        return [shot.first_frame for shot in self.shots if shot.begins == "cut"]

    def to_json(self) -> str:
        """Return what `--json` prints."""
        shots = [_without_picture(shot) for shot in self.shots]
        return json.dumps({
            "film": str(self.film),
            "frame_count": self.frame_count,
            "cuts": self.cuts,
            "shots": shots,
            "transitions": [asdict(span) for span in self.transitions],
        })  # fmt: skip

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the headings and rows of a table, one row per shot."""
        rows = [
            [
                str(shot.number),
                f"{shot.first_frame}-{shot.last_frame}",
                text_from_seconds(shot.start_seconds),
                text_from_seconds(shot.end_seconds),
                shot.begins,
            ]
            for shot in self.shots
        ]
        return ["shot", "frames", "start", "end", "starts with"], rows

    def write_sidecar(self) -> Path:
        """Write a sidecar to edit, with one table per shot, and return its path.

        Raises:
            OutputError: it exists already, or cannot be written.
        """
        return write_sidecar(
            self.film, [(shot.start_seconds, shot.end_seconds) for shot in self.shots]
        )

    def write_sheet(self, path: Path) -> None:
        """Write a PNG with a frame of each shot, its number and its start time.

        Raises:
            OutputError: it cannot be written.
        """
        cells = [_stamped(shot) for shot in self.shots]
        rows = [cells[n : n + SHEET_COLUMNS] for n in range(0, len(cells), SHEET_COLUMNS)]
        labels = ["shots", *[""] * (SHEET_COLUMNS - 1)]
        contact_sheet(rows, labels, path, cell_px=SHEET_CELL_PX)


def _without_picture(shot: Shot) -> dict[str, object]:
    return {
        name: float(value) if isinstance(value, Fraction) else value
        for name, value in vars(shot).items()
        if name != "key_picture"
    }


def _stamped(shot: Shot) -> RgbImage:
    picture = np.ascontiguousarray(shot.key_picture)
    text = f"{shot.number}  {text_from_seconds(shot.start_seconds)}"
    for thickness, grey in ((3, 0), (1, 255)):
        ink = (grey, grey, grey)
        cv2.putText(picture, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, thickness)
    return picture


def list_shots(film: Film, *, on_frame: Callable[[int], None] | None = None) -> ShotList:
    """Read a film and return its shots.

    Args:
        film: what `probe` found.
        on_frame: called after each frame with the number of frames read.

    Raises:
        InputError: the film cannot be read.
    """
    shots: list[Shot] = []
    spans: list[ShotTransition] = []
    frame_count = 0
    for number, group in groupby(_candidates(film), key=lambda look: look.shot):
        first = best = last = next(group)
        for last in chain([first], group):
            best = max(best, last, key=lambda look: look.worth)
            spans += _spans(last)
            frame_count += 1
            if on_frame is not None:
                on_frame(frame_count)
        shots.append(_shot(number, first, best, last, film))
    return ShotList(
        film=film.path, frame_count=frame_count, shots=tuple(shots), transitions=tuple(spans)
    )


@dataclass(frozen=True)
class _Candidate:
    """A frame of a film, and how well it represents its shot."""

    number: int
    shot: int
    seconds: Fraction
    end_seconds: Fraction
    seen: ShotFrame[Frame]
    worth: float
    """Its sharpness; -1 if it also shows another shot."""
    small_hw: NDArray[np.float32]


def _candidates(film: Film) -> Iterator[_Candidate]:
    shot = 0
    for number, seen in enumerate(find_shots(read_frames(film), shot_luma)):
        frame = seen.frame
        shot += seen.starts_shot or number == 0
        small_hw = _small(unit_luma(frame))
        sharpness = float(np.abs(cv2.Laplacian(small_hw, cv2.CV_32F)).mean())
        yield _Candidate(
            number=number,
            shot=shot,
            seconds=frame.seconds - film.start_seconds,
            end_seconds=frame.seconds + frame.duration * frame.time_base - film.start_seconds,
            seen=seen,
            worth=sharpness if seen.shot_weight == 1 else -1.0,
            small_hw=small_hw,
        )


def _small(luma_hw: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = luma_hw.shape
    factor = min(1.0, LOOK_PX / width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(luma_hw, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _shot(number: int, first: _Candidate, best: _Candidate, last: _Candidate, film: Film) -> Shot:
    picture = shown_picture(best.small_hw, np.zeros((2, 1, 1), np.float32), film)
    return Shot(
        number=number,
        first_frame=first.number,
        last_frame=last.number,
        start_seconds=first.seconds,
        end_seconds=last.end_seconds,
        begins=_beginning(first),
        key_frame=best.number,
        key_seconds=best.seconds,
        key_picture=fit_cell(picture, SHEET_CELL_PX),
    )


def _beginning(first: _Candidate) -> Beginning:
    if first.number == 0:
        return "start"
    if first.seen.is_cut:
        return "cut"
    return "dissolve" if first.seen.shot_weight < 1 else "fade-in"


def _spans(look: _Candidate) -> Iterator[ShotTransition]:
    transition = look.seen.transition
    if transition is not None:
        half = transition.half_frames
        yield ShotTransition(
            kind=transition.kind, first_frame=look.number - half, last_frame=look.number + half
        )
