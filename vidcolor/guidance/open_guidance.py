"""What the user gives a render: the frames of `--reference` and `--hints`, each with its shot."""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial

from vidcolor.files import digest
from vidcolor.guidance.exemplar import Given, Known, Layer
from vidcolor.guidance.find_frames import FoundFrame, find_shown
from vidcolor.guidance.hints import Hint, known_of_hints, read_hints
from vidcolor.guidance.reference_images import (
    GivenPicture,
    given_pictures,
    is_coloured,
    known_of_picture,
)
from vidcolor.media.decode import Frame, read_frames
from vidcolor.media.probe import Film
from vidcolor.options.render import ColorOptions
from vidcolor.shots.csv_list import read_scenes
from vidcolor.shots.luma import luma_at, shot_luma
from vidcolor.shots.segments import PlacedFrame, divide

log = logging.getLogger(__name__)

MOST_PICTURES = 4
"""Pictures that a frame is matched with: each shows all of its shot, a fifth tells little more.
Of hints none may be left out, for each tells of a place of its own."""


def open_given(
    film: Film,
    options: ColorOptions,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
) -> list[Layer]:
    """Return the frames whose colours `--reference`, the sidecar and `--hints` give.

    The film is read once up to the end of the last shot that one of them is of: which shot that
    is must be known from its first frame on, wherever a run begins.

    Args:
        film: what is rendered.
        options: name the pictures and the file of hints.
        start: the first moment that is, seconds from `film.start_seconds`; None: the beginning.
        end: the last one, not included; None: the end.

    Raises:
        InputError: a picture, the file of hints or the film cannot be read.
        OptionsError: a time or a hint cannot be meant.
    """
    pictures = [p for p in given_pictures(options, film) if _has_colour(p)]
    hints = {} if options.hints is None else read_hints(options.hints, film)
    moments = {*hints, *(p.seconds for p in pictures if p.seconds is not None and not p.shot)}
    shown = _shown_at(moments, film, _places(film, options, start, end)) if moments else {}
    coloured = [
        _given_picture(picture, film, shown)
        for picture in pictures
        if picture.seconds is None or picture.shot or picture.seconds in shown
    ]
    hinted = [
        Given(partial(_hinted, hints[moment], film, at.seconds), at.seconds, at.shot)
        for moment, at in shown.items()
        if moment in hints
    ]
    layers = (Layer(coloured, MOST_PICTURES), Layer(hinted, len(hinted)))
    return [layer for layer in layers if layer.given]


def _places(
    film: Film, options: ColorOptions, start: Fraction | None, end: Fraction | None
) -> Iterator[PlacedFrame[Frame]]:
    frames = read_frames(film, start=start, end=end)
    scenes = None if options.scenes is None else read_scenes(options.scenes, film)
    return divide(
        frames, luma=shot_luma, starts_shot=None if scenes is None else scenes.starts_shot
    )


def _has_colour(picture: GivenPicture) -> bool:
    if is_coloured(picture):
        return True
    log.warning("--reference %s: has no colour yet; left out", picture.path)
    return False


def _shown_at(
    moments: Collection[Fraction], film: Film, places: Iterator[PlacedFrame[Frame]]
) -> dict[Fraction, FoundFrame]:
    """Return what is shown at each moment, as `--start` counts, that is rendered; say of others."""
    log.info("%s: looking for the shots of the colours that are given", film.path)
    half_frame = 1 / film.rate / 2 if film.rate else Fraction(0)
    on_film = {moment: film.start_seconds + moment for moment in moments}
    shown = find_shown(places, on_film.values(), half_frame)
    for moment in sorted(moments):
        if on_film[moment] not in shown:
            log.warning(
                "%s: nothing is rendered at %.3f s; the colours given for it are left out",
                film.path,
                moment,
            )
    return {m: shown[clock] for m, clock in on_film.items() if clock in shown}


def _given_picture(
    picture: GivenPicture, film: Film, shown: Mapping[Fraction, FoundFrame]
) -> Given:
    known = partial(known_of_picture, picture, film)
    if picture.seconds is None:
        return Given(known, None, picture.shot)
    if picture.shot is not None:
        return Given(known, film.start_seconds + picture.seconds, picture.shot)
    return Given(known, shown[picture.seconds].seconds, shown[picture.seconds].shot)


def _hinted(hints: Sequence[Hint], film: Film, seconds: Fraction, height: int, width: int) -> Known:
    frame = next(read_frames(film, start=seconds - film.start_seconds))
    return known_of_hints(hints, film, luma_at(frame, height, width))


def digest_of_pictures(options: ColorOptions, film: Film) -> str:
    """Return a SHA-256 of the content and the times of the pictures that are given.

    Raises:
        InputError: there is no such picture.
        OptionsError: a time cannot be meant.
    """
    pictures = given_pictures(options, film)
    words = sorted(f"{picture.seconds} {digest(picture.path)}" for picture in pictures)
    return hashlib.sha256(" ".join(words).encode()).hexdigest()
