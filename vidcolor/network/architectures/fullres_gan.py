"""The generator of seed 000: no stride anywhere, the lightness as an input of every layer.

A small brother of COLORGAN (Cao et al. 2017, Unsupervised Diverse Colorization via Generative
Adversarial Networks), which draws several colorings of one picture by feeding noise.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.color import Output
from vidcolor.errors import OptionsError
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

KERNELS = (7, 5, 5, 5, 5, 5)
"""Widths of the six convolutions' windows (seed 000); a color hangs on 27 pixels around it."""
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01
"""Of batch norm (seed 000; its framework counts the momentum of 0.99 from the other end)."""


@dataclass(frozen=True, kw_only=True)
class FullResGanConfig:
    """What shapes the network; kept on the model's card."""

    base_channels: int = 64
    """Channels of the middle layers: the first has twice, the last hidden one half as many."""
    noisy_layers: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """Convolutions with a plane of noise as another input; the original: the first."""
    tiled_noise: bool = True
    """A plane is one number for the whole frame, so that a style of color does not stick to the
    screen while things move; else each pixel has its own, as in the original."""


class FullResGan(Generator):
    """Six convolutions at the frame's own size, for any size; noise picks the result.

    network = FullResGan(FullResGanConfig())
    features = network.encode(network.frame(grey_B1hw, noise_Bnhw=noise_Bnhw))
    chroma_B2hw = network.decode(features, features, features)

    The original turns 100 random numbers into one plane by a fully connected layer, which ties it
    to one size of picture; here the planes are the noise.
    """

    multiple = 1

    def __init__(self, config: FullResGanConfig) -> None:
        super().__init__()
        n = config.base_channels
        self.config, self.noise_channels = config, len(config.noisy_layers)
        shown = [0, 2 * n, n, n, n, n // 2, 2]
        extra = [1 + (layer in config.noisy_layers) for layer in range(6)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                shown[i] + extra[i], shown[i + 1], k, padding=k // 2, padding_mode="replicate"
            )
            for i, k in enumerate(KERNELS)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(channels, NORM_EPSILON, NORM_MOMENTUM) for channels in shown[1:-1]
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(cast(Tensor, part.bias))

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return the last convolution's input for frames (B, 1 + n, h, w): grey and noise."""
        lightness_B1hw, noise_Bnhw = frame_Bchw[:, :1] * 2 - 1, frame_Bchw[:, 1:]
        if self.config.tiled_noise:
            noise_Bnhw = noise_Bnhw[..., :1, :1].expand_as(noise_Bnhw)
        extra = [[lightness_B1hw] for _ in KERNELS]
        for number, layer in enumerate(self.config.noisy_layers):
            extra[layer].append(noise_Bnhw[:, number : number + 1])
        x = torch.cat(extra[0], dim=1)
        for layer, norm in enumerate(self.norms):
            x = functional.relu(norm(self.convolutions[layer](x)))
            x = torch.cat((*extra[layer + 1], x), dim=1)
        return [x]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's color, (B, 2, h, w) in [-1, 1]; neighbours are not looked at."""
        return torch.tanh(self.convolutions[-1](current[0]))


def _set_up(options: TrainOptions) -> Setup:
    is_seed = one_of(options, "preset", "default", "seed000") == "seed000"
    outputs: tuple[Output, Output] = ("ab", "chroma") if is_seed else ("chroma", "ab")
    if is_seed:
        config = FullResGanConfig(base_channels=options.ngf, noisy_layers=(0,), tiled_noise=False)
    else:
        config = FullResGanConfig(base_channels=options.ngf)
    if config.tiled_noise and options.batch_size == 1:
        raise OptionsError(
            "--batch-size 1: batch norm cancels the noise of a single picture; use 2 or more, or "
            "--preset seed000"
        )
    return Setup(
        config=config,
        output=one_of(options, "output", *outputs),
        grey="lab" if is_seed else "bt601",
        pixel_loss=options.pixel_loss or "l2",
        is_conditional=not is_seed,
    )


FAMILY = Family(network=FullResGan, config=FullResGanConfig, windows=(1,), set_up=_set_up)
