"""A model's card: what the network is, what it eats, what it was trained on, how good it is.

A model is a folder with `card.toml`, `weights.safetensors` and, where people are to read it, a
page. The card alone says how to rebuild the network; weights that do not fit it are refused. Cards
are read without torch.
"""

import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import tomli_w

from vidcolor.errors import ModelError
from vidcolor.files import atomic_write, toml_fault
from vidcolor.options.values import Grey, Prediction

if TYPE_CHECKING:
    from vidcolor.network.family import Architecture
    from vidcolor.network.generator import Generator

CARD, WEIGHTS = "card.toml", "weights.safetensors"
"""The files that a model is."""
MAX_SATURATION = 4
"""Of a card, as of `--saturation`: above it all colors are at the gamut's border."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What `card.toml` holds."""

    name: str
    """The model's name."""
    family: str
    """Key of `families.FAMILIES`, or of its ARCHITECTURES."""
    network: dict[str, Any]
    """Fields of the family's config dataclass."""
    output: Prediction
    """chroma: Cb, Cr times 2; rgb: R'G'B' times 2 minus 1; ab: CIE a*, b* / 110; bins: logits."""
    grey: Grey
    """What the network was shown as grey."""
    working_size: int
    """Short side at which the network sees a film, pixels."""
    window: int = 3
    """Frames the network was trained to look at: 3, or 1 for a network without neighbours."""
    saturation: float = 1.0
    """What the network's chroma is multiplied by: one that was taught to be calm is pale."""
    licence: str = "unstated"
    """Licence of the weights."""
    training: dict[str, Any] = field(default_factory=dict)
    """What it was trained on, and how: for people."""
    scores: dict[str, Any] = field(default_factory=dict)
    """What `vidcolor evaluate` found: for people."""
    origin: str = ""
    """What `vidcolor models add` was given; empty where the model was made here."""

    def build_network(self) -> "Generator":
        """Return the network with fresh weights.

        Raises:
            ModelError: the family is unknown, its configuration does not fit, or a package that
                it needs is not installed.
        """
        from vidcolor.network.families import ARCHITECTURES, FAMILIES

        if self.family in FAMILIES:
            family: Architecture = FAMILIES[self.family]
        elif self.family in ARCHITECTURES:
            family = ARCHITECTURES[self.family]
        else:
            raise ModelError(
                f"model {self.name!r}: no network is called {self.family!r}; "
                f"this version knows {', '.join((*FAMILIES, *ARCHITECTURES))}"
            )
        values = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in self.network.items()
        }
        try:
            return family.network(family.config(**values))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"model {self.name!r}: its card does not fit {self.family}: {error}; "
                "take the card that came with the weights"
            ) from error


def read_card(folder: Path) -> Card:
    """Return the card of a model's folder.

    Raises:
        ModelError: there is no card, or it has missing or unknown keys.
    """
    path = folder / CARD
    try:
        return card_from_text(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: is not a model, it has no card.toml") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: is not a valid card: {error}") from error


def card_from_text(text: str, path: Path) -> Card:
    """Return the card that a text holds.

    Args:
        text: TOML.
        path: the file that it was in.

    Raises:
        ModelError: it lacks or misspells something.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path}: {toml_fault(error)}") from error
    known = {item.name for item in fields(Card)}
    unknown = sorted(set(values) - known)
    missing = sorted({"family", "network", "output", "grey", "working_size", "name"} - set(values))
    if unknown or missing:
        complaint = "; ".join(
            f"{word} {', '.join(names)}"
            for word, names in (("lacks", missing), ("has unknown", unknown))
            if names
        )
        raise ModelError(f"{path}: {complaint}; was it written by another version?")
    _check_choices(path, values)
    return Card(**values)


def _check_choices(path: Path, values: dict[str, Any]) -> None:
    choices = {"output": get_args(Prediction), "grey": get_args(Grey), "window": (1, 3)}
    for key, allowed in choices.items():
        if key in values and values[key] not in allowed:
            raise ModelError(
                f"{path}: {key} is {values[key]!r}; it can be {', '.join(map(str, allowed))}"
            )
    saturation = values.get("saturation", 1.0)
    if not isinstance(saturation, int | float) or not 0 < saturation <= MAX_SATURATION:
        raise ModelError(
            f"{path}: saturation is {saturation!r}; it can be above 0 and up to {MAX_SATURATION}"
        )


def text_from_card(card: Card) -> str:
    """Return the card as TOML."""
    return tomli_w.dumps(asdict(card))


def write_card(card: Card, folder: Path) -> None:
    """Write `card.toml` to the folder, atomically."""
    with atomic_write(folder / CARD) as draft:
        draft.write_text(text_from_card(card), encoding="utf-8")
