"""What defines a network family: how its network is built, and its training defaults."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from vidcolor.errors import OptionsError
from vidcolor.network.generator import Generator
from vidcolor.options.train import PixelLoss, TrainOptions, Window
from vidcolor.options.values import Grey, Prediction

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A network and its training, as options want them."""

    config: Any
    """The family's configuration."""
    output: Prediction = "chroma"
    grey: Grey = "bt601"
    pixel_loss: PixelLoss = "l1"
    """Mean absolute or squared error; what is predicted in bins has its own loss."""
    is_conditional: bool = True
    """The discriminator sees the grey and the mask, besides the color."""
    load_published: Callable[[Generator], None] | None = None
    """Gives a fresh network the published weights that it builds on.

    Raises:
        ModelError: they cannot be had, or do not fit.
    """


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """How a network is built of what its model's card says."""

    network: Callable[[Any], Generator]
    config: type
    """Frozen dataclass that the network takes; its fields stand on the card."""


@dataclass(frozen=True, kw_only=True)
class Family(Architecture):
    """A family of networks that are trained here.

    FAMILY = Family(network=MyNetwork, config=MyConfig, windows=(1,), set_up=set_up)
    """

    windows: tuple[Window, ...]
    """Frames it can look at, 3 or 1; the first is its own choice."""
    set_up: Callable[[TrainOptions], Setup]
    """Makes network and training of options.

    Raises:
        OptionsError: an option does not go with the family.
    """


def one_of(options: TrainOptions, option: str, *allowed: Value) -> Value:
    """Return the value of an option, by default the first of `allowed`.

    Raises:
        OptionsError: the family does not support the value.
    """
    value = getattr(options, option)
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise OptionsError(
            f"--{option.replace('_', '-')} {value}: {options.model} does not support it; "
            f"use one of: {', '.join(map(str, allowed))}"
        )
    chosen: Value = value
    return chosen
