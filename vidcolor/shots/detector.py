"""Find shot boundaries from luma alone.

A black-and-white film has no hue and no saturation, so detectors that include them miss most of
its cuts. Here neighbours are compared on thumbnails (`thumbnail.thumbnail_difference`), and each
difference with those around it: a cut stands out, a pan does not, and after a flash the picture
from before it returns. Dissolves and fades are also found.

The result for a frame depends on some frames before it (CUT_REACH, for shot starts) and
after
it, and on nothing else: not on where reading started.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidcolor.shots.thumbnail import ANYWHERE, Thumbnail, thumbnail_difference
from vidcolor.shots.transitions import HALF_LENGTHS, straightness
from vidcolor.shots.windows import surroundings

Frame = TypeVar("Frame")

Luma = Callable[[Frame], NDArray[np.float32]]
"""Returns a frame's Y', (h, w) in [0, 1], of any size."""

TransitionKind = Literal["dissolve", "fade-in", "fade-out"]

CUT = 0.46
"""Threshold: 0 is the usual difference around a frame, 1 the difference of unrelated frames.

It finds all of about 100 cuts in animation, advertisement, documentary and silent film, with two
false positives: two arms that sweep over the whole picture, and a camera that is jerked aside.
"""

CALM = 1 / 3
"""Largest share of a difference that its neighbours have in a calm scene. There, any change above
NEW is a cut, such as the same wall with another person."""

NEW = 0.2
"""Smallest difference of a cut, after any motion. A shape of a fifth of the picture that jumps
through it has 0.18, other people in front of the same wall 0.22."""

USUAL_FRAMES = 3
"""Frames on each side whose median difference is the usual one, which a flash does not move."""

FLASH_FRAMES = 4
"""Longest flash, a sixth of a second. Four frames between two parts of a shot are not a shot."""

FLASH_SHARE = 0.5
"""Smallest share of a cut's difference between frames before and after; less is a flash."""

SHORTEST_SHOT = 3
"""Frames: of two closer cuts the weaker one is dropped, as is a cut this near the end."""

LONGEST_HALF = HALF_LENGTHS[-1]

BLENDED_FRAMES = 8
"""Frames on each side of a dissolve's middle over which one shot's share gives way to the other's:
a third of a second, so that no color jumps."""

CUT_REACH = 2 * LONGEST_HALF
"""Frames back on which a shot start depends."""


@dataclass(frozen=True)
class Transition:
    """A dissolve between two shots, or a fade to or from black."""

    kind: TransitionKind
    half_frames: int
    """Frames from its middle to its ends."""


@dataclass(frozen=True)
class ShotFrame(Generic[Frame]):
    """A frame with its shot information."""

    frame: Frame
    thumbnail: Thumbnail
    change: float
    """Its difference from the frame before."""
    is_cut: bool = False
    """The frame before belongs to another shot."""
    straightness: float = 0.0
    """How likely it is the middle of a transition."""
    transition: Transition | None = None
    """The transition that it is the middle of."""
    starts_shot: bool = False
    """After a cut, in the middle of a dissolve, or the first frame after black."""
    shot_weight: float = 1.0
    """Share of its shot in the picture: a half in the middle of a dissolve."""


class CutDetector:
    """Finds cuts without looking ahead, by the difference from the frame before.

    It also reports flashes and camera jerks as cuts, but never joins unrelated frames, which is
    what training frames need.

    detector = CutDetector()
    for luma in frames:
        if detector.is_cut(luma): ...
    """

    def __init__(self) -> None:
        self._last: Thumbnail | None = None

    def is_cut(self, luma_hw: NDArray[np.float32]) -> bool:
        """Tell whether this frame and the one before belong to two shots.

        Args:
            luma_hw: (h, w) in [0, 1], of any size; the first frame is never a cut.
        """
        thumbnail = Thumbnail.of(luma_hw)
        last, self._last = self._last, thumbnail
        return last is not None and thumbnail_difference(last, thumbnail) > CUT


def find_shots(frames: Iterable[Frame], luma: Luma[Frame]) -> Iterator[ShotFrame[Frame]]:
    """Yield each frame with its shot information, about 40 frames behind the input.

    Args:
        frames: in the film's order.
        luma: of a frame.
    """
    stages: list[tuple[Callable[..., ShotFrame[Frame]], int]] = [
        (_stands_out, FLASH_FRAMES + 1),
        (_is_strongest, SHORTEST_SHOT - 1),
        (_straight, LONGEST_HALF),
        (_straightest, LONGEST_HALF),
        (_shot_start, BLENDED_FRAMES),
    ]
    shot_frames = _compared(frames, luma)
    for stage, reach in stages:
        shot_frames = map(partial(_apply, stage), surroundings(shot_frames, reach))
    return shot_frames


def _apply(
    stage: Callable[[Sequence[ShotFrame[Frame]], int], ShotFrame[Frame]],
    surrounded: tuple[Sequence[ShotFrame[Frame]], int],
) -> ShotFrame[Frame]:
    return stage(*surrounded)


def _compared(frames: Iterable[Frame], luma: Luma[Frame]) -> Iterator[ShotFrame[Frame]]:
    last: Thumbnail | None = None
    for frame in frames:
        thumbnail = Thumbnail.of(luma(frame))
        yield ShotFrame(
            frame, thumbnail, 0.0 if last is None else thumbnail_difference(last, thumbnail)
        )
        last = thumbnail


def _stands_out(around: Sequence[ShotFrame[Frame]], at: int) -> ShotFrame[Frame]:
    """Tell whether a frame's change stands out as a cut and is not a flash."""
    before, after = around[:at], around[at:]
    if not before or len(after) < SHORTEST_SHOT or around[at].change < NEW:
        return around[at]
    change = around[at].change * _weight(around, at)
    sides = before[-USUAL_FRAMES:], after[1 : 1 + USUAL_FRAMES]
    usual = max(map(_median_change, sides))
    busiest = max(seen.change for side in sides for seen in side)
    is_cut = (
        change > NEW
        and (busiest < CALM * change or change - usual > CUT * (1 - usual))
        and thumbnail_difference(before[-1].thumbnail, after[0].thumbnail, ANYWHERE) > NEW
        and not _is_flash(before, after, around[at].change)
    )
    return replace(around[at], is_cut=is_cut)


def _median_change(some: Sequence[ShotFrame[Frame]]) -> float:
    return float(np.median([seen.change for seen in some]))


def _weight(around: Sequence[ShotFrame[Frame]], at: int) -> float:
    """Return the weight of a change, 0 to 1: less where its contrast is under half of that around.

    Those are the first frames after black, or the last ones before it.
    """
    contrasts = [seen.thumbnail.contrast for seen in around]
    return min(1.0, 2 * max(contrasts[at - 1 : at + 1]) / max(*contrasts, 1e-6)) ** 2


def _is_flash(
    before: Sequence[ShotFrame[Frame]], after: Sequence[ShotFrame[Frame]], change: float
) -> bool:
    """Tell whether a picture from before appears again after."""
    return any(
        thumbnail_difference(one.thumbnail, other.thumbnail) < FLASH_SHARE * change
        for one in before
        for other in after
    )


def _is_strongest(around: Sequence[ShotFrame[Frame]], at: int) -> ShotFrame[Frame]:
    """Drop a cut if a stronger one is too near."""
    seen = around[at]
    rivals = [(s.change, -n) for n, s in enumerate(around) if s.is_cut]
    return replace(seen, is_cut=seen.is_cut and max(rivals) == (seen.change, -at))


def _straight(around: Sequence[ShotFrame[Frame]], at: int) -> ShotFrame[Frame]:
    quality, half = straightness([seen.thumbnail for seen in around], at)
    if not quality:
        return around[at]
    kind: TransitionKind = "dissolve"
    if around[at + half].thumbnail.is_flat:
        kind = "fade-out"
    elif around[at - half].thumbnail.is_flat:
        kind = "fade-in"
    return replace(around[at], straightness=quality, transition=Transition(kind, half))


def _straightest(around: Sequence[ShotFrame[Frame]], at: int) -> ShotFrame[Frame]:
    """Keep a transition only at its best middle frame."""
    seen = around[at]
    best = max((s.straightness, -n) for n, s in enumerate(around))
    is_middle = seen.transition is not None and best == (seen.straightness, -at)
    return seen if is_middle else replace(seen, transition=None)


def _shot_start(around: Sequence[ShotFrame[Frame]], at: int) -> ShotFrame[Frame]:
    """Set whether a frame starts a shot, and the share of its shot in it."""
    middles = [n - at for n, seen in enumerate(around) if _is_dissolve(seen)]
    away = min((abs(n) for n in middles), default=BLENDED_FRAMES)
    starts = around[at].is_cut or 0 in middles or _is_lit(around, at)
    share = 0.5 + 0.5 * away / BLENDED_FRAMES
    return replace(around[at], starts_shot=starts, shot_weight=share)


def _is_dissolve(seen: ShotFrame[Frame]) -> bool:
    return seen.transition is not None and seen.transition.kind == "dissolve"


def _is_lit(around: Sequence[ShotFrame[Frame]], at: int) -> bool:
    """Tell whether a frame is the first after black."""
    before = around[max(0, at - SHORTEST_SHOT) : at]
    after = around[at : at + SHORTEST_SHOT]
    was_flat = len(before) == SHORTEST_SHOT and all(s.thumbnail.is_flat for s in before)
    return was_flat and not any(s.thumbnail.is_flat for s in after)
