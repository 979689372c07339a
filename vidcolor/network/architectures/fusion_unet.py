"""The encoder-decoder of seed 003, which also gets a classification of the whole picture.

The topology, layer by layer, is that of "Photos colorization" (bluejurand, 2019) as its code has
it, after Baldassarre et al. 2017 (Deep Koalarization) and Iizuka et al. 2016: what an image
classifier returns for the frame is joined to the bottleneck at every place. See
docs/explanation/networks.md for what differs and why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.errors import OptionsError
from vidcolor.network.architectures.backbones import find_backbone, load_published
from vidcolor.network.bins import ab_bins
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions
from vidcolor.options.values import Prediction


@dataclass(frozen=True, kw_only=True)
class FusionUNetConfig:
    """What shapes the network; kept on the model's card."""

    backbone: str = "xception"
    """The classifier: a key of BACKBONES, or a name of timm's."""
    fine_tune: bool = False
    """The classifier's weights learn too."""
    base_channels: int = 64
    """Channels of the first convolution (the original's 64)."""
    output: Prediction = "chroma"
    """chroma, ab or bins."""
    is_original: bool = False
    """Probabilities of the classes are joined, and nothing is normalised, as in the original.

    A thousand probabilities are nearly all 0 and hardly move a layer; scores, normalised, do.
    """


class FusionUNet(Generator):
    """Encoder-decoder that sees one grey frame, and what a classifier says of it.

    network = FusionUNet(FusionUNetConfig())
    features = network.encode(grey_B1hw, network.embed(grey_B1hw))
    chroma_B2hw = network.decode(features, features, features)
    """

    multiple = 8

    def __init__(self, config: FusionUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.published = find_backbone(config.backbone)
        self.backbone = self.published.build().requires_grad_(config.fine_tune)
        n, is_original = config.base_channels, config.is_original
        channels, strides = (
            [1, n, 2 * n, 2 * n, 4 * n, 4 * n, 8 * n, 8 * n, 4 * n],
            [2, 1] * 3 + [1, 1],
        )
        self.encoder = nn.Sequential(
            *(
                _block(channels[i], channels[i + 1], is_original=is_original, stride=stride)
                for i, stride in enumerate(strides)
            )
        )
        self.fusion = nn.Sequential(nn.Conv2d(4 * n + self.published.classes, 4 * n, 1), nn.ReLU())
        self.decoder = nn.Sequential(
            _block(4 * n, 4 * n, is_original=is_original),
            _block(4 * n, 2 * n, is_original=is_original),
            _twice(is_original=is_original),
            _block(2 * n, n, is_original=is_original),
            _block(n, n, is_original=is_original),
        )
        self.head = (
            nn.Conv2d(n, len(ab_bins()), 1)
            if config.output == "bins"
            else nn.Sequential(
                _twice(is_original=is_original),
                _block(n, n // 2, is_original=is_original),
                _convolution(n // 2, 2),
                nn.Tanh(),
                # After tanh the original repeats pixels, which leaves blocks of two.
                nn.Upsample(scale_factor=2, mode="bilinear"),
            )
        )
        for part in (self.encoder, self.fusion, self.decoder, self.head):
            _draw_weights(part)

    def train(self, mode: bool = True) -> "FusionUNet":
        """Switch to training, or not; the classifier's batch norms keep their statistics always."""
        super().train(mode)
        self.backbone.eval()
        return self

    def embed(self, grey_B1hw: Tensor) -> Tensor:
        """Return what the classifier says of frames (B, 1, h, w) in [0, 1]: (B, classes)."""
        scores_BC = self.backbone(self.published.pictures(grey_B1hw))
        if self.config.is_original:
            return torch.softmax(scores_BC, dim=1)
        return functional.layer_norm(scores_BC, scores_BC.shape[1:])

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return the one scale, h/8, of frames in [0, 1], joined with what `embed` returned."""
        if embedding_BC is None:
            embedding_BC = self.embed(frame_B1hw)
        x = self.encoder(frame_B1hw * 2 - 1)
        everywhere_BChw = embedding_BC[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        return [self.fusion(torch.cat((x, everywhere_BChw), dim=1))]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's color (B, 2, h, w) in [-1, 1], or logits (B, 313, h/4, w/4)."""
        color_Bchw: Tensor = self.head(self.decoder(current[0]))
        return color_Bchw


def _block(
    in_channels: int, out_channels: int, *, is_original: bool, stride: int = 1
) -> nn.Sequential:
    convolution = _convolution(in_channels, out_channels, stride)
    if is_original:
        return nn.Sequential(convolution, nn.ReLU())
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.LeakyReLU(0.1))


def _twice(*, is_original: bool) -> nn.Upsample:
    # Pixels that are repeated, as in the original, leave a fine grid of color.
    return nn.Upsample(scale_factor=2, mode="nearest" if is_original else "bilinear")


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    # Zeros around a feature map would pull the colors along a frame's borders towards grey.
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, padding_mode="replicate")


def _draw_weights(part: nn.Module) -> None:
    """Draw each convolution's weights as the original does: Glorot's uniform, biases 0."""
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(cast(Tensor, layer.bias))


def _set_up(options: TrainOptions) -> Setup:
    if options.random_backbone and options.backbone_weights is not None:
        raise OptionsError("--random-backbone: conflicts with --backbone-weights; use one of them")
    is_seed = one_of(options, "preset", "default", "seed003") == "seed003"
    outputs: tuple[Prediction, ...] = ("chroma", "ab", "bins")
    output = one_of(options, "output", *(("ab", "bins", "chroma") if is_seed else outputs))
    return Setup(
        config=FusionUNetConfig(
            backbone=options.backbone,
            fine_tune=options.fine_tune,
            base_channels=options.ngf,
            output=output,
            is_original=is_seed,
        ),
        output=output,
        grey="lab" if is_seed else "bt601",
        pixel_loss=options.pixel_loss or ("l1" if output == "chroma" else "l2"),
        load_published=None if options.random_backbone else _backbone_loader(options),
    )


def _backbone_loader(options: TrainOptions) -> Callable[[Generator], None]:
    """Return what gives a network the published weights of its classifier."""

    def load_backbone(network: Generator) -> None:
        backbone = cast(FusionUNet, network).backbone
        load_published(backbone, options.backbone, options.backbone_weights)

    return load_backbone


FAMILY = Family(network=FusionUNet, config=FusionUNetConfig, windows=(1,), set_up=_set_up)
