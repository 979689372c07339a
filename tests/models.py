"""Models small enough to be made anew in every test."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidcolor.network.card import Card
from vidcolor.network.family import Family, Setup
from vidcolor.network.generator import Features, Generator

TINY = Card(
    name="tiny",
    family="temporal-unet",
    network={"base_channels": 8, "norm": "batch"},
    output="chroma",
    grey="bt601",
    working_size=64,
)


@dataclass(frozen=True)
class NoisyConfig:
    """Nothing shapes this network."""


class Noisy(Generator):
    """Grey and noise through one convolution: another seed gives other colours."""

    multiple = 2
    noise_channels = 1

    def __init__(self, config: NoisyConfig) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 2, 1)

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        return [self.mix(frame_Bchw)]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        return torch.tanh(current[0])


NOISY_FAMILY = Family(
    network=Noisy, config=NoisyConfig, windows=(1,), set_up=lambda _: Setup(config=NoisyConfig())
)

NOISY = Card(
    name="noisy",
    family="noisy",
    network={},
    output="chroma",
    grey="bt601",
    working_size=64,
    window=1,
)
"""Its family has to be put into FAMILIES first."""
