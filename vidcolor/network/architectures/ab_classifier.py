"""The colourful classifier: which of 313 colors a place has, by eight blocks of convolutions.

Richard Zhang, Phillip Isola, Alexei A. Efros: Colorful Image Colorization, ECCV 2016, figure 2;
layer by layer as seed 001 built it (two convolutions in block 3, no norm in block 8).
"""

from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from vidcolor.network.bins import ab_bins
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

Padding = Literal["replicate", "zeros"]
BIAS = 0.01
"""Of every convolution at the start (seed 001)."""


@dataclass(frozen=True, kw_only=True)
class AbClassifierConfig:
    """What shapes the network; kept on the model's card."""

    base_channels: int = 64
    """Channels of the first block; the deepest five have eight times as many."""
    padding: Padding = "replicate"
    """Padding around a frame; the original's zeros change the colors along its borders."""


class AbClassifier(Generator):
    """Says how likely each of 313 bins of CIE ab is, at a quarter of the frame's size.

    network = AbClassifier(AbClassifierConfig())
    features = network.encode(grey_B1hw)
    logits_BQhw = network.decode(features, features, features)
    """

    multiple = 8

    def __init__(self, config: AbClassifierConfig) -> None:
        super().__init__()
        self.config = config
        n, around = config.base_channels, config.padding
        self.blocks = nn.Sequential(
            _block([1, n, n], around, stride=2),
            _block([n, 2 * n, 2 * n], around, stride=2),
            _block([2 * n, 4 * n, 4 * n], around, stride=2),
            _block([4 * n, 8 * n, 8 * n, 8 * n], around),
            _block([8 * n] * 4, around, dilation=2),
            _block([8 * n] * 4, around, dilation=2),
            _block([8 * n] * 4, around),
        )
        self.last_block = nn.Sequential(*_layers([8 * n, 4 * n, 4 * n, 4 * n], around))
        self.head = nn.Conv2d(4 * n, len(ab_bins()), 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                # With its framework's own start the original's colors spilt over objects.
                nn.init.xavier_uniform_(part.weight)
                nn.init.constant_(cast(Tensor, part.bias), BIAS)

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return the one scale, h/8, of frames (B, 1, h, w) in [0, 1]."""
        return [self.blocks(frame_B1hw - 0.5)]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's logits, (B, 313, h/4, w/4); neighbours are not looked at."""
        x = functional.interpolate(current[0], scale_factor=2, mode="bilinear", align_corners=True)
        logits_BQhw: Tensor = self.head(self.last_block(x))
        return logits_BQhw


def _layers(
    channels: list[int], around: Padding, *, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """Return 3x3 convolutions, each with its ReLU; the last one strides."""
    layers: list[nn.Module] = []
    last = len(channels) - 2
    for i in range(last + 1):
        layers += [
            nn.Conv2d(
                channels[i],
                channels[i + 1],
                3,
                stride=stride if i == last else 1,
                padding=dilation,
                dilation=dilation,
                padding_mode=around,
            ),
            nn.ReLU(),
        ]
    return layers


def _block(
    channels: list[int], around: Padding, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    layers = _layers(channels, around, stride=stride, dilation=dilation)
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))


def _set_up(options: TrainOptions) -> Setup:
    is_seed = one_of(options, "preset", "default", "seed001") == "seed001"
    return Setup(
        config=AbClassifierConfig(
            base_channels=options.ngf, padding="zeros" if is_seed else "replicate"
        ),
        output=one_of(options, "output", "bins"),
        grey="lab" if is_seed else "bt601",
    )


FAMILY = Family(network=AbClassifier, config=AbClassifierConfig, windows=(1,), set_up=_set_up)
