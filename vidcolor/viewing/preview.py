"""The verb `preview`: a few frames of a film on a contact sheet, colored as `render` does.

Only a short span around each frame is read: the neighbours that its color depends on, and the
frames needed to detect the cuts between them.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import count
from math import ceil
from pathlib import Path

import numpy as np

from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.guidance.exemplar import Layer
from vidcolor.guidance.mask_files import Masks
from vidcolor.guidance.open_guidance import open_given
from vidcolor.images.contact_sheet import contact_sheet
from vidcolor.images.display import shown_picture
from vidcolor.images.image_files import RgbImage
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.decode import read_frames
from vidcolor.media.frame import Frame, unit_luma
from vidcolor.media.output_plan import chroma_shape
from vidcolor.media.probe import Film
from vidcolor.network.device import one_thread_a_call
from vidcolor.options.preview import PreviewOptions
from vidcolor.options.values import seconds_from_text, text_from_seconds
from vidcolor.pipeline import stabilizer
from vidcolor.pipeline.colorize import (
    color,
    film_chroma,
    load_colorizer,
    places_of,
    with_oom_fallback,
)
from vidcolor.pipeline.resolved_job import ResolvedJob, resolve_job
from vidcolor.pipeline.threads import ThreadedStages
from vidcolor.shots import detector
from vidcolor.shots.windows import WINDOW_REACH

DEFAULT_TIMES = 6
"""Number of frames shown by default."""
MAX_TIMES = 100
"""At 270 pixels each, a sheet reaches the height limit of many programs, 32,767."""
LEAD_FRAMES = 2 * (detector.CUT_REACH + stabilizer.STABILIZER_REACH + WINDOW_REACH)
"""Frames to read before the one that is shown: twice the number that its color and the detection
of cuts depend on, as frames may be further apart in a film with a variable frame rate."""

OnProgress = Callable[[int, int], None]
"""Called after each frame with the number colored so far and in all."""


@dataclass(frozen=True)
class PreviewFrame:
    """A frame as a player shows it, grey and in color."""

    seconds: Fraction
    """Seconds from the film's start."""
    grey: RgbImage
    colored: RgbImage


def preview(
    source: Path | str,
    out: Path | str,
    options: PreviewOptions,
    *,
    on_progress: OnProgress | None = None,
) -> None:
    """Write a contact sheet of a few frames, grey and in color.

    Args:
        source: any film that FFmpeg reads.
        out: the sheet, a name that ends in .png; replaced if it exists.
        options: which frames and models to show, and how to color.
        on_progress: see OnProgress.

    Raises:
        InputError: the film or its mask cannot be read, or has no frame at one of the times.
        OptionsError: there are too many times.
        OutputError: the sheet cannot be written.
        ModelError: the model is missing, damaged or too large for the memory.
    """
    models = options.compare or (options.model,)
    job = resolve_job(source, replace(options, model=models[0]))
    _check_place(Path(out), job.film)
    moments = _moments(job.film, options)
    done, total = count(1), len(models) * len(moments)

    def tell() -> None:
        if on_progress is not None:
            on_progress(next(done), total)

    with one_thread_a_call():
        columns = [
            _column(job.with_model(model), moments, tell, is_named=bool(options.at))
            for model in models
        ]
    rows = list(zip(*columns, strict=True))
    labels = ["grey", *(Path(model).name for model in models)]
    pictures = [[row[0].grey, *(shown.colored for shown in row)] for row in rows]
    if options.split:
        labels, pictures = [" | ".join(labels)], [[strips_of(row)] for row in pictures]
    captions = [caption_of(row[0]) for row in rows]
    contact_sheet(pictures, labels, Path(out), cell_px=options.cell or None, captions=captions)


def _check_place(out: Path, film: Film) -> None:
    if out.suffix.lower() != ".png":
        raise OutputError(f"{out}: is not a PNG name; use a name that ends in .png")
    if out.resolve() in (file.resolve() for file in film.source.files):
        raise OutputError(f"{out}: is the film itself; use another name for the sheet")


def _moments(film: Film, options: PreviewOptions) -> list[Fraction]:
    """Return the times to show, in seconds from the film's start."""
    if options.at:
        moments = sorted({seconds_from_text(text, option="--at") for text in options.at})
    elif film.duration_seconds is None:
        raise InputError(f"{film.path}: has no duration in its header; give times with --at")
    elif options.every is not None:
        step = seconds_from_text(options.every, option="--every")
        moments = [step * number for number in range(max(1, ceil(film.duration_seconds / step)))]
    else:
        step = film.duration_seconds / DEFAULT_TIMES
        moments = [step * number + step / 2 for number in range(DEFAULT_TIMES)]
    if len(moments) > MAX_TIMES:
        raise OptionsError(
            f"preview: {len(moments)} times are too many, a sheet has room for {MAX_TIMES}; "
            "use a longer interval with --every"
        )
    return moments


def _column(
    job: ResolvedJob, moments: Sequence[Fraction], tell: Callable[[], None], *, is_named: bool
) -> list[PreviewFrame]:
    """Return the frames that are shown at the moments, each once, in the colors of one model.

    Args:
        job: with that model.
        moments: seconds from the film's start.
        tell: called after each.
        is_named: the user named the moments, so the film must show something at each.
    """
    film, options, guidance = job.film, job.options, job.guidance
    colorizer = load_colorizer(options, job.model)
    masks, given = guidance.open_masks(film), open_given(film, guidance)
    column: dict[Fraction, PreviewFrame] = {}
    for moment in moments:
        look = partial(show_at, job, moment, colorizer, masks, given)
        shown = with_oom_fallback(look, colorizer, options)
        tell()
        if shown is not None:
            column[shown.seconds] = shown
        elif is_named:
            raise InputError(
                f"{film.path}: ends before {float(moment):.2f} s; give an earlier time with --at"
            )
    if not column:
        raise InputError(
            f"{film.path}: ends before the duration in its header; give times with --at"
        )
    return list(column.values())


def show_at(
    job: ResolvedJob,
    moment: Fraction,
    colorizer: Colorizer,
    masks: Masks,
    given: Sequence[Layer],
) -> PreviewFrame | None:
    """Return the frame that is shown at a time, with the color that `render` gives it.

    Args:
        job: the film, and what the user makes of its colors.
        moment: seconds from its start.
        colorizer: of the model.
        masks: of the film.
        given: colors that the user gives.

    Returns:
        None if the film ends before.
    """
    film = job.film
    start = max(Fraction(0), moment - LEAD_FRAMES / (film.rate or Fraction(24)))
    frames = read_frames(film, start=start)
    places = places_of(frames, job, masks)

    def is_due(frame: Frame) -> bool:
        return _end_of(frame, film) > film.start_seconds + moment

    with ThreadedStages() as stages:
        all_colored = color(places, lambda p: is_due(p.frame), colorizer, job, given, stages)
        with closing(all_colored):
            colored = next((c for c in all_colored if is_due(c.place.frame)), None)
    if colored is None:
        return None
    size = chroma_shape(film, film.subsampling)[1:]
    chroma_2hw = film_chroma(colored, size, film.matrix)
    frame = colored.place.frame
    luma_hw = unit_luma(frame)
    return PreviewFrame(
        frame.seconds - film.start_seconds,
        shown_picture(luma_hw, np.zeros_like(chroma_2hw), film),
        shown_picture(luma_hw, chroma_2hw, film),
    )


def _end_of(frame: Frame, film: Film) -> Fraction:
    """Return the time at which the next frame is shown, on the film's clock."""
    if frame.duration or film.rate is None:
        return frame.seconds + frame.duration * frame.time_base
    return frame.seconds + 1 / film.rate


def caption_of(shown: PreviewFrame) -> str:
    """Return the time of a frame, rounded up, so that `--at` with it shows the same frame."""
    return text_from_seconds(Fraction(ceil(shown.seconds * 1000), 1000))


def strips_of(pictures: Sequence[RgbImage]) -> RgbImage:
    """Return one picture of vertical strips, one from each picture, at the same place as there."""
    width, count = pictures[0].shape[1], len(pictures)
    edges = [width * number // count for number in range(count + 1)]
    strips = zip(pictures, edges, edges[1:], strict=False)
    return np.concatenate([picture[:, left:right] for picture, left, right in strips], axis=1)
