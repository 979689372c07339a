"""The models of this machine: where they are, and which ones exist."""

from importlib import resources
from pathlib import Path

from vidcolor.errors import ModelError
from vidcolor.files import home
from vidcolor.network.card import CARD


def added_models() -> Path:
    """Return the folder of the models that `vidcolor models add` installs."""
    return home() / "models"


def shipped_models() -> Path:
    """Return the folder of the models that vidcolor brings along."""
    return Path(str(resources.files("vidcolor.models")))


def find_model(name: str) -> Path:
    """Return the folder of a model: a path, else a name in ./models, added, or shipped.

    Raises:
        ModelError: it does not exist; the message lists the existing ones.
    """
    for place in (Path(name), *(place / name for place in _places())):
        if (place / CARD).is_file():
            return place
    known = ", ".join(sorted(folder.name for folder in list_models()))
    raise ModelError(
        f"model {name!r}: not found (available: {known or 'none'}); "
        "give a folder that `vidcolor train` wrote, or add one with `vidcolor models add`"
    )


def list_models() -> list[Path]:
    """Return the folders of all named models, as `find_model` finds them."""
    found: dict[str, Path] = {}
    for place in _places():
        for card in sorted(place.glob(f"*/{CARD}")):
            found.setdefault(card.parent.name, card.parent)
    return list(found.values())


def _places() -> tuple[Path, ...]:
    return Path("models"), added_models(), shipped_models()
