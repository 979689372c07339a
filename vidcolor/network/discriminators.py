"""Discriminators: is this colour real? Both of seed 002's, with spectral norm and conditioning."""

import torch
from torch import Tensor, nn

from vidcolor.network.blocks import SelfAttention, spectrally_normalised
from vidcolor.options import DiscriminatorKind, Gan


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of 70 x 70 pixels (Isola et al. 2017, 3.2.2; seed 002's widths).

    Five 4x4 convolutions with spectral norm and no other norm; linear scores (B, 1, h', w').
    """

    def __init__(self, in_channels: int, base_channels: int, *, self_attention: bool) -> None:
        super().__init__()
        d = base_channels
        attention = [SelfAttention(4 * d)] if self_attention else []
        self.layers = spectrally_normalised(
            nn.Sequential(
                *_leaky(nn.Conv2d(in_channels, d, 4, 2, 1)),
                *_leaky(nn.Conv2d(d, 2 * d, 4, 2, 1)),
                *_leaky(nn.Conv2d(2 * d, 4 * d, 4, 2, 1)),
                *attention,
                *_leaky(nn.Conv2d(4 * d, 8 * d, 4, 1, 1)),
                nn.Conv2d(8 * d, 1, 4, 1, 1, bias=False),
            )
        )

    def forward(self, picture_Bchw: Tensor) -> Tensor:
        """Return scores (B, 1, h', w'): near 1 for real under least squares."""
        scores: Tensor = self.layers(picture_Bchw)
        return scores


class FullyConnectedDiscriminator(nn.Module):
    """Judges a whole picture: a strided encoder and one fully connected layer; scores (B, 1).

    The original closes with a convolution as wide as its one input size; averaging over what is
    left of the picture takes any size. Scores are logits: the loss applies the sigmoid.
    """

    def __init__(self, in_channels: int, base_channels: int, *, self_attention: bool) -> None:
        super().__init__()
        d = base_channels
        widths = [in_channels, d, 2 * d, 4 * d, 8 * d, 8 * d]
        attention = [SelfAttention(8 * d)] if self_attention else []
        blocks = [
            nn.Sequential(
                nn.Conv2d(widths[i], widths[i + 1], 3, 2, 1, bias=False),
                nn.BatchNorm2d(widths[i + 1]),
                nn.LeakyReLU(0.1),
            )
            for i in range(5)
        ]
        self.layers = nn.Sequential(
            *blocks, *attention, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * d, 1)
        )

    def forward(self, picture_Bchw: Tensor) -> Tensor:
        """Return logits (B, 1)."""
        scores: Tensor = self.layers(picture_Bchw)
        return scores


def build_discriminator(
    kind: DiscriminatorKind, in_channels: int, base_channels: int, *, self_attention: bool
) -> nn.Module:
    """Return the discriminator of that kind (its widths begin at `base_channels`, seed's ndf)."""
    build = PatchDiscriminator if kind == "patch" else FullyConnectedDiscriminator
    return build(in_channels, base_channels, self_attention=self_attention)


def _leaky(convolution: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
    # 0.01 is the original's slope.
    return convolution, nn.LeakyReLU(0.01)


def generator_loss(scores_of_fakes: Tensor, gan: Gan) -> Tensor:
    """Return how far the discriminator is from taking fakes for real.

    lsgan: mean squared distance to 1 (Mao et al. 2017, eq. 9 with a = 0, b = c = 1);
    bce: minus log-likelihood (Goodfellow et al. 2014, the non-saturating form of section 3).
    """
    return _distance(scores_of_fakes, 1.0, gan)


def discriminator_loss(scores_of_reals: Tensor, scores_of_fakes: Tensor, gan: Gan) -> Tensor:
    """Return how badly real and fake are told apart; the sum of both terms, as in seed 002."""
    return _distance(scores_of_reals, 1.0, gan) + _distance(scores_of_fakes, 0.0, gan)


def _distance(scores: Tensor, target: float, gan: Gan) -> Tensor:
    targets = torch.full_like(scores, target)
    if gan == "lsgan":
        return nn.functional.mse_loss(scores, targets)
    return nn.functional.binary_cross_entropy_with_logits(scores, targets)
