"""One decoded frame: its luma codes, its timestamp, and how to read them."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vidcolor.media.quantization import Codes, sample_type, unit_from_chroma, unit_from_luma


@dataclass(frozen=True)
class Frame:
    """One decoded frame. Its arrays are read-only views of the decoder's memory."""

    luma: Codes
    """Luma codes (H, W), uint8, or uint16 where the film has more than 8 bits."""
    pts: int
    """When it is shown, ticks of `time_base`."""
    time_base: Fraction
    duration: int
    """How long it is shown, ticks; 0 if the film does not say."""
    depth: int
    """Bits of a sample."""
    full_range: bool
    is_grey: bool
    """The film has no chroma planes."""
    picture: VideoFrame = field(repr=False)

    @property
    def seconds(self) -> Fraction:
        """Its timestamp in seconds."""
        return self.pts * self.time_base

    def chroma(self) -> Codes | None:
        """Return the film's own Cb and Cr codes (2, h, w), or None of a grey film."""
        if self.is_grey:
            return None
        return np.stack([plane_of(self.picture, index, self.depth) for index in (1, 2)])


def unit_luma(frame: Frame) -> NDArray[np.float32]:
    """Return Y' (H, W) in [0, 1]."""
    return unit_from_luma(frame.luma, depth=frame.depth, full_range=frame.full_range)


def unit_chroma(frame: Frame) -> NDArray[np.float32]:
    """Return the film's own Cb, Cr (2, h, w) in [-0.5, 0.5], h and w as stored; 0 if grey."""
    codes = frame.chroma()
    if codes is None:
        return np.zeros((2, *frame.luma.shape), np.float32)
    return unit_from_chroma(codes, depth=frame.depth, full_range=frame.full_range)


def plane_of(picture: VideoFrame, index: int, depth: int) -> Codes:
    """Return a plane (h, w) as a writable view, without line padding."""
    plane = picture.planes[index]
    memory = memoryview(plane)
    samples: Codes = np.frombuffer(memory, sample_type(depth))
    return samples.reshape(plane.height, -1)[:, : plane.width]
