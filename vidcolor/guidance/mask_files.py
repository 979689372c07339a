"""The masks of a film: drawn once, or read from a picture, a film or a folder of pictures.

A mask belongs to a film's frame by time, counted from the first frame of both: the one that is
shown then, to half a frame. So a run may start anywhere, frames may have any duration, and a mask
film with a lower frame rate holds each frame as long as a player would. The pictures of a
folder have the film's frame rate.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from vidcolor.errors import InputError, OptionsError
from vidcolor.guidance.mask_shapes import Mask, shape_from_text
from vidcolor.guidance.sidecar import ShotSettings, Sidecar
from vidcolor.media.decode import Frame, read_frames, unit_luma
from vidcolor.media.image_sequence import PICTURE_SUFFIXES
from vidcolor.media.orientation import orientation, stored_from_shown
from vidcolor.media.probe import Film, probe
from vidcolor.media.source import find_source
from vidcolor.options.render import ColorOptions
from vidcolor.options.values import labels_from_text

log = logging.getLogger(__name__)

CLEAN_LEVELS = 16 / 255
"""Tolerance around black and white, for lossy files."""

LOOK_BACK_SECONDS = 1
"""How far before a moment its mask is searched, before the whole file is."""


MOST_LABELS = 20
"""Labels that a warning lists."""


class Masks(Protocol):
    """The masks of one film."""

    def at(self, seconds: Fraction) -> Mask:
        """Return the mask (h, w) of the frame that is shown so long after the film's first."""


@dataclass(frozen=True)
class MaskSource:
    """Where a mask comes from: words that describe it, or what was found in its files."""

    text: str | None = None
    """As the user wrote it; None: all is colored."""
    film: Film | None = field(default=None, repr=False)
    """What `probe` found in the picture, film or folder that the text names; None: words."""
    labels: tuple[int, ...] | None = None
    """Luma codes of the mask that are colored; None: it is black and white."""


@dataclass(frozen=True)
class MaskSources:
    """The masks of a film. It can be pickled."""

    option: MaskSource = field(default_factory=MaskSource)
    """That of `--mask`."""
    by_text: Mapping[str, MaskSource] = field(default_factory=dict)
    """Those of the shots whose settings name one."""

    @property
    def films(self) -> list[Film]:
        """What was found in the files of all masks."""
        sources = (self.option, *self.by_text.values())
        return [source.film for source in sources if source.film is not None]


def find_masks(film: Film, options: ColorOptions, sidecar: Sidecar) -> MaskSources:
    """Return the masks that `--mask` and the film's sidecar name; their files are probed.

    Raises:
        InputError: a file cannot be read, or has colors instead of labels.
        OptionsError: the text is not a valid mask, or has no labels to pick.
    """
    named = dict.fromkeys(shot.mask for shot in sidecar.shots if shot.mask is not None)
    by_text = {text: _mask_source(text, film, options) for text in named}
    return MaskSources(_mask_source(options.mask, film, options), by_text)


def _mask_source(text: str | None, film: Film, options: ColorOptions) -> MaskSource:
    if text is None:
        return MaskSource()
    if shape_from_text(text) is None:
        labels = None if options.pick is None else labels_from_text(options.pick)
        with _as_mask():
            masks = _mask_film(Path(text), film, options.max_pixels)
            return MaskSource(text, masks if labels is None else _labelled(masks), labels)
    if options.pick is not None:
        raise OptionsError(
            f"--pick {options.pick}: {text} has no labels; give a file of them as --mask"
        )
    return MaskSource(text)


def _mask_film(path: Path, film: Film, max_pixels: int) -> Film:
    """Return what is found in a mask's files; pictures are shown at the film's own rate."""
    is_picture = find_source(path).files[0].suffix.lower() in PICTURE_SUFFIXES
    return probe(path, rate=film.rate if is_picture else None, max_pixels=max_pixels)


def open_masks(film: Film, sources: MaskSources, sidecar: Sidecar) -> Masks:
    """Return the masks of a film's frames.

    Args:
        film: what is colored.
        sources: what `find_masks` found.
        sidecar: says which shots have a mask of their own.
    """
    own = {
        shot: _opened(sources.by_text[shot.mask], film)
        for shot in sidecar.shots
        if shot.mask is not None
    }
    return _MasksOfShots(film, sidecar, own, _opened(sources.option, film))


def _opened(source: MaskSource, film: Film) -> Masks:
    if source.film is not None:
        return _MasksInFiles(source.film, source.labels, film)
    draw = None if source.text is None else shape_from_text(source.text)
    if draw is None:
        return _DrawnMask(np.ones((1, 1), np.float32))
    return _DrawnMask(stored_from_shown(draw(*shown_size(film)), film.display_matrix))


class _MasksOfShots:
    """Uses for each frame the mask of its shot, if the sidecar sets one."""

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
    """Reads forward, as a film is rendered; going back opens the files again."""

    def __init__(self, masks: Film, labels: tuple[int, ...] | None, film: Film) -> None:
        files = masks.source.files
        self._is_still = len(files) == 1 and files[0].suffix.lower() in PICTURE_SUFFIXES
        self._labels, self._masks, self._film = labels, masks, film
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
                "end", f"ends at {float(self._ends):.2f} s; its last picture is used from there on"
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
        raise InputError(f"--mask {self._masks.path}: no frame can be read; create it again")

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
        InputError: it holds colors.
    """
    if masks.pix_fmt == "pal8":
        return replace(masks, planar_format="pal8")
    if masks.is_rgb:
        raise InputError(
            f"{masks.path}: has colors ({masks.pix_fmt}), not labels; make it grey, or a "
            "picture with a palette"
        )
    return masks


def shown_size(film: Film) -> tuple[int, int]:
    """Return height and width of the film as displayed."""
    is_turned = orientation(film.display_matrix).is_turned
    return (film.width, film.height) if is_turned else (film.height, film.width)
