"""The frame types of the colorizer, and how frames are batched."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidcolor.images.resize import resize, working_size
from vidcolor.network.generator import Features
from vidcolor.shots.segments import Place

Item = TypeVar("Item")
Made = TypeVar("Made")


class Each(Protocol):
    """Yields a function's result for each item, in order; `name` is the stage's."""

    def __call__(
        self, function: Callable[[Item], Made], items: Iterable[Item], name: str
    ) -> Iterator[Made]:
        """Call the function, serially or in parallel."""


def serial_map(
    function: Callable[[Item], Made], items: Iterable[Item], name: str
) -> Iterator[Made]:
    """Yield the function's result for each item, one after the other."""
    return map(function, items)


@dataclass(frozen=True)
class ShrunkFrame(Generic[Place]):
    """A frame at the working size."""

    place: Place
    luma_hw: NDArray[np.float32]
    """Y' in [0, 1]."""
    is_first: bool
    """Of its shot or segment: a run may start there, so the shot's embedding is computed again."""


@dataclass(frozen=True)
class FrameBatch(Generic[Place]):
    """Frames that are encoded together."""

    looks: Sequence[ShrunkFrame[Place]]
    frame_Bchw: Tensor
    """As `Generator.frame` returns it; the last is repeated to fill a batch."""
    embedding_BC: Tensor | None
    """As `Generator.embed` returns it."""


@dataclass(frozen=True)
class EncodedFrame(Generic[Place]):
    """An encoded frame."""

    place: Place
    luma_hw: NDArray[np.float32]
    """Y' in [0, 1]."""
    features: Features
    """Of this frame alone: each (1, C, h, w)."""


Window = tuple[EncodedFrame[Place], EncodedFrame[Place], EncodedFrame[Place]]


def shrunk(
    frames: Iterable[Place], luma: Callable[[Any], NDArray[np.float32]], size: int
) -> Iterator[ShrunkFrame[Place]]:
    """Yield the frames with their luma at a short side of `size` pixels.

    Args:
        frames: in order.
        luma: returns the Y' (H, W) in [0, 1] of a place's frame.
        size: in pixels.
    """
    segment = -1
    for place in frames:
        luma_HW = luma(place.frame)
        height, width = luma_HW.shape
        luma_hw = resize(luma_HW, *working_size(height, width, size))
        yield ShrunkFrame(place, luma_hw, place.starts_shot or place.segment != segment)
        segment = place.segment


def in_batches(
    items: Iterable[Item], size: int, segment: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """Yield the items, up to `size` at a time; a batch never crosses segments."""
    for _, group in groupby(items, segment):
        while batch := list(islice(group, size)):
            yield batch


def stacked(features: Sequence[Features]) -> Features:
    """Return features of several frames as one batch (B, C, h, w) for each level."""
    if len(features) == 1:
        return features[0]
    return [torch.cat(list(level)) for level in zip(*features, strict=True)]
