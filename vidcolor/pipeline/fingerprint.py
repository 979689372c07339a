"""What decides the frames of a result: the film, the model, the options and the versions."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import av

from vidcolor._version import __version__
from vidcolor.errors import InputError
from vidcolor.files import digest
from vidcolor.guidance.hints import digest_of_hints
from vidcolor.guidance.mask_shapes import shape_from_text
from vidcolor.guidance.open_guidance import digest_of_pictures
from vidcolor.guidance.sidecar import open_sidecar, sidecar_path
from vidcolor.media.probe import Film
from vidcolor.media.source import find_source
from vidcolor.network.card import CARD, WEIGHTS
from vidcolor.network.library import find_model
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import Fingerprint

ELSEWHERE = ("model", "device", "overwrite", "restart", "strict", "verify", "report", "max_pixels",
             "batch", "min_size", "mask", "reference", "hints", "scenes",
             "sidecar", "workers", "ray", "store", "worker_gpus", "worker_cpus")  # fmt: skip
"""Options that don't decide the frames, or not by their value: a render may go on without them."""
WHOLE_BYTES = 1 << 28
"""Films up to this size are read whole (a quarter of a second), larger ones in places."""
PLACES = 64
PLACE_BYTES = 1 << 20


def fingerprint(film: Film, options: RenderOptions) -> Fingerprint:
    """Return what must be the same for a render to go on, by its name for users.

    Raises:
        InputError: there is no such mask, reference, file of hints, list of shots or sidecar.
        OptionsError: the time of a reference cannot be meant.
        ModelError: there is no such model.
    """
    chosen = {
        f"--{name.replace('_', '-')}": value
        for name, value in asdict(options).items()
        if name not in ELSEWHERE
    }
    folder = find_model(options.model)
    model = hashlib.sha256()
    for name in (CARD, WEIGHTS):
        model.update(digest(folder / name).encode() if (folder / name).is_file() else b"")
    return {
        "film": content_digest(film.source.files),
        "model": model.hexdigest(),
        "mask": _mask_digest(options.mask),
        "list of shots": _scenes_digest(options.scenes),
        "sidecar": _sidecar_digest(film, options),
        "reference": digest_of_pictures(options, film),
        "hints": digest_of_hints(options.hints),
        **chosen,
        "vidcolor": __version__,
        "PyAV": av.__version__,
    }


def _mask_digest(mask: str | None) -> str:
    """Return a SHA-256 of a mask's words, or of its files' content, as of a film's."""
    if mask is None or shape_from_text(mask) is not None:
        return hashlib.sha256(os.fsencode(mask or "")).hexdigest()
    return content_digest(find_source(Path(mask)).files)


def _scenes_digest(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return digest(path)
    except OSError as error:
        raise InputError(f"--scenes {path}: {error.strerror}; check the name") from error


def _sidecar_digest(film: Film, options: RenderOptions) -> str:
    """Return a SHA-256 of a sidecar and of the masks that it names; nothing if there is none."""
    path = sidecar_path(film, options)
    if path is None:
        return ""
    masks = {shot.mask for shot in open_sidecar(film, options).shots if shot.mask is not None}
    words = [digest(path), *sorted(_mask_digest(mask) for mask in masks)]
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def content_digest(files: Sequence[Path]) -> str:
    """Return a SHA-256 of a film's size and content, of a large one in PLACES places.

    Films are not written to in place: what makes another film of one moves its size or its ends.
    So hours of it need not be read twice. Of many pictures, the names, sizes and dates stand for
    the content.
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
