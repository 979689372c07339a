"""What the user gives for a film: its files, each read once, and the colors in them.

guidance = read_guidance(film, options)
layers = open_given(film, guidance)
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

from vidcolor.guidance.exemplar import Given, Known, Layer
from vidcolor.guidance.find_frames import FoundFrame, find_shown
from vidcolor.guidance.hints import Hint, HintFile, known_of_hints, read_hints
from vidcolor.guidance.mask_files import Masks, MaskSources, find_masks, open_masks
from vidcolor.guidance.reference_images import (
    GivenPicture,
    given_pictures,
    is_colored,
    known_of_picture,
)
from vidcolor.guidance.sidecar import Sidecar, open_sidecar
from vidcolor.media.decode import Frame, read_frames
from vidcolor.media.probe import Film
from vidcolor.options.render import ColorOptions
from vidcolor.shots.csv_list import SceneList, read_scenes
from vidcolor.shots.luma import luma_at, shot_luma
from vidcolor.shots.segments import PlacedFrame, divide

log = logging.getLogger(__name__)

MOST_PICTURES = 4
"""References that a frame is matched with: each covers its whole shot, so a fifth adds little.
All hints are used, because each is about one place."""


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """What the user gives for a film, as it was when a run began. It can be pickled.

    Small files are parsed, and their digests are of the very bytes that were. Pictures, and the
    films and pictures of masks, are read again when they are needed.
    """

    sidecar: Sidecar = field(default_factory=Sidecar)
    masks: MaskSources = field(default_factory=MaskSources)
    pictures: tuple[GivenPicture, ...] = ()
    """Of `--reference` and of the sidecar."""
    hints: HintFile = field(default_factory=HintFile)
    scenes: SceneList | None = None
    """When shots begin; None: they are found by their look."""

    def open_masks(self, film: Film) -> Masks:
        """Return the masks of the film's frames."""
        return open_masks(film, self.masks, self.sidecar)


def read_guidance(film: Film, options: ColorOptions) -> Guidance:
    """Read every file that the options name for a film, once.

    Raises:
        InputError: a file cannot be read, or is not what it should be.
        OptionsError: it is invalid.
    """
    sidecar = open_sidecar(film, options)
    return Guidance(
        sidecar=sidecar,
        masks=find_masks(film, options, sidecar),
        pictures=tuple(given_pictures(options.reference, film, sidecar)),
        hints=HintFile() if options.hints is None else read_hints(options.hints, film),
        scenes=None if options.scenes is None else read_scenes(options.scenes),
    )


def open_given(
    film: Film,
    guidance: Guidance,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
) -> list[Layer]:
    """Return the frames with colors from `--reference`, the sidecar and `--hints`.

    The film is read once up to the end of the last shot with one of them: their shots must be
    known from their first frames on, whatever frame a run starts at.

    Args:
        film: the film that is rendered.
        guidance: what is given for it.
        start: first moment that is rendered, seconds from `film.start_seconds`; None: the start.
        end: last moment, not included; None: the end.

    Raises:
        InputError: a picture or the film cannot be read.
    """
    pictures = [p for p in guidance.pictures if _has_color(p)]
    hints = guidance.hints.by_time()
    moments = {*hints, *(p.seconds for p in pictures if p.seconds is not None and not p.shot)}
    shown = _shown_at(moments, film, _places(film, guidance, start, end)) if moments else {}
    colored = [
        _given_picture(picture, film, shown)
        for picture in pictures
        if picture.seconds is None or picture.shot or picture.seconds in shown
    ]
    hinted = [
        Given(partial(_hinted, hints[moment], film, at.seconds), at.seconds, at.shot)
        for moment, at in shown.items()
        if moment in hints
    ]
    layers = (Layer(colored, MOST_PICTURES), Layer(hinted, len(hinted)))
    return [layer for layer in layers if layer.given]


def _places(
    film: Film, guidance: Guidance, start: Fraction | None, end: Fraction | None
) -> Iterator[PlacedFrame[Frame]]:
    frames, scenes = read_frames(film, start=start, end=end), guidance.scenes
    return divide(
        frames, luma=shot_luma, starts_shot=None if scenes is None else scenes.starts_shot(film)
    )


def _has_color(picture: GivenPicture) -> bool:
    if is_colored(picture):
        return True
    log.warning("--reference %s: has no color and was ignored", picture.path)
    return False


def _shown_at(
    moments: Collection[Fraction], film: Film, places: Iterator[PlacedFrame[Frame]]
) -> dict[Fraction, FoundFrame]:
    """Return the frame at each moment that is rendered, and warn of the other moments."""
    log.info("%s: finding the shots your references belong to", film.path)
    half_frame = 1 / film.rate / 2 if film.rate else Fraction(0)
    on_film = {moment: film.start_seconds + moment for moment in moments}
    shown = find_shown(places, on_film.values(), half_frame)
    for moment in sorted(moments):
        if on_film[moment] not in shown:
            log.warning(
                "%s: the reference or hint at %.3f s is outside --start/--end and was ignored",
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
