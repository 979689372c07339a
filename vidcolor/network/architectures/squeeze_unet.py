"""A temporal U-Net on the encoder of SqueezeNet 1.1, for models that start from ImageNet.

The encoder's layers and the names of its weights are SqueezeNet 1.1's, so published ImageNet
weights fit. What a picture shows decides its color, and ImageNet teaches that with 1.2 million
pictures more than a user has.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidcolor.network.architectures.squeezenet import squeezenet_layers, squeezenet_scales
from vidcolor.network.blocks import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    WindowFusion,
    doubled,
    smooth_block,
    spectrally_normalised,
)
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions


@dataclass(frozen=True, kw_only=True)
class SqueezeUNetConfig:
    """What shapes the network; kept on the model's card."""

    widths: tuple[int, int, int] = (128, 64, 32)
    """Channels of the decoder at 1/8, 1/4 and 1/2 of the frame."""
    spectral_norm: bool = True
    """Divide the decoder's convolutions by their largest singular values while training."""


class SqueezeUNet(Generator):
    """U-Net generator with SqueezeNet's encoder; chroma comes out at half the frame's size.

    network = SqueezeUNet(SqueezeUNetConfig())
    features = [network.encode(grey_B1hw) for grey_B1hw in window]
    chroma_B2hw = network.decode(*features)
    """

    multiple = 16

    def __init__(self, config: SqueezeUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.features = squeezenet_layers()
        eighth, quarter, half = config.widths
        self.fusion = WindowFusion(512)
        self.scene = nn.Linear(512, 2 * eighth)
        self.bottleneck = smooth_block(512, 2 * eighth)
        self.decoders = nn.ModuleList(
            [
                nn.Sequential(smooth_block(2 * eighth + 256, eighth), smooth_block(eighth, eighth)),
                nn.Sequential(smooth_block(eighth + 128, quarter), smooth_block(quarter, quarter)),
                nn.Sequential(smooth_block(quarter + 64, half), smooth_block(half, half)),
            ]
        )
        self.head = nn.Conv2d(half, 2, 3, padding=1, padding_mode="replicate")
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.scene.weight)
        for part in (self.fusion, self.bottleneck, self.decoders):
            spectrally_normalised(part, is_on=config.spectral_norm)

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return four scales, h/2 to h/16, of frames (B, 1, h, w) in [0, 1]."""
        mean = frame_B1hw.new_tensor(IMAGENET_MEAN)[:, None, None]
        deviation = frame_B1hw.new_tensor(IMAGENET_DEVIATION)[:, None, None]
        return squeezenet_scales(self.features, (frame_B1hw - mean) / deviation)

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the middle frame's chroma, (B, 2, h, w): Cb, Cr times 2, in [-1, 1]."""
        x = self.fusion(previous[-1], current[-1], next_[-1])
        scene_B2 = self.scene(x.mean(dim=(-2, -1)))
        x = self.bottleneck(x) + scene_B2[:, :, None, None]
        for decoder, skip in zip(self.decoders, reversed(current[:-1]), strict=True):
            x = decoder(torch.cat((doubled(x), skip), dim=1))
        return doubled(torch.tanh(self.head(x)))


def _set_up(options: TrainOptions) -> Setup:
    one_of(options, "preset", "default")
    return Setup(
        config=SqueezeUNetConfig(),
        output=one_of(options, "output", "chroma"),
        pixel_loss=options.pixel_loss or "l1",
    )


FAMILY = Family(network=SqueezeUNet, config=SqueezeUNetConfig, windows=(3, 1), set_up=_set_up)
