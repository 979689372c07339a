"""The models of this machine: where they lie, and which there are."""

import os
from importlib import resources
from pathlib import Path

from vidcolor.errors import ModelError
from vidcolor.network.card import CARD


def home() -> Path:
    """Return the user's own folder: $VIDCOLOR_HOME, else vidcolor/ where XDG keeps users' data.

    Source: XDG Base Directory Specification 0.8, XDG_DATA_HOME.
    """
    return _chosen_home() or _xdg("XDG_DATA_HOME", ".local/share")


def cache() -> Path:
    """Return the folder of what can be made again: $VIDCOLOR_HOME/cache, else where XDG has caches.

    Source: XDG Base Directory Specification 0.8, XDG_CACHE_HOME.
    """
    chosen = _chosen_home()
    return chosen / "cache" if chosen else _xdg("XDG_CACHE_HOME", ".cache")


def _chosen_home() -> Path | None:
    chosen = os.environ.get("VIDCOLOR_HOME")
    return Path(chosen).expanduser().absolute() if chosen else None


def _xdg(name: str, usual: str) -> Path:
    """Return vidcolor's folder in one that XDG names, or in what it usually is."""
    folder = Path(os.environ.get(name, ""))
    # The specification has paths that are not absolute ignored.
    return (folder if folder.is_absolute() else Path.home() / usual) / "vidcolor"


def added_models() -> Path:
    """Return the folder of the models that `vidcolor models add` installs."""
    return home() / "models"


def shipped_models() -> Path:
    """Return the folder of the models that vidcolor brings along."""
    return Path(str(resources.files("vidcolor.models")))


def find_model(name: str) -> Path:
    """Return the folder of a model: a path, else a name in ./models, added, or shipped.

    Raises:
        ModelError: there is none; the message lists those there are.
    """
    for place in (Path(name), *(place / name for place in _places())):
        if (place / CARD).is_file():
            return place
    known = ", ".join(sorted(folder.name for folder in list_models()))
    raise ModelError(
        f"model {name!r}: no model of that name; there are: {known or 'none'}; "
        "give the folder that `vidcolor train` wrote, or get one by `vidcolor models add`"
    )


def list_models() -> list[Path]:
    """Return the folders of the models that have a name, as `find_model` finds them."""
    found: dict[str, Path] = {}
    for place in _places():
        for card in sorted(place.glob(f"*/{CARD}")):
            found.setdefault(card.parent.name, card.parent)
    return list(found.values())


def _places() -> tuple[Path, ...]:
    return Path("models"), added_models(), shipped_models()
