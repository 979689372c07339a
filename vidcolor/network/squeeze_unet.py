"""A temporal U-Net on the encoder of SqueezeNet 1.1, for models that start from ImageNet.

The encoder's layers and the names of its weights are SqueezeNet 1.1's (Iandola et al. 2016, and
its authors' revision 1.1), so published ImageNet weights fit. What a picture shows decides its
colour, and ImageNet teaches that with 1.2 million pictures more than a user has.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.network.blocks import WindowFusion, spectrally_normalised
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options import TrainOptions

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R', G', B' in [0, 1]: what published ImageNet weights expect to be taken out."""


@dataclass(frozen=True, kw_only=True)
class SqueezeUNetConfig:
    """What shapes the network; kept on the model's card."""

    widths: tuple[int, int, int] = (128, 64, 32)
    """Channels of the decoder at 1/8, 1/4 and 1/2 of the frame."""
    spectral_norm: bool = True
    """Divide the decoder's convolutions by their largest singular values while training."""


class Fire(nn.Module):
    """SqueezeNet's block: a 1x1 convolution that squeezes, a 1x1 and a 3x3 that expand."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 * expanded, h, w)."""
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1))


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
        # Indices are torchvision's, where max pooling stands at 2, 5 and 8.
        self.features = nn.ModuleDict(
            {
                "0": nn.Conv2d(3, 64, 3, stride=2, padding=1),
                "3": Fire(64, 16, 64),
                "4": Fire(128, 16, 64),
                "6": Fire(128, 32, 128),
                "7": Fire(256, 32, 128),
                "9": Fire(256, 48, 192),
                "10": Fire(384, 48, 192),
                "11": Fire(384, 64, 256),
                "12": Fire(512, 64, 256),
            }
        )
        eighth, quarter, half = config.widths
        self.fusion = WindowFusion(512)
        self.scene = nn.Linear(512, 2 * eighth)
        self.bottleneck = _block(512, 2 * eighth)
        self.decoders = nn.ModuleList(
            [
                nn.Sequential(_block(2 * eighth + 256, eighth), _block(eighth, eighth)),
                nn.Sequential(_block(eighth + 128, quarter), _block(quarter, quarter)),
                nn.Sequential(_block(quarter + 64, half), _block(half, half)),
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
        layers = self.features
        half = functional.relu(layers["0"]((frame_B1hw - mean) / deviation))
        quarter = layers["4"](layers["3"](_halved(half)))
        eighth = layers["7"](layers["6"](_halved(quarter)))
        sixteenth = _halved(eighth)
        for name in ("9", "10", "11", "12"):
            sixteenth = layers[name](sixteenth)
        return [half, quarter, eighth, sixteenth]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the middle frame's chroma, (B, 2, h, w): Cb, Cr times 2, in [-1, 1]."""
        x = self.fusion(previous[-1], current[-1], next_[-1])
        scene_B2 = self.scene(x.mean(dim=(-2, -1)))
        x = self.bottleneck(x) + scene_B2[:, :, None, None]
        for decoder, skip in zip(self.decoders, reversed(current[:-1]), strict=True):
            x = decoder(torch.cat((_doubled(x), skip), dim=1))
        return _doubled(torch.tanh(self.head(x)))


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    # Zeros around a feature map would pull the colours along a frame's borders towards grey.
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False, padding_mode="replicate"),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1),
    )


def _halved(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=2, padding=1)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _set_up(options: TrainOptions) -> Setup:
    one_of(options, "preset", "default")
    return Setup(
        config=SqueezeUNetConfig(),
        output=one_of(options, "output", "chroma"),
        pixel_loss=options.pixel_loss or "l1",
    )


FAMILY = Family(network=SqueezeUNet, config=SqueezeUNetConfig, windows=(3, 1), set_up=_set_up)
