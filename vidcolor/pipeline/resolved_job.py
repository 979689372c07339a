"""The resolved job: all that a render reads, found, parsed and hashed before its first frame.

It is made once, where a verb begins, and travels down. Nothing below looks into the user's files
for settings again, so an edit while a render runs changes neither its frames nor its fingerprint.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from vidcolor.guidance.open_guidance import Guidance, read_guidance
from vidcolor.inference.backends import choose_engine
from vidcolor.media.probe import Film, probe
from vidcolor.network.library import find_model
from vidcolor.options.render import ColorOptions, RenderOptions
from vidcolor.options.values import rate_from_text
from vidcolor.pipeline.fingerprint import fingerprint
from vidcolor.pipeline.journal import Fingerprint

log = logging.getLogger(__name__)

Options = TypeVar("Options", bound=ColorOptions)


@dataclass(frozen=True, kw_only=True)
class ResolvedJob:
    """A film and everything that decides its colors. It can be pickled."""

    film: Film
    options: ColorOptions
    model: Path
    """The model's folder."""
    guidance: Guidance
    """What the user's files say."""

    def with_model(self, name: str) -> Self:
        """Return the job for another model.

        Raises:
            ModelError: there is no such model.
        """
        return replace(self, options=replace(self.options, model=name), model=find_model(name))


@dataclass(frozen=True, kw_only=True)
class RenderJob(ResolvedJob):
    """A film that is to be rendered, and what decides the frames of the result."""

    options: RenderOptions
    """With an engine."""
    fingerprint: Fingerprint


def resolve_job(film_path: Path | str, options: ColorOptions) -> ResolvedJob:
    """Return a film with its model and all that the user gives for it.

    Args:
        film_path: any film that FFmpeg reads.
        options: how it is colored.

    Raises:
        InputError: the film cannot be read, or what goes with it.
        OptionsError: the options are invalid, or what the user's files say.
        ModelError: there is no such model.
    """
    rate = None if options.rate is None else rate_from_text(options.rate)
    film = probe(
        film_path, rate=rate, max_pixels=options.max_pixels, deinterlace=options.deinterlace
    )
    return ResolvedJob(
        film=film,
        options=options,
        guidance=read_guidance(film, options),
        model=find_model(options.model),
    )


def resolve_render_job(
    film_path: Path | str, options: RenderOptions, begun: Fingerprint
) -> RenderJob:
    """Return a film that is to be rendered, as `resolve_job` does, with its fingerprint.

    Args:
        film_path: any film that FFmpeg reads.
        options: with `--engine auto`, the engine is that of an earlier run, or chosen.
        begun: fingerprint of the frames that an earlier run has left; nothing if there are none.

    Raises:
        InputError: the film cannot be read, or what goes with it.
        OptionsError: the options are invalid, or what the user's files say.
        ModelError: there is no such model.
    """
    job = resolve_job(film_path, options)
    options = resolve_engine(options, job.film.frame_count_from_header, begun.get("--engine"))
    return RenderJob(
        film=job.film,
        options=options,
        model=job.model,
        guidance=job.guidance,
        fingerprint=fingerprint(job.film, options, job.model, job.guidance),
    )


def resolve_engine(
    options: Options, frame_count: int | None = None, begun: object = None
) -> Options:
    """Return the options with torch or onnx in place of `--engine auto`.

    Args:
        options: which model, and where it shall run.
        frame_count: of the film, as its header says; None: many.
        begun: the engine that an interrupted render began with, and goes on with.

    Raises:
        ModelError: there is no such model.
    """
    if options.engine != "auto":
        return options
    if begun in ("torch", "onnx"):
        log.info("engine: %s (the render was begun with it)", begun)
        return replace(options, engine=begun)
    engine = choose_engine(options.device, find_model(options.model), frame_count)
    return replace(options, engine=engine)
