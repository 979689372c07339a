"""The U-Net of seed 004, which has a mask of where to color as an input.

The topology, layer by layer, is that of "Colorization with masks" (hallpaz, 2019) as its notebook
has it: grey and mask meet before the first of five strided convolutions, then five transposed ones
with added skips, as in seed 002. See docs/explanation/networks.md for what differs and why.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidcolor.network.blocks import (
    down_block,
    draw_weights_by_fan_out,
    spectrally_normalised,
    up_block,
    up_convolution,
)
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

INPUT_CHANNELS = 16
"""Of grey and of mask, before they meet (the original's)."""


@dataclass(frozen=True, kw_only=True)
class MaskedUNetConfig:
    """What shapes the network; kept on the model's card."""

    base_channels: int = 64
    """Channels of the first strided convolution (the original's 64)."""
    shared_norm: bool = False
    """The grey's batch norm is the mask's too, as in the original.

    Its statistics are then neither's. A norm of its own would not serve the mask: it is 0 or 1
    already, and where all of it is 1, the norm divides by no deviation at all.
    """
    spectral_norm: bool = True
    """Divide each convolution by its largest singular value while training."""


class MaskedUNet(Generator):
    """U-Net generator that sees one grey frame and its mask.

    network = MaskedUNet(MaskedUNetConfig())
    features = network.encode(network.frame(grey_B1hw, mask_B1hw))
    chroma_B2hw = network.decode(features, features, features)
    """

    multiple = 32
    takes_mask = True

    def __init__(self, config: MaskedUNetConfig) -> None:
        super().__init__()
        self.config = config
        n = config.base_channels
        # Zeros around a mask would read as a frame of grey around the color.
        self.convolutions = nn.ModuleList(
            nn.Conv2d(1, INPUT_CHANNELS, 3, padding=1, bias=False, padding_mode="replicate")
            for _ in ("grey", "mask")
        )
        self.norm = nn.BatchNorm2d(INPUT_CHANNELS)
        self.rectified = nn.LeakyReLU(0.1)
        down, up = (
            [2 * INPUT_CHANNELS, n, 2 * n, 4 * n, 8 * n, 8 * n],
            [8 * n, 8 * n, 4 * n, 2 * n, n],
        )
        self.encoders = nn.ModuleList(down_block(down[i], down[i + 1], "batch") for i in range(5))
        self.decoders = nn.ModuleList(up_block(up[i], up[i + 1], "batch") for i in range(4))
        self.head = up_convolution(n, 2)
        draw_weights_by_fan_out(self)
        spectrally_normalised(self, is_on=config.spectral_norm)

    def encode(self, frame_B2hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return five scales, h/2 to h/32, of grey and mask (B, 2, h, w) in [0, 1]."""
        grey_B1hw, mask_B1hw = frame_B2hw.split(1, dim=1)
        grey = self.norm(self.convolutions[0](grey_B1hw - 0.5))
        mask = self.convolutions[1](mask_B1hw)
        if self.config.shared_norm:
            mask = self.norm(mask)
        x = self.rectified(torch.cat((grey, mask), dim=1))
        features: Features = []
        for encoder in self.encoders:
            x = encoder(x)
            features.append(x)
        return features

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's chroma, (B, 2, h, w): Cb, Cr times 2, in [-1, 1].

        The original's U / 0.436 and V / 0.615 are the same numbers. Neighbours are not looked at.
        """
        x = current[-1]
        for decoder, skip in zip(self.decoders, reversed(current[:-1]), strict=True):
            x = decoder(x) + skip
        return torch.tanh(self.head(x))


def _set_up(options: TrainOptions) -> Setup:
    is_seed = one_of(options, "preset", "default", "seed004") == "seed004"
    return Setup(
        config=MaskedUNetConfig(
            base_channels=options.ngf, shared_norm=is_seed, spectral_norm=not is_seed
        ),
        output=one_of(options, "output", "chroma"),
        pixel_loss=options.pixel_loss or "l2",
    )


FAMILY = Family(network=MaskedUNet, config=MaskedUNetConfig, windows=(1,), set_up=_set_up)
