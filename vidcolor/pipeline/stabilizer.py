"""Stabilise color: average chroma along the motion of the picture, within each shot.

A network colors one frame after the other, and its colors flicker. Here the chroma of a frame is
averaged with that of its neighbours, moved to where the picture has moved since. Three rounds do
it: of the frames 1 away, of those 3 away, and of those 9 away, each round averaging the averages
of the one before, so that 27 frames count alike (averages with gaps that grow are known as the
"algorithme a trous", Holschneider et al. 1989). A frame's color depends on
STABILIZER_REACH neighbours on either side and on nothing else, whatever frame a run starts at.

Motion is dense optical flow of luma (DIS: Kroeger et al. 2016), found between neighbours and
chained over more. A neighbour counts as far as it is believed to show the same thing: the motion
there leads back to where it came from, and luma and chroma agree.

All of it happens at half the working size, where grain is fainter and time is saved; only the
correction is enlarged, so what the network drew finely stays as fine.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, pairwise, repeat
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.images.resize import resize, working_size
from vidcolor.inference.colorizer import ColoredFrame
from vidcolor.shots.segments import Place
from vidcolor.shots.windows import WINDOW_REACH

Planes = NDArray[np.float32]

STEPS = (1, 3, 9)
"""Frames between those that a round averages: each spans three averages of the round before.

On the validation clips, frames 16 apart then differ about as much as their true colors do; with
two rounds slow pulsing stays, and a fourth would need 40 frames on either side.
"""

STABILIZER_REACH = sum(STEPS)
"""Frames on either side on which a steadied frame depends."""

SMALLEST_PX = 16
"""Short side at the least: DIS compares patches of 8 pixels, at half of the size it is given."""

STRAY_PX = 1.0
"""How far motion there and back may miss its start, pixels at half the working size.

At this distance, as at the two below, a neighbour no longer counts at all; nearer, its weight is
1 - d^2 (Epanechnikov's kernel), the d^2 of all three added.
"""

LUMA_DIFFERENCE = 0.1
"""How far the luma of two frames may differ where they show the same, of 1: several times the
grain of old film, less than the contrast of most edges."""

CHROMA_DIFFERENCE = 0.12
"""How far chroma may differ, of the -0.5 to 0.5 of Cb and Cr: 27 8-bit codes.

Networks tremble by less. Without this limit a shape of its background's luma draws a ghost behind
it of up to 70 codes (drawn film), with it 15; on the validation clips it costs nothing.
"""


TINY_WEIGHT = 1e-6
"""Avoids a division by zero where all weights are zero."""


class _Link(NamedTuple):
    """Motion between a frame and an earlier one: x and y offsets (h, w, 2) in pixels."""

    back_hw2: Planes
    """From this frame to the earlier one."""
    forth_hw2: Planes
    """From the earlier one to this."""


class _Moment(NamedTuple):
    """The sums of a frame in a round."""

    sums_hw4: Planes
    """Cb and Cr times their weight, the weight, and the frame's own luma."""
    link: _Link | None
    """To the frame that a round averages it with; None across a cut."""


def stabilize_chroma(
    colored: Iterable[ColoredFrame[Place]], strength: float
) -> Iterator[ColoredFrame[Place]]:
    """Yield the frames with their chroma averaged along motion.

    Frames are yielded STABILIZER_REACH behind those that are drawn.

    Args:
        colored: a film's frames in order, all of one size; averaging starts again at each frame
            that starts a shot.
        strength: 0 leaves the frames as they are, at 1 a neighbour weighs as much as the frame.
    """
    if not strength:
        yield from colored
        return
    waiting: deque[tuple[ColoredFrame[Place], Planes]] = deque()
    moments = _averaged(_moments(colored, waiting), STEPS[0], strength)
    for before, step in pairwise(STEPS):
        moments = _averaged(_linked(moments, before, step // before), step, strength)
    for moment in moments:
        own, own_hw2 = waiting.popleft()
        correction_hw2 = _chroma(moment.sums_hw4) - own_hw2
        planes = [resize(plane, *own.luma_hw.shape) for plane in correction_hw2.transpose(2, 0, 1)]
        # In the middle of a dissolve, where a frame is half another shot's, nothing is averaged.
        trust = np.float32(2 * own.place.shot_weight - 1)
        yield replace(own, chroma_2hw=own.chroma_2hw + trust * np.stack(planes))


def reach(strength: float) -> int:
    """Return how many frames on either side a frame's color depends on, the window's included."""
    return WINDOW_REACH + (STABILIZER_REACH if strength else 0)


def _moments(
    colored: Iterable[ColoredFrame[Place]], waiting: deque[tuple[ColoredFrame[Place], Planes]]
) -> Iterator[_Moment]:
    """Yield what the first round needs of each frame; the frame itself is put into `waiting`."""
    before_hw: NDArray[np.uint8] | None = None
    for frame in colored:
        height, width = frame.luma_hw.shape
        half = working_size(height, width, max(SMALLEST_PX, min(height, width) // 2))
        luma_hw = resize(frame.luma_hw, *half)
        chroma_hw2 = np.dstack([resize(plane_hw, *half) for plane_hw in frame.chroma_2hw])
        waiting.append((frame, chroma_hw2))
        codes_hw = np.round(luma_hw.clip(0, 1) * 255).astype(np.uint8)
        link = None
        if before_hw is not None and not frame.place.starts_shot:
            link = _Link(_flow(codes_hw, before_hw), _flow(before_hw, codes_hw))
        before_hw = codes_hw
        yield _Moment(np.dstack((chroma_hw2, np.ones_like(luma_hw), luma_hw)), link)


def _flow(start_hw: NDArray[np.uint8], end_hw: NDArray[np.uint8]) -> Planes:
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    finder.setFinestScale(1)
    # The stubs know no None, but a flow that is given would be where the search starts.
    return np.asarray(finder.calc(start_hw, end_hw, None))  # type: ignore[call-overload]


def _averaged(moments: Iterable[_Moment], step: int, strength: float) -> Iterator[_Moment]:
    """Yield each moment averaged with those `step` before and after, to which there are links."""
    held: deque[_Moment | None] = deque(repeat(None, 2 * step + 1), maxlen=2 * step + 1)
    for coming in chain(moments, repeat(None, step)):
        held.append(coming)
        earlier, now, later = held[0], held[step], held[-1]
        if now is None:
            continue
        sums_hw4 = now.sums_hw4.copy()
        if earlier is not None and now.link is not None:
            sums_hw4 += strength * _agreeing(now, earlier, now.link.back_hw2, now.link.forth_hw2)
        if later is not None and later.link is not None:
            sums_hw4 += strength * _agreeing(now, later, later.link.forth_hw2, later.link.back_hw2)
        yield now._replace(sums_hw4=sums_hw4)


def _agreeing(now: _Moment, other: _Moment, there_hw2: Planes, back_hw2: Planes) -> Planes:
    """Return the sums (h, w, 4) of another moment, moved to this one, as far as the two agree.

    Args:
        now: this moment.
        other: another of its shot.
        there_hw2: motion from this one to the other.
        back_hw2: motion from the other to this one.
    """
    # What comes from outside the picture weighs nothing: its sums are 0.
    moved_hw4 = _moved(other.sums_hw4, there_hw2, cv2.BORDER_CONSTANT)
    astray_hw2 = there_hw2 + _moved(back_hw2, there_hw2, cv2.BORDER_REPLICATE)
    brighter_hw = moved_hw4[..., 3] - now.sums_hw4[..., 3]
    brighter_hw -= brighter_hw.mean()  # old film flickers globally, and scenes fade
    distance_hw = (
        _squares(astray_hw2) / STRAY_PX**2
        + np.square(brighter_hw) / LUMA_DIFFERENCE**2
        + _squares(_chroma(moved_hw4) - _chroma(now.sums_hw4)) / CHROMA_DIFFERENCE**2
    )
    weight_hw = np.maximum(1 - distance_hw, 0)
    for channel in range(3):
        moved_hw4[..., channel] *= weight_hw
    moved_hw4[..., 3] = 0  # luma is not summed
    return moved_hw4


def _linked(moments: Iterable[_Moment], step: int, times: int) -> Iterator[_Moment]:
    """Yield moments linked over `step` frames as moments linked over `times` as many."""
    held: deque[_Link | None] = deque(repeat(None, (times - 1) * step + 1), (times - 1) * step + 1)
    for moment in moments:
        held.append(moment.link)
        links = [link for link in list(held)[::step] if link is not None]
        if len(links) < times:
            yield moment._replace(link=None)
            continue
        back_hw2 = _path([link.back_hw2 for link in reversed(links)])
        yield moment._replace(link=_Link(back_hw2, _path([link.forth_hw2 for link in links])))


def _path(flows: Sequence[Planes]) -> Planes:
    """Return the motion (h, w, 2) along one flow after the other."""
    path_hw2 = flows[0]
    for flow_hw2 in flows[1:]:
        path_hw2 = path_hw2 + _moved(flow_hw2, path_hw2, cv2.BORDER_REPLICATE)
    return path_hw2


def _moved(planes_hw: Planes, flow_hw2: Planes, border: int) -> Planes:
    """Return planes (h, w, C) looked up where the flow points, bilinearly."""
    places_hw2 = _grid(*flow_hw2.shape[:2]) + flow_hw2
    return np.asarray(
        cv2.remap(planes_hw, places_hw2, None, cv2.INTER_LINEAR, borderMode=border)  # type: ignore[call-overload]
    )


@cache
def _grid(height: int, width: int) -> Planes:
    """Return x and y (h, w, 2) of every pixel."""
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def _squares(planes_hw2: Planes) -> Planes:
    """Return the squared lengths (h, w)."""
    return np.asarray(np.square(planes_hw2[..., 0]) + np.square(planes_hw2[..., 1]), np.float32)


def _chroma(sums_hw4: Planes) -> Planes:
    """Return the average Cb, Cr (h, w, 2); where nothing weighs, about 0."""
    weight_hw = np.maximum(sums_hw4[..., 2], TINY_WEIGHT)
    chroma_hw2 = np.empty((*weight_hw.shape, 2), np.float32)
    for channel in range(2):  # numpy broadcasts slowly over a short axis
        np.divide(sums_hw4[..., channel], weight_hw, out=chroma_hw2[..., channel])
    return chroma_hw2
