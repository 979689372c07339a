"""Models small enough to be built again in every test."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vidcolor.network.architectures.temporal_unet import TemporalUNet
from vidcolor.network.card import Card
from vidcolor.network.families import ARCHITECTURES, FAMILIES
from vidcolor.network.family import Family, Setup
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

TINY = Card(
    name="tiny",
    family="temporal-unet",
    network={"base_channels": 8, "norm": "batch"},
    output="chroma",
    grey="bt601",
    working_size=64,
)

SMALL = TrainOptions(
    dataset="drawn", size=64, batch_size=2, ngf=8, ndf=8,
    backbone="squeezenet1_1", random_backbone=True,
)  # fmt: skip
"""Options of which every family makes a small network, but for those below."""
SMALLER: dict[str, dict[str, Any]] = {
    "squeeze-unet": {"widths": (16, 8, 8)},
    "efficient-unet": {"lite": 0, "widths": (32, 16, 16, 8)},
    "ddcolor": {"encoder_name": "convnext-t", "num_queries": 8, "dec_layers": 1},
}
"""What else makes a network small, by its family or architecture."""


def small_setup(family: str, **changes: Any) -> tuple[TrainOptions, Setup]:
    """Return a family's smallest network that has all its parts, and the options it came from."""
    values: dict[str, Any] = {"model": family} | changes
    options = replace(SMALL, **values)
    setup = FAMILIES[options.model].set_up(options)
    return options, replace(setup, config=replace(setup.config, **SMALLER.get(family, {})))


def small_card(name: str, **changes: Any) -> Card:
    """Return the card of a family's, or of a wrapped architecture's, smallest network.

    Args:
        name: key of FAMILIES or ARCHITECTURES.
        changes: of the options that a family is set up by.
    """
    if name in ARCHITECTURES:
        config = ARCHITECTURES[name].config(**SMALLER.get(name, {}))
        window, setup = 1, Setup(config=config, output="ab")
    else:
        options, setup = small_setup(name, **changes)
        window = FAMILIES[options.model].windows[0]
    return Card(
        name=name,
        family=name,
        network=asdict(setup.config),
        output=setup.output,
        grey=setup.grey,
        working_size=SMALL.size,
        window=window,
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
    """Grey and noise through one convolution: another seed gives other colors."""

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
    """Colors a frame by how it differs from its neighbours: to see whether it had them."""

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
