"""A temporal U-Net on the encoder of EfficientNet-Lite, for models that start from ImageNet.

What a picture shows decides its color, and this classifier knows it better than SqueezeNet at
about the same cost: it names 77 of 100 ImageNet pictures rightly, SqueezeNet 58.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidcolor.network.architectures.efficientnet import EfficientNetLite, published_names
from vidcolor.network.blocks import WindowFusion, doubled, smooth_block, spectrally_normalised
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

FROZEN_STAGES = 2
"""Stages, with the stem, that keep what ImageNet taught: edges and textures look alike in grey.

They hold half of a training step's work on a CPU and 1 % of the weights.
"""


@dataclass(frozen=True, kw_only=True)
class EfficientUNetConfig:
    """What shapes the network; kept on the model's card."""

    lite: int = 2
    """Which EfficientNet-Lite: 0, 1 or 2."""
    widths: tuple[int, int, int, int] = (160, 96, 64, 32)
    """Channels of the decoder at 1/16, 1/8, 1/4 and 1/2 of the frame."""
    spectral_norm: bool = True
    """Divide the decoder's convolutions by their largest singular values while training."""


class EfficientUNet(Generator):
    """U-Net generator with EfficientNet's encoder; chroma comes out at half the frame's size.

    network = EfficientUNet(EfficientUNetConfig())
    features = [network.encode(grey_B1hw) for grey_B1hw in window]
    chroma_B2hw = network.decode(*features)
    """

    multiple = 32

    def __init__(self, config: EfficientUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.features = EfficientNetLite(config.lite)
        for part in (self.features.stem, *self.features.stages[:FROZEN_STAGES]):
            part.requires_grad_(False)
        *skips, deepest = self.features.channels
        first, *_, last = config.widths
        self.fusion = WindowFusion(deepest)
        self.scene = nn.Linear(deepest, 2 * first)
        self.bottleneck = smooth_block(deepest, 2 * first, kernel=1)
        self.decoders = nn.ModuleList()
        channels = 2 * first
        for skip, width in zip(reversed(skips), config.widths, strict=True):
            self.decoders.append(
                nn.Sequential(smooth_block(channels + skip, width), smooth_block(width, width))
                if width > last
                else smooth_block(channels + skip, width)
            )
            channels = width
        self.head = nn.Conv2d(last, 2, 3, padding=1, padding_mode="replicate")
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.scene.weight)
        for part in (self.fusion, self.bottleneck, self.decoders):
            spectrally_normalised(part, is_on=config.spectral_norm)

    def train(self, mode: bool = True) -> "EfficientUNet":
        """Switch to training, or not; the encoder's batch norms keep ImageNet's statistics."""
        super().train(mode)
        self.features.eval()
        return self

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return five scales, h/2 to h/32, of frames (B, 1, h, w) in [0, 1]."""
        scales: Features = self.features((frame_B1hw * 2 - 1).expand(-1, 3, -1, -1))
        return scales

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the middle frame's chroma, (B, 2, h, w): Cb, Cr times 2, in [-1, 1]."""
        x = self.fusion(previous[-1], current[-1], next_[-1])
        scene_BC = self.scene(x.mean(dim=(-2, -1)))
        x = self.bottleneck(x) + scene_BC[:, :, None, None]
        for decoder, skip in zip(self.decoders, reversed(current[:-1]), strict=True):
            x = decoder(torch.cat((doubled(x), skip), dim=1))
        return doubled(torch.tanh(self.head(x)))

    def from_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return EfficientNet-Lite's published weights under the names of this network."""
        named = published_names(state, self.features)
        return {f"features.{name}": value for name, value in named.items()}


def _set_up(options: TrainOptions) -> Setup:
    one_of(options, "preset", "default")
    return Setup(
        config=EfficientUNetConfig(),
        output=one_of(options, "output", "chroma"),
        pixel_loss=options.pixel_loss or "l1",
    )


FAMILY = Family(network=EfficientUNet, config=EfficientUNetConfig, windows=(3, 1), set_up=_set_up)
