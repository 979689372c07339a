"""The masks of a film: drawn once, or read from a picture, a film or a folder of pictures.

A mask belongs to a film's frame by time, counted from the first frame of both: the one that is
shown then, to half a frame. So a run may begin anywhere, frames may be of any length, and a mask
film of fewer frames a second holds each of them as long as a player would. The pictures of a
folder are shown at the film's own rate.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from vidcolor.errors import InputError, OptionsError
from vidcolor.guidance.mask_shapes import Mask, shape_from_text
from vidcolor.guidance.sidecar import ShotSettings, Sidecar, open_sidecar
from vidcolor.media.decode import Frame, read_frames, unit_luma
from vidcolor.media.image_sequence import PICTURE_SUFFIXES
from vidcolor.media.orientation import orientation, stored_from_shown
from vidcolor.media.probe import Film, probe
from vidcolor.media.source import find_source
from vidcolor.options.render import ColorOptions
from vidcolor.options.values import labels_from_text

log = logging.getLogger(__name__)

CLEAN_LEVELS = 16 / 255
"""How far from black and white still is black and white: what lossy files make of both."""

LOOK_BACK_SECONDS = 1
"""How long before a moment the mask that is shown then is looked for, before the whole film is."""


MOST_LABELS = 20
"""Labels that a warning lists."""


class Masks(Protocol):
    """The masks of one film."""

    def at(self, seconds: Fraction) -> Mask:
        """Return the mask (h, w) of the frame that is shown so long after the film's first."""


def open_masks(film: Film, options: ColorOptions) -> Masks:
    """Return the masks that `--mask` and the film's sidecar name, or white ones.

    Raises:
        InputError: a file cannot be read, or holds colours where it should hold labels.
        OptionsError: words describe no mask, or have no labels to pick.
    """
    sidecar = open_sidecar(film, options)
    own = {
        shot: _masks(film, replace(options, mask=shot.mask))
        for shot in sidecar.shots
        if shot.mask is not None
    }
    return _MasksOfShots(film, sidecar, own, _masks(film, options))


def _masks(film: Film, options: ColorOptions) -> Masks:
    if options.mask is None:
        return _DrawnMask(np.ones((1, 1), np.float32))
    draw = shape_from_text(options.mask)
    if draw is None:
        with _as_mask():
            return _MasksInFiles(Path(options.mask), film, options)
    if options.pick is not None:
        raise OptionsError(
            f"--pick {options.pick}: {options.mask} has no labels; give a file of them as --mask"
        )
    return _DrawnMask(stored_from_shown(draw(*shown_size(film)), film.display_matrix))


class _MasksOfShots:
    """Asks for each frame the masks of its shot, where the sidecar names some."""

    def __init__(
        self, film: Film, sidecar: Sidecar, own: Mapping[ShotSettings, Masks], others: Masks
    ) -> None:
        self._first_seconds = film.first_pts * film.time_base - film.start_seconds
        self._sidecar, self._own, self._others = sidecar, own, others

    def at(self, seconds: Fraction) -> Mask:
        shot = self._sidecar.at(self._first_seconds + seconds)
        masks = self._others if shot is None else self._own.get(shot, self._others)
        return masks.at(seconds)


@contextmanager
def _as_mask() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"--mask {error}") from error


class _DrawnMask:
    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def at(self, seconds: Fraction) -> Mask:
        return self._mask


class _MasksInFiles:
    """Reads forward, as a film is rendered; a moment before the last one opens the files anew."""

    def __init__(self, path: Path, film: Film, options: ColorOptions) -> None:
        files = find_source(path).files
        is_picture = files[0].suffix.lower() in PICTURE_SUFFIXES
        masks = probe(path, rate=film.rate if is_picture else None, max_pixels=options.max_pixels)
        self._is_still = is_picture and len(files) == 1
        self._labels = None if options.pick is None else labels_from_text(options.pick)
        self._masks = masks if self._labels is None else _labelled(masks)
        self._film = film
        self._half_frame = 1 / film.rate / 2 if film.rate else Fraction(0)
        self._moment: Fraction | None = None
        self._frames: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        self._warned: set[str] = set()

    def at(self, seconds: Fraction) -> Mask:
        moment = seconds + self._half_frame
        if self._moment is None or moment < self._moment:
            self._open(moment)
        self._moment = moment
        newest = None
        while self._next is not None and self._time_of(self._next) <= moment:
            newest, self._next = self._next, next(self._frames, None)
        if newest is not None:
            self._mask, self._ends = self._read(newest), self._time_of(newest) + self._span(newest)
        if self._next is None and not self._is_still and moment >= self._ends + self._half_frame:
            self._warn(
                "end", f"ends at {float(self._ends):.2f} s; its last picture holds from there on"
            )
        return self._mask

    def _open(self, moment: Fraction) -> None:
        """Make `_next` a mask that is shown at a moment or, if there is one, before."""
        begins = self._masks.first_pts * self._masks.time_base - self._masks.start_seconds
        for start in (max(Fraction(0), moment - LOOK_BACK_SECONDS), Fraction(0)):
            self._frames = read_frames(self._masks, start=begins + start)
            self._next = next(self._frames, None)
            if self._next is not None and self._time_of(self._next) <= moment:
                return
        raise InputError(f"--mask {self._masks.path}: no frame of it can be read; make it anew")

    def _time_of(self, frame: Frame) -> Fraction:
        return (frame.pts - self._masks.first_pts) * frame.time_base

    def _span(self, frame: Frame) -> Fraction:
        if frame.duration:
            return frame.duration * frame.time_base
        return 1 / self._masks.rate if self._masks.rate else Fraction(0)

    def _read(self, frame: Frame) -> Mask:
        seconds = float(self._time_of(frame))
        mask_hw = self._clean(frame) if self._labels is None else self._picked(frame, seconds)
        if not mask_hw.any():
            self._warn("white", f"nothing in it is white at {seconds:.2f} s; the film stays grey")
        is_turned_alike = self._masks.display_matrix == self._film.display_matrix
        if is_turned_alike:
            return mask_hw
        return stored_from_shown(mask_hw, self._film.display_matrix)

    def _clean(self, frame: Frame) -> Mask:
        unit_hw = (unit_luma(frame) - CLEAN_LEVELS) / (1 - 2 * CLEAN_LEVELS)
        mask_hw: Mask = np.clip(unit_hw, 0, 1, dtype=np.float32)
        return mask_hw

    def _picked(self, frame: Frame, seconds: float) -> Mask:
        assert self._labels is not None
        there = np.unique(frame.luma).tolist()
        for label in sorted(set(self._labels) - set(there)):
            known = ", ".join(map(str, there[:MOST_LABELS]))
            self._warn(
                f"label {label}", f"label {label} is not in it at {seconds:.2f} s; it has {known}"
            )
        return np.isin(frame.luma, self._labels).astype(np.float32)

    def _warn(self, about: str, sentence: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            log.warning("--mask %s: %s", self._masks.path, sentence)


def _labelled(masks: Film) -> Film:
    """Return a film of labels so that its luma codes are the labels: of a palette, its indices.

    Raises:
        InputError: it holds colours.
    """
    if masks.pix_fmt == "pal8":
        return replace(masks, planar_format="pal8")
    if masks.is_rgb:
        raise InputError(
            f"{masks.path}: holds colours ({masks.pix_fmt}), not labels; make it grey, or a "
            "picture with a palette"
        )
    return masks


def shown_size(film: Film) -> tuple[int, int]:
    """Return height and width of the film as a player shows it."""
    is_turned = orientation(film.display_matrix).is_turned
    return (film.width, film.height) if is_turned else (film.height, film.width)
