"""Discriminators: both of seed 002's, and seed 000's."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.errors import OptionsError
from vidcolor.network.blocks import SelfAttention, spectrally_normalised
from vidcolor.options.train import DiscriminatorKind, Gan


class PatchDiscriminator(nn.Module):
    """Scores overlapping patches of 70 x 70 pixels (Isola et al. 2017, 3.2.2; seed 002's widths).

    Five 4x4 convolutions with spectral norm and no other norm; linear scores (B, 1, h', w').
    """

    def __init__(self, in_channels: int, base_channels: int, *, self_attention: bool) -> None:
        super().__init__()
        d = base_channels
        self.layers = spectrally_normalised(
            nn.Sequential(
                *_leaky(nn.Conv2d(in_channels, d, 4, 2, 1)),
                *_leaky(nn.Conv2d(d, 2 * d, 4, 2, 1)),
                *_leaky(nn.Conv2d(2 * d, 4 * d, 4, 2, 1)),
                *([SelfAttention(4 * d)] if self_attention else []),
                *_leaky(nn.Conv2d(4 * d, 8 * d, 4, 1, 1)),
                *([SelfAttention(8 * d)] if self_attention else []),
                nn.Conv2d(8 * d, 1, 4, 1, 1, bias=False),
            )
        )

    def forward(self, picture_Bchw: Tensor) -> Tensor:
        """Return scores (B, 1, h', w'): near 1 for real under least squares."""
        scores: Tensor = self.layers(picture_Bchw)
        return scores


class FullyConnectedDiscriminator(nn.Module):
    """Scores a whole picture (seed 002's other one, and seed 004's): logits (B, 1, 1, 1).

    Five strided convolutions with batch norm, then one as wide as what is left of the picture: 7
    for 224 pixels, 15 for 480. It takes only pictures of that size. The loss applies the sigmoid.
    """

    def __init__(
        self, in_channels: int, base_channels: int, *, size: int, self_attention: bool
    ) -> None:
        super().__init__()
        d = base_channels
        left = -(-size // 32)
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(in_channels, d, 3, 2, 1, bias=False), 0.1),
            *_normed(nn.Conv2d(d, 2 * d, 3, 2, 1, bias=False), 0.1),
            *_normed(nn.Conv2d(2 * d, 4 * d, 3, 2, 1, bias=False), 0.1),
            *_normed(nn.Conv2d(4 * d, 8 * d, 3, 2, 1, bias=False), 0.1),
            *([SelfAttention(8 * d)] if self_attention else []),
            *_normed(nn.Conv2d(8 * d, 8 * d, 3, 2, 1, bias=False), 0.1),
            *([SelfAttention(8 * d)] if self_attention else []),
            *_normed(nn.Conv2d(8 * d, 8 * d, left, bias=False), 0.1),
            nn.Conv2d(8 * d, 1, 1, bias=False),
        )

    def forward(self, picture_Bchw: Tensor) -> Tensor:
        """Return logits (B, 1, 1, 1)."""
        scores: Tensor = self.layers(picture_Bchw)
        return scores


class FlatDiscriminator(nn.Module):
    """Scores a whole picture: convolutions without stride, two fully connected layers (seed 000).

    It takes only pictures of one size; logits (B, 1).
    """

    def __init__(self, in_channels: int, base_channels: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        d = base_channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, d, 5, padding=2),
            nn.LeakyReLU(0.2),
            *_normed(nn.Conv2d(d, 2 * d, 5, padding=2), 0.2),
            *_normed(nn.Conv2d(2 * d, 4 * d, 5, padding=2), 0.2),
            *_normed(nn.Conv2d(4 * d, 8 * d, 5, padding=2), 0.2),
            nn.Flatten(),
            nn.Linear(8 * d * size[0] * size[1], d),
            nn.Linear(d, 1),
        )

    def forward(self, picture_Bchw: Tensor) -> Tensor:
        """Return logits (B, 1)."""
        scores: Tensor = self.layers(picture_Bchw)
        return scores


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that accepts a single value.

    A batch of one picture leaves one value a channel where the picture has shrunk to one pixel.
    Normalised by itself it would be 0 (torch refuses). Such a batch has no statistics, so the
    running ones are used, as in evaluation: 0 and 1 until a larger batch came.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, C, h, w)."""
        if self.training and input[:, 0].numel() == 1:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def build_discriminator(
    kind: DiscriminatorKind,
    in_channels: int,
    base_channels: int,
    *,
    size: int,
    self_attention: bool,
) -> nn.Module:
    """Return the discriminator of that kind.

    Args:
        kind: which.
        in_channels: of its input.
        base_channels: of its first layer (the seeds' ndf).
        size: height and width of its input; only `patch` accepts others.
        self_attention: with self-attention layers (Zhang et al. 2019).

    Raises:
        OptionsError: the kind has no self-attention.
    """
    if kind == "flat":
        if self_attention:
            raise OptionsError(
                "--self-attention: the flat discriminator does not support it; use patch or fc"
            )
        return FlatDiscriminator(in_channels, base_channels, size=(size, size))
    if kind == "fc":
        return FullyConnectedDiscriminator(
            in_channels, base_channels, size=size, self_attention=self_attention
        )
    return PatchDiscriminator(in_channels, base_channels, self_attention=self_attention)


def _normed(convolution: nn.Conv2d, slope: float) -> tuple[nn.Module, nn.Module, nn.Module]:
    return convolution, BatchNorm(convolution.out_channels), nn.LeakyReLU(slope)


def _leaky(convolution: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
    # 0.01 is the original's slope.
    return convolution, nn.LeakyReLU(0.01)


def generator_loss(scores_of_fakes: Tensor, gan: Gan) -> Tensor:
    """Return the generator's adversarial loss.

    lsgan: mean squared distance to 1 (Mao et al. 2017, eq. 9 with a = 0, b = c = 1);
    bce: minus log-likelihood (Goodfellow et al. 2014, the non-saturating form of section 3).
    """
    return _distance(scores_of_fakes, 1.0, gan)


def discriminator_loss(scores_of_reals: Tensor, scores_of_fakes: Tensor, gan: Gan) -> Tensor:
    """Return the discriminator's loss: the sum of the real and fake terms, as in seed 002."""
    return _distance(scores_of_reals, 1.0, gan) + _distance(scores_of_fakes, 0.0, gan)


def _distance(scores: Tensor, target: float, gan: Gan) -> Tensor:
    targets = torch.full_like(scores, target)
    if gan == "lsgan":
        return nn.functional.mse_loss(scores, targets)
    return nn.functional.binary_cross_entropy_with_logits(scores, targets)
