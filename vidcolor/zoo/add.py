"""Add models: download or copy them to the user's folder, checked; a failure leaves nothing.

A source is a folder or a file of a model, a web address of such a file, or a repository on the
Hugging Face Hub that holds the files of a model's folder. It may also be published weights of
DDColor, of which only tensors are read; they become a model like any other.
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
    """Of the source file; of a folder, of its weights."""


@dataclass(frozen=True)
class _ModelFiles:
    weights: Path
    card: Card | None
    """None: it is not a separate file."""


def add_model(
    source: str,
    *,
    name: str | None = None,
    sha256: str | None = None,
    on_bytes: OnBytes | None = None,
) -> AddedModel:
    """Install a model in the user's folder, under an unused name.

    Args:
        source: a folder, a file, https://..., or hf://OWNER/REPOSITORY[/FILE][@REVISION].
        name: its name; default: from its card, or the name of a published file.
        sha256: what the file, or a folder's weights, must be.
        on_bytes: called with the progress of a download.

    Raises:
        OptionsError: a name, a digest or a source is invalid.
        ModelError: it cannot be read, has another SHA-256, is damaged or of an unknown kind; or a
            model of its name exists.
        OutputError: the user's folder cannot be written, or another process is writing to it.
    """
    _check_words(name, sha256)
    with _work_folder() as work_folder:
        downloads = home() / "downloads" / hashlib.sha256(source.encode()).hexdigest()
        found = _find(source, sha256, downloads, on_bytes)
        card = _unpack(found, work_folder)
        card = replace(card, name=name or card.name, origin=source)
        _require_free(card.name)
        write_card(card, work_folder)
        load_network(work_folder)
        done = AddedModel(
            folder=added_models() / card.name, card=card, sha256=digest(found.weights)
        )
        done.folder.parent.mkdir(exist_ok=True)
        work_folder.rename(done.folder)
        shutil.rmtree(downloads, ignore_errors=True)
    return done


def remove_model(name: str) -> Path:
    """Remove a model that was added; return the removed folder.

    Raises:
        ModelError: no added model has this name.
        OutputError: the user's folder cannot be written, or another process is writing to it.
    """
    added = {folder.name: folder for folder in added_models().glob("*")}
    if name not in added:
        raise ModelError(
            f"model {name!r}: was not added, so it cannot be removed; "
            f"added models: {', '.join(sorted(added)) or 'none'}"
        )
    with _work_folder() as work_folder:
        added[name].rename(work_folder / name)
    return added[name]


def _check_words(name: str | None, sha256: str | None) -> None:
    if name is not None and not _is_name(name):
        raise OptionsError(f"--name {name!r}: is invalid; use letters, digits, '-', '_' and '.'")
    if sha256 is not None and not re.fullmatch(rf"[0-9a-f]{{{DIGEST_LETTERS}}}", sha256):
        raise OptionsError(f"--sha256 {sha256}: is invalid; give 64 digits, 0 to 9 and a to f")


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


def _require_free(name: str) -> None:
    if not _is_name(name):
        raise ModelError(f"model {name!r}: its card has no valid name; give one with --name")
    for place in (added_models(), shipped_models()):
        if (place / name).exists():
            raise ModelError(
                f"model {name!r}: already exists in {place / name}; "
                "choose another name with --name, or remove that model"
            )


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Provide an empty work folder next to the models, for one process at a time."""
    work_folder = home() / "workshop"
    try:
        home().mkdir(parents=True, exist_ok=True)
        with (home() / "lock").open("a") as file:
            lock(file, if_held=f"{home()}: another vidcolor is changing the models; wait for it")
            shutil.rmtree(work_folder, ignore_errors=True)
            work_folder.mkdir()
            try:
                yield work_folder
            finally:
                shutil.rmtree(work_folder, ignore_errors=True)
    except VidcolorError:
        raise
    except OSError as error:
        raise OutputError(
            f"{home()}: {error.strerror}; fix that, or set VIDCOLOR_HOME to another folder"
        ) from error


def _find(
    source: str, sha256: str | None, downloads: Path, on_bytes: OnBytes | None
) -> _ModelFiles:
    """Return the files of a model; download them if needed."""
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
        raise OptionsError(f"{source}: is invalid; write hf://OWNER/REPOSITORY[/FILE]")
    repository, name, revision = words.groups()
    remote = hub_file(repository, name or WEIGHTS, revision)
    weights = fetch(replace(remote, sha256=sha256 or remote.sha256), downloads, on_bytes)
    if name is not None:
        return _ModelFiles(weights, None)
    return _ModelFiles(
        weights, read_card(fetch(hub_file(repository, CARD, revision), downloads).parent)
    )


def _unpack(found: _ModelFiles, work_folder: Path) -> Card:
    """Write a model's weights to the work folder, in our format, and return its card."""
    card = found.card
    if card is None and found.weights.suffix == ".safetensors":
        card = packed_card(found.weights)
    if card is None:
        return _unpack_published(found.weights, work_folder)
    shutil.copyfile(found.weights, work_folder / WEIGHTS)
    return card


def _unpack_published(path: Path, work_folder: Path) -> Card:
    network = read_ddcolor(read_weights(path))
    if network is None:
        raise ModelError(
            f"{path}: has no card and is not a DDColor file; "
            "give the folder that has card and weights"
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
    save_model(card, network, work_folder)
    return card
