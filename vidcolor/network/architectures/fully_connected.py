"""The fully connected network of seed 001: the beginning, and a negative control.

It sees 32 x 32 pixels of grey and colors as many; what shows where is lost between its layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.color import Output
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import TrainOptions

GRID = 32
"""Height and width of what it sees and says: the pictures of CIFAR-10, which seed 001 used."""

UNITS_A_CHANNEL = 16
"""Units of a hidden layer for each of `--ngf`, which then says 1024 by default."""


@dataclass(frozen=True, kw_only=True)
class FullyConnectedConfig:
    """What shapes the network; kept on the model's card."""

    hidden_units: int = 1024
    """Of each of the two hidden layers."""
    output: Output = "chroma"
    """chroma: Cb, Cr times 2; rgb: R'G'B' times 2 minus 1, as in the original."""


class FullyConnected(Generator):
    """Three fully connected layers on a fixed grid, for frames of any size.

    network = FullyConnected(FullyConnectedConfig())
    features = network.encode(grey_B1hw)
    chroma_B2hw = network.decode(features, features, features)
    """

    multiple = 1

    def __init__(self, config: FullyConnectedConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = 3 if config.output == "rgb" else 2
        self.hidden = nn.Sequential(
            nn.Linear(GRID**2, config.hidden_units),
            nn.ReLU(),
            nn.Linear(config.hidden_units, config.hidden_units),
            nn.ReLU(),
        )
        self.head = nn.Linear(config.hidden_units, self.channels * GRID**2)

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return frames (B, 1, h, w) in [0, 1], whose size counts, and what they show (B, C)."""
        grid_B1gg = functional.adaptive_avg_pool2d(frame_B1hw, GRID)
        return [frame_B1hw, self.hidden((grid_B1gg * 2 - 1).flatten(1))]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's color, (B, 2 or 3, h, w) in [-1, 1]: the grid's, enlarged."""
        frame_B1hw, shown_BC = current
        # tanh in [-1, 1] is the original's sigmoid in [0, 1].
        grid_Bcgg = torch.tanh(self.head(shown_BC)).unflatten(1, (self.channels, GRID, GRID))
        size = frame_B1hw.shape[-2:]
        return functional.interpolate(grid_Bcgg, size, mode="bilinear", align_corners=False)


def _set_up(options: TrainOptions) -> Setup:
    is_seed = one_of(options, "preset", "default", "seed001") == "seed001"
    outputs: tuple[Output, Output] = ("rgb", "chroma") if is_seed else ("chroma", "rgb")
    output = one_of(options, "output", *outputs)
    return Setup(
        config=FullyConnectedConfig(hidden_units=UNITS_A_CHANNEL * options.ngf, output=output),
        output=output,
        pixel_loss=options.pixel_loss or "l2",
    )


FAMILY = Family(network=FullyConnected, config=FullyConnectedConfig, windows=(1,), set_up=_set_up)
