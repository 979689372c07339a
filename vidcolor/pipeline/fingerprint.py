"""The fingerprint of a render: film, model, options and versions, which decide its frames."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import av

from vidcolor._version import __version__
from vidcolor.files import digest
from vidcolor.guidance.mask_files import MaskSource
from vidcolor.guidance.open_guidance import Guidance
from vidcolor.guidance.reference_images import GivenPicture
from vidcolor.media.probe import Film
from vidcolor.network.card import CARD, WEIGHTS
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import Fingerprint

ELSEWHERE = ("model", "device", "overwrite", "restart", "strict", "verify", "report", "max_pixels",
             "batch", "min_size", "mask", "reference", "hints", "scenes",
             "sidecar", "workers", "ray", "store", "worker_gpus", "worker_cpus")  # fmt: skip
"""Options that do not decide the frames, or not by their value: they may differ on resume."""
WHOLE_BYTES = 1 << 28
"""Films up to this size are hashed completely (a quarter of a second), larger ones in samples."""
PLACES = 64
PLACE_BYTES = 1 << 20


def fingerprint(film: Film, options: RenderOptions, model: Path, guidance: Guidance) -> Fingerprint:
    """Return what must be the same for a render to resume, by its name for users.

    Args:
        film: what is rendered.
        options: with an engine.
        model: its folder.
        guidance: what is given for the film.
    """
    chosen = {
        f"--{name.replace('_', '-')}": value
        for name, value in asdict(options).items()
        if name not in ELSEWHERE
    }
    return {
        "film": content_digest(film.source.files),
        "model": digest_of_model(model),
        "mask": _digest_of_mask(guidance.masks.option),
        "list of shots": "" if guidance.scenes is None else guidance.scenes.sha256,
        "sidecar": _digest_of_sidecar(guidance),
        "reference": _digest_of_pictures(guidance.pictures),
        "hints": guidance.hints.sha256,
        **chosen,
        "vidcolor": __version__,
        "PyAV": av.__version__,
    }


def digest_of_model(folder: Path) -> str:
    """Return a SHA-256 of a model's card and weights; of either, nothing if it is not there."""
    model = hashlib.sha256()
    for name in (CARD, WEIGHTS):
        model.update(digest(folder / name).encode() if (folder / name).is_file() else b"")
    return model.hexdigest()


def _digest_of_mask(mask: MaskSource) -> str:
    """Return a SHA-256 of a mask's text, or of its files' content, as of a film's."""
    if mask.film is None:
        return hashlib.sha256(os.fsencode(mask.text or "")).hexdigest()
    return content_digest(mask.film.source.files)


def _digest_of_sidecar(guidance: Guidance) -> str:
    """Return a SHA-256 of a sidecar and of its masks; empty without a sidecar."""
    if guidance.sidecar.path is None:
        return ""
    masks = sorted(map(_digest_of_mask, guidance.masks.by_text.values()))
    return hashlib.sha256(" ".join([guidance.sidecar.sha256, *masks]).encode()).hexdigest()


def _digest_of_pictures(pictures: Sequence[GivenPicture]) -> str:
    """Return a SHA-256 of the times and the content of pictures."""
    words = sorted(f"{picture.seconds} {picture.sha256}" for picture in pictures)
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def content_digest(files: Sequence[Path]) -> str:
    """Return a SHA-256 of a film's size and content; of a large film, of PLACES samples.

    Films are not edited in place: an edit changes the size, the start or the end. So a long film
    need not be read twice. For picture sequences, names, sizes and dates are hashed instead.
    """
    whole = hashlib.sha256()
    if len(files) > 1:
        for file in files:
            stat = file.stat()
            whole.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns} ".encode())
        return whole.hexdigest()
    size = files[0].stat().st_size
    whole.update(f"{size} ".encode())
    with files[0].open("rb") as film:
        for start, length in _places(size):
            film.seek(start)
            whole.update(film.read(length))
    return whole.hexdigest()


def _places(size: int) -> Iterator[tuple[int, int]]:
    if size <= WHOLE_BYTES:
        yield 0, size
        return
    for place in range(PLACES):
        yield (size - PLACE_BYTES) * place // (PLACES - 1), PLACE_BYTES
