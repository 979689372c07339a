"""The residual encoder of seed 001: VGG-16 up to conv4_3, its scales added up from the coarsest.

After Ryan Dahl, Automatic Colorization, 2016. The encoder's layers are those of Simonyan and
Zisserman 2015, configuration D, under torchvision's names, so published ImageNet weights fit.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.network.blocks import IMAGENET_DEVIATION, IMAGENET_MEAN, doubled
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

ENCODER = (("0", "2"), ("5", "7"), ("10", "12", "14"), ("17", "19", "21"))
"""Names of the convolutions of each scale; torchvision counts ReLUs and max pooling too."""


@dataclass(frozen=True, kw_only=True)
class ResidualEncoderConfig:
    """What shapes the network; kept on the model's card."""

    base_channels: int = 64
    """Channels of the encoder's first scale; ImageNet weights fit 64 alone."""


class ResidualEncoder(Generator):
    """Adds VGG's scales, each with batch norm, from the coarsest to the grey itself.

    network = ResidualEncoder(ResidualEncoderConfig())
    features = network.encode(grey_B1hw)
    chroma_B2hw = network.decode(features, features, features)

    The original does not say what is between the decoder's convolutions. Here it is ReLU,
    but not where there are only three channels left: a dead one would be a third of the picture.
    """

    multiple = 8

    def __init__(self, config: ResidualEncoderConfig) -> None:
        super().__init__()
        self.config = config
        n = config.base_channels
        channels = [3, n, 2 * n, 4 * n, 8 * n]
        self.features = nn.ModuleDict()
        for scale, names in enumerate(ENCODER):
            inputs = [channels[scale]] + [channels[scale + 1]] * (len(names) - 1)
            for name, in_channels in zip(names, inputs, strict=True):
                self.features[name] = nn.Conv2d(in_channels, channels[scale + 1], 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.top = nn.Conv2d(8 * n, 4 * n, 1)
        self.decoders = nn.ModuleList(
            [_smooth(4 * n, 2 * n), _smooth(2 * n, n), _smooth(n, 3), _smooth(3, 3)]
        )
        self.head = _smooth(3, 2)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)
                nn.init.zeros_(cast(Tensor, part.bias))
        nn.init.normal_(self.head.weight, std=0.01)

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return five scales of frames (B, 1, h, w) in [0, 1]: themselves, and h to h/8."""
        mean = frame_B1hw.new_tensor(IMAGENET_MEAN)[:, None, None]
        deviation = frame_B1hw.new_tensor(IMAGENET_DEVIATION)[:, None, None]
        x = (frame_B1hw - mean) / deviation
        scales = [x]
        for scale, names in enumerate(ENCODER):
            x = functional.max_pool2d(x, 2) if scale else x
            for name in names:
                x = functional.relu(self.features[name](x))
            scales.append(x)
        return scales

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's chroma, (B, 2, h, w): Cb, Cr times 2; no neighbour is looked at."""
        grey, full, half, quarter, eighth = (
            norm(scale) for norm, scale in zip(self.norms, current, strict=True)
        )
        x = functional.relu(self.top(eighth))
        x = functional.relu(self.decoders[0](doubled(x) + quarter))
        x = functional.relu(self.decoders[1](doubled(x) + half))
        x = self.decoders[2](doubled(x) + full)
        x = self.decoders[3](x + grey)
        return torch.tanh(self.head(x))


def _smooth(in_channels: int, out_channels: int) -> nn.Conv2d:
    # Zeros around a feature map would pull the colors along a frame's borders towards grey.
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="replicate")


def _set_up(options: TrainOptions) -> Setup:
    one_of(options, "preset", "default", "seed001")
    return Setup(
        config=ResidualEncoderConfig(base_channels=options.ngf),
        output=one_of(options, "output", "chroma"),
        pixel_loss=options.pixel_loss or "l2",
    )


FAMILY = Family(network=ResidualEncoder, config=ResidualEncoderConfig, windows=(1,), set_up=_set_up)
