"""Propagate the colors of known frames to all frames of their shots.

A frame's colors depend only on itself and on the known frames, not on the frames in between: it
does not matter where a run starts, or which frames it skips. Color is propagated in two ways.
Optical flow from the known frame to the other moves color pixel by pixel, where both directions
of the flow agree and the luma is the same. Elsewhere cells are matched by their features. Where
neither works, the network's own color stays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from heapq import nlargest
from typing import Any, Generic

import cv2
import numpy as np
import torch
from torch import Tensor

from vidcolor.guidance.exemplar import Given, Layer, Plane
from vidcolor.guidance.feature_matching import SHARPNESS, Cells, cells_of, grid_of, match, sureness
from vidcolor.images.guided_upsampling import enlarge_chroma
from vidcolor.images.optical_flow import find_motion, warp
from vidcolor.images.resize import resize
from vidcolor.inference.colorizer import ColoredFrame, Colorizer
from vidcolor.network.generator import Features
from vidcolor.shots.segments import Place

LUMA_DIFFERENCE = 0.1
"""Luma difference between a pixel and its source at which the flow's weight is 1/e: shading may
change by as much, but another object rarely looks so similar."""
BLUR_PIXELS = 1.5
"""Standard deviation of the blur of that difference, pixels: it averages grain out."""
HELD = 32
"""Known frames that are cached, about 5 MB each; few shots use more."""


@dataclass(frozen=True)
class _Anchor:
    luma_hw: Plane
    known_3hw: Plane
    """Cb and Cr times the weight, and the weight."""
    cells: Cells
    known_3N: Tensor
    """The same of each cell."""


@dataclass(frozen=True)
class _Carried:
    """The colors that one known frame gives a frame."""

    weighted_2hw: Plane
    """Cb and Cr times the weight."""
    weight_hw: Plane
    """Confidence of each pixel, in [0, 1]."""
    share_hw: Plane
    """Its weight among others: by nearness in time, and by similarity."""


class Carrier(Generic[Place]):
    """Propagates the colors of known frames to a stream of frames.

    carrier = Carrier(colorizer, layers, seconds=lambda frame: frame.seconds)
    for colored in carrier.carry(colorizer.colorize(placed, ..., keep_features=True)):
        show(colored.place.frame, colored.chroma_2hw)
    """

    def __init__(
        self,
        colorizer: Colorizer,
        layers: Sequence[Layer],
        *,
        seconds: Callable[[Any], Fraction],
    ) -> None:
        """Prepare; no known frame is read yet.

        Args:
            colorizer: what colors the frames.
            layers: known frames, of each kind.
            seconds: returns when a frame is shown.
        """
        self._colorizer, self._layers, self._seconds = colorizer, layers, seconds
        self._anchor = lru_cache(maxsize=HELD)(self._read)

    def carry(self, frames: Iterable[ColoredFrame[Place]]) -> Iterator[ColoredFrame[Place]]:
        """Yield the frames, which must have their features, with the known colors."""
        for frame in frames:
            chroma_2hw = frame.chroma_2hw
            for layer in self._layers:
                chroma_2hw = _mixed(chroma_2hw, self._carried(layer, frame))
            yield replace(frame, chroma_2hw=chroma_2hw, features=None)

    def _carried(self, layer: Layer, frame: ColoredFrame[Place]) -> list[_Carried]:
        """Return the colors that the nearest known frames give a frame."""
        seconds = self._seconds(frame.place.frame)
        near = [(given.nearness(seconds), given) for given in layer.given]
        nearest = nlargest(layer.most, (pair for pair in near if pair[0]), key=lambda pair: pair[0])
        return [self._carried_from(given, nearness, frame) for nearness, given in nearest]

    @torch.inference_mode()
    def _carried_from(self, given: Given, nearness: float, frame: ColoredFrame[Place]) -> _Carried:
        assert frame.features is not None
        height, width = frame.luma_hw.shape
        anchor = self._anchor(given, height, width)
        luma_hw = self._padded(frame.luma_hw)
        cells = self._cells(frame.features, luma_hw)
        found_3N, alike_N = match(cells, anchor.cells, anchor.known_3N)
        found_4N = torch.cat((found_3N * sureness(alike_N), alike_N[None]))
        found_4hw = _with_motion(_enlarged(found_4N, cells.grid, luma_hw), anchor, luma_hw)
        return _carried_colors(found_4hw[:, :height, :width], nearness)

    def _read(self, given: Given, height: int, width: int) -> _Anchor:
        known = given.known(height, width)
        features = self._colorizer.features_of(known.luma_hw)
        luma_hw = self._padded(known.luma_hw)
        weighted = (*(known.chroma_2hw * known.weight_hw), known.weight_hw)
        known_3hw = np.stack([self._padded(plane) for plane in weighted])
        cells = self._cells(features, luma_hw)
        small_3gg = np.stack([resize(plane, *cells.grid) for plane in known_3hw])
        known_3N = torch.from_numpy(small_3gg).flatten(1).to(cells.looks_CN.device)
        return _Anchor(luma_hw, known_3hw, cells, known_3N)

    def _cells(self, features: Features, luma_hw: Plane) -> Cells:
        luma_11hw = torch.from_numpy(luma_hw)[None, None].to(self._colorizer.device)
        return cells_of(features, luma_11hw, grid_of(*luma_hw.shape))

    def _padded(self, plane_hw: Plane) -> Plane:
        """Return a plane padded to the network's input size."""
        height, width = plane_hw.shape
        multiple = self._colorizer.network.multiple
        return np.pad(plane_hw, ((0, -height % multiple), (0, -width % multiple)), mode="edge")


def _enlarged(found_4N: Tensor, grid: tuple[int, int], luma_hw: Plane) -> Plane:
    """Return the cells' values at the size of the picture, with the edges of its luma."""
    found_4gg = found_4N.unflatten(1, grid).cpu().numpy()
    return enlarge_chroma(found_4gg, resize(luma_hw, *grid), luma_hw)


def _with_motion(matched_4hw: Plane, anchor: _Anchor, luma_hw: Plane) -> Plane:
    """Replace matched colors by colors from optical flow where the flow is reliable."""
    motion = find_motion(anchor.luma_hw, luma_hw)
    sources_4hw = torch.from_numpy(np.concatenate((anchor.known_3hw, anchor.luma_hw[None])))
    moved_4hw = warp(sources_4hw, motion.backward_2hw).numpy()
    difference_hw = _blurred(np.square(moved_4hw[3] - luma_hw))
    believed_hw = motion.visible_hw.numpy() * np.exp(-difference_hw / LUMA_DIFFERENCE**2)
    moved_4hw[3] = 1  # the highest similarity
    found_4hw = matched_4hw + _blurred(believed_hw) * (moved_4hw - matched_4hw)
    return np.asarray(found_4hw, dtype=np.float32)


def _blurred(plane_hw: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane_hw, (0, 0), BLUR_PIXELS), dtype=np.float32)


def _carried_colors(found_4hw: Plane, nearness: float) -> _Carried:
    """Return the colors, clipped to their range, because filters overshoot."""
    weight_hw = found_4hw[2].clip(0, 1)
    weighted_2hw = found_4hw[:2].clip(-weight_hw / 2, weight_hw / 2)
    share_hw = nearness * np.exp(SHARPNESS * (found_4hw[3].clip(0, 1) - 1))
    return _Carried(weighted_2hw, weight_hw, share_hw)


def _mixed(own_2hw: Plane, carried: Sequence[_Carried]) -> Plane:
    """Return a frame's chroma blended with the colors of known frames.

    The blend factor is the highest confidence among them.
    """
    if not carried:
        return own_2hw
    total_2hw = np.sum([one.share_hw * one.weighted_2hw for one in carried], axis=0)
    total_hw = np.sum([one.share_hw * one.weight_hw for one in carried], axis=0)
    is_known_2hw = np.broadcast_to(total_hw > 0, own_2hw.shape)
    known_2hw = np.divide(total_2hw, total_hw, out=own_2hw.copy(), where=is_known_2hw)
    weight_hw = np.max([one.weight_hw for one in carried], axis=0)
    return np.asarray(own_2hw + weight_hw * (known_2hw - own_2hw), dtype=np.float32)
