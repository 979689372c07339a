"""Models small enough to be made anew in every test."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidcolor.network.architectures.temporal_unet import TemporalUNet
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


class Embedding(TemporalUNet):
    """Tells every frame of a shot how bright the frame was that it was embedded from."""

    def embed(self, grey_B1hw):
        return grey_B1hw.mean(dim=(1, 2, 3))[:, None]

    def encode(self, frame_Bchw, embedding_BC=None):
        return super().encode(frame_Bchw * embedding_BC[:, :, None, None])


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


class Loud(Noisy):
    """A network that is fine in single precision, and overflows in half."""

    noise_channels = 0

    def __init__(self, config: NoisyConfig) -> None:
        super().__init__(config)
        self.mix = nn.Conv2d(1, 2, 1, bias=False)
        nn.init.constant_(self.mix.weight, 1e6)

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        return current[0] * 1e-7


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


class Restless(Generator):
    """Colours a frame by how it differs from its neighbours: to see whether it had them."""

    multiple = 2

    def __init__(self, config: NoisyConfig) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(8.0))

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        return [frame_Bchw]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        differences = [other[0] - current[0] for other in (previous, next_)]
        return torch.tanh(self.factor * torch.cat(differences, dim=1))


RESTLESS_FAMILY = Family(
    network=Restless, config=NoisyConfig, windows=(3,), set_up=lambda _: Setup(config=NoisyConfig())
)

RESTLESS = Card(
    name="restless",
    family="restless",
    network={},
    output="chroma",
    grey="bt601",
    working_size=64,
)
"""Its family has to be put into FAMILIES first."""
