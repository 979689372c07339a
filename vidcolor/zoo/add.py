"""Models from elsewhere: brought into the user's own folder, checked and whole, or not at all.

A source is a folder or a file of a model, a web address of such a file, or a repository on the
Hugging Face Hub that holds the files of a model's folder. It may also be published weights of
DDColor, of which tensors alone are read; they become a model like any other.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vidcolor.errors import ModelError, OptionsError, OutputError, VidcolorError
from vidcolor.files import DIGEST_LETTERS, digest, home, lock
from vidcolor.network.architectures.backbones import read_weights
from vidcolor.network.architectures.ddcolor import PUBLISHED_SIZE, read_ddcolor
from vidcolor.network.card import CARD, WEIGHTS, Card, read_card, write_card
from vidcolor.network.library import added_models, shipped_models
from vidcolor.network.weights import load_network, packed_card, save_model
from vidcolor.zoo.download import OnBytes, Remote, check_sha256, fetch, hub_file


@dataclass(frozen=True, kw_only=True)
class AddedModel:
    """A model that `add_model` installed."""

    folder: Path
    card: Card
    sha256: str
    """Of the file that it came in; of a folder, of the weights in it."""


@dataclass(frozen=True)
class _ModelFiles:
    weights: Path
    card: Card | None
    """None: it is not a file beside the weights."""


def add_model(
    source: str,
    *,
    name: str | None = None,
    sha256: str | None = None,
    on_bytes: OnBytes | None = None,
) -> AddedModel:
    """Install a model in the user's own folder, under a name that no other model there has.

    Args:
        source: a folder, a file, https://..., or hf://OWNER/REPOSITORY[/FILE][@REVISION].
        name: what it shall be called; default: what its card says, or a published file's own.
        sha256: what the file, or a folder's weights, must be.
        on_bytes: told how far a file from the web is.

    Raises:
        OptionsError: a name, a digest or a source that cannot be one.
        ModelError: it cannot be had, is not what `sha256` says, is damaged or of an unknown kind;
            or there is a model of its name.
        OutputError: the user's folder cannot be written, or another process is writing to it.
    """
    _check_words(name, sha256)
    with _workshop() as workshop:
        downloads = home() / "downloads" / hashlib.sha256(source.encode()).hexdigest()
        found = _find(source, sha256, downloads, on_bytes)
        card = _unpack(found, workshop)
        card = replace(card, name=name or card.name, origin=source)
        _require_free(card.name)
        write_card(card, workshop)
        load_network(workshop)
        done = AddedModel(
            folder=added_models() / card.name, card=card, sha256=digest(found.weights)
        )
        done.folder.parent.mkdir(exist_ok=True)
        workshop.rename(done.folder)
        shutil.rmtree(downloads, ignore_errors=True)
    return done


def remove_model(name: str) -> Path:
    """Remove a model that was added; return the folder that is gone.

    Raises:
        ModelError: no added model has this name.
        OutputError: the user's folder cannot be written, or another process is writing to it.
    """
    added = {folder.name: folder for folder in added_models().glob("*")}
    if name not in added:
        raise ModelError(
            f"model {name!r}: was never added, so it cannot be removed; "
            f"those added are: {', '.join(sorted(added)) or 'none'}"
        )
    with _workshop() as workshop:
        added[name].rename(workshop / name)
    return added[name]


def _check_words(name: str | None, sha256: str | None) -> None:
    if name is not None and not _is_name(name):
        raise OptionsError(f"--name {name!r}: not a name; use letters, digits, '-', '_' and '.'")
    if sha256 is not None and not re.fullmatch(rf"[0-9a-f]{{{DIGEST_LETTERS}}}", sha256):
        raise OptionsError(f"--sha256 {sha256}: not one; give its 64 digits, 0 to 9 and a to f")


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def _require_free(name: str) -> None:
    if not _is_name(name):
        raise ModelError(
            f"model {name!r}: its card has no name for a folder; give it one by --name"
        )
    for place in (added_models(), shipped_models()):
        if (place / name).exists():
            raise ModelError(
                f"model {name!r}: there is one in {place / name}; "
                "give the new one another name by --name, or remove that one"
            )


@contextmanager
def _workshop() -> Iterator[Path]:
    """Lend an empty folder beside the models, to one process at a time; what is left in it goes."""
    workshop = home() / "workshop"
    try:
        home().mkdir(parents=True, exist_ok=True)
        with (home() / "lock").open("a") as file:
            lock(file, if_held=f"{home()}: another vidcolor changes the models; wait for it")
            shutil.rmtree(workshop, ignore_errors=True)
            workshop.mkdir()
            try:
                yield workshop
            finally:
                shutil.rmtree(workshop, ignore_errors=True)
    except VidcolorError:
        raise
    except OSError as error:
        raise OutputError(
            f"{home()}: {error.strerror}; mend that, or name another folder by VIDCOLOR_HOME"
        ) from error


def _find(
    source: str, sha256: str | None, downloads: Path, on_bytes: OnBytes | None
) -> _ModelFiles:
    """Return the files of a model, from wherever they are."""
    if source.startswith("hf://"):
        return _find_on_hub(source, sha256, downloads, on_bytes)
    if source.startswith(("https://", "http://")):
        remote = Remote(address=source, now_at=source, sha256=sha256)
        return _ModelFiles(fetch(remote, downloads, on_bytes), None)
    path = Path(source)
    path = path.parent if path.name == CARD else path
    found = (
        _ModelFiles(path / WEIGHTS, read_card(path)) if path.is_dir() else _ModelFiles(path, None)
    )
    if not found.weights.is_file():
        raise ModelError(
            f"{found.weights}: no such file; give a model's folder or file, https://... or hf://..."
        )
    if sha256 is not None:
        check_sha256(found.weights, sha256)
    return found


def _find_on_hub(
    source: str, sha256: str | None, downloads: Path, on_bytes: OnBytes | None
) -> _ModelFiles:
    words = re.fullmatch(r"hf://([^/@]+/[^/@]+)(?:/([^@]+))?(?:@(.+))?", source)
    if words is None:
        raise OptionsError(f"{source}: not on the Hub; write hf://OWNER/REPOSITORY[/FILE]")
    repository, name, revision = words.groups()
    remote = hub_file(repository, name or WEIGHTS, revision)
    weights = fetch(replace(remote, sha256=sha256 or remote.sha256), downloads, on_bytes)
    if name is not None:
        return _ModelFiles(weights, None)
    return _ModelFiles(
        weights, read_card(fetch(hub_file(repository, CARD, revision), downloads).parent)
    )


def _unpack(found: _ModelFiles, workshop: Path) -> Card:
    """Bring a model's weights into the workshop, as ours are, and return its card."""
    card = found.card
    if card is None and found.weights.suffix == ".safetensors":
        card = packed_card(found.weights)
    if card is None:
        return _unpack_published(found.weights, workshop)
    shutil.copyfile(found.weights, workshop / WEIGHTS)
    return card


def _unpack_published(path: Path, workshop: Path) -> Card:
    network = read_ddcolor(read_weights(path))
    if network is None:
        raise ModelError(
            f"{path}: weights without a card, and not DDColor's; "
            "give the folder that holds card and weights"
        )
    card = Card(
        name=path.stem,
        family="ddcolor",
        network=asdict(network.config),
        output="ab",
        grey="bt601",  # a film's luma as equal R', G', B': whose lightness DDColor was shown
        working_size=PUBLISHED_SIZE,
        window=1,
    )
    save_model(card, network, workshop)
    return card
