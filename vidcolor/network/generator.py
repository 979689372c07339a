"""What every generator offers: a frame is encoded once, a window is decoded from three of those."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

Features = list[Tensor]
"""The result of `encode`, finest scale first."""


class Generator(nn.Module):
    """Grey frames in, color out; a pure function of tensors that remembers nothing."""

    multiple: int
    """Height and width must be multiples of this many pixels."""
    takes_mask: bool = False
    """The second channel of a frame is a mask: 1 for color, 0 for grey."""
    noise_channels: int = 0
    """The last channels of a frame are noise in [-1, 1], by which results differ."""

    def frame(
        self, grey_B1hw: Tensor, mask_B1hw: Tensor | None = None, noise_Bnhw: Tensor | None = None
    ) -> Tensor:
        """Return what `encode` takes, (B, 1 + mask + noise, h, w): grey and what else is wanted.

        Args:
            grey_B1hw: in [0, 1].
            mask_B1hw: in [0, 1]; None: color everywhere.
            noise_Bnhw: in [-1, 1], `noise_channels` of it; None: none.
        """
        channels = [grey_B1hw]
        if self.takes_mask:
            channels.append(torch.ones_like(grey_B1hw) if mask_B1hw is None else mask_B1hw)
        if self.noise_channels:
            size = (len(grey_B1hw), self.noise_channels, *grey_B1hw.shape[-2:])
            channels.append(grey_B1hw.new_zeros(size) if noise_Bnhw is None else noise_Bnhw)
        return torch.cat(channels, dim=1)

    def embed(self, grey_B1hw: Tensor) -> Tensor | None:
        """Return an embedding of whole frames, (B, C), kept for a shot; None: not used."""
        return None

    def from_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a published encoder's weights under the names that they have here."""
        return state

    @abstractmethod
    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return the features of what `frame` returned, and of what `embed` did."""

    @abstractmethod
    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the color of the middle frames: (B, 2 or 3, h, w) in [-1, 1], or logits.

        A family whose cards say `bins` returns logits (B, 313, h / 4, w / 4).
        """


class WindowedGenerator(nn.Module):
    """A generator as one function of windows: what is trained, on one device or several."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        grey_BT1hw: Tensor,
        noise_Bnhw: Tensor | None = None,
        mask_B1hw: Tensor | None = None,
    ) -> tuple[Tensor, Features]:
        """Return what the network returns for the middle frame of each window, and its features.

        Args:
            grey_BT1hw: in [0, 1].
            noise_Bnhw: of each window, in [-1, 1]; all its frames see the same; None: none.
            mask_B1hw: of each window, in [0, 1], likewise; None: color everywhere.
        """
        batch, frames = grey_BT1hw.shape[:2]
        grey_N1hw = grey_BT1hw.flatten(0, 1)
        mask_N1hw, noise_Nnhw = (
            None if plane is None else plane.repeat_interleave(frames, dim=0)
            for plane in (mask_B1hw, noise_Bnhw)
        )
        network = self.network
        frame_Nchw = network.frame(grey_N1hw, mask_N1hw, noise_Nnhw)
        features = network.encode(frame_Nchw, network.embed(grey_N1hw))
        # A scale's tensor holds the frames of all windows: take them apart by their place.
        per_frame = [
            [scale.unflatten(0, (batch, frames))[:, t] for scale in features] for t in range(frames)
        ]
        previous, current, next_ = per_frame if frames == 3 else per_frame * 3
        return network.decode(previous, current, next_), current
