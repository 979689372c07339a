"""What every generator offers: a frame is encoded once, a window is decoded from three of those."""

from abc import abstractmethod

from torch import Tensor, nn

Features = list[Tensor]
"""What `encode` makes of frames, finest scale first."""


class Generator(nn.Module):
    """Grey frames in, colour out; a pure function of tensors that remembers nothing."""

    multiple: int
    """Height and width must be multiples of this many pixels."""

    @abstractmethod
    def encode(self, grey_B1hw: Tensor) -> Features:
        """Return the features of frames (B, 1, h, w) in [0, 1]."""

    @abstractmethod
    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the colour of the middle frames, (B, 2 or 3, h, w) in [-1, 1]."""
