"""The pipeline that `render` and `preview` share: from decoded frames to their chroma."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.color import balance, fit_gamut
from vidcolor.errors import ModelError
from vidcolor.guidance.exemplar import Layer
from vidcolor.guidance.mask_edges import chroma_mask
from vidcolor.guidance.mask_files import Masks
from vidcolor.guidance.mask_shapes import Mask
from vidcolor.guidance.propagate import Carrier
from vidcolor.images.guided_upsampling import enlarge_chroma
from vidcolor.inference.colorizer import ColoredFrame, Colorizer, HalfPrecisionError
from vidcolor.inference.memory import is_out_of_memory
from vidcolor.media.frame import Frame
from vidcolor.options.render import ColorOptions
from vidcolor.options.values import Matrix
from vidcolor.pipeline.resolved_job import ResolvedJob, resolve_engine
from vidcolor.pipeline.stabilizer import reach, stabilize_chroma
from vidcolor.pipeline.threads import AHEAD, ThreadedStages
from vidcolor.shots.luma import half_res_luma, luma_at, shot_luma
from vidcolor.shots.segments import PlacedFrame, divide, with_context

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class FrameContext(PlacedFrame[Frame]):
    """A frame and its place, with what the user makes of it."""

    seconds: Fraction
    """Its time after the film's first frame, as masks count."""
    masks: Masks = field(repr=False)
    options: ColorOptions = field(repr=False)
    """The settings of its shot."""

    @cached_property
    def mask_hw(self) -> Mask:
        """Where it is colored, of any size."""
        return self.masks.at(self.seconds)


def load_colorizer(options: ColorOptions, model: Path | None = None) -> Colorizer:
    """Return the colorizer that the options name.

    Args:
        options: where and how it runs.
        model: its folder; None: it is looked for by its name.

    Raises:
        ModelError: the model does not exist or is damaged; or the engine is not installed or
            does not support it.
        OptionsError: the device does not exist.
    """
    return Colorizer.load(
        str(model or options.model),
        options.device,
        engine="onnx" if resolve_engine(options).engine == "onnx" else "torch",
        size=options.size,
        batch=options.batch,
        seed=options.seed,
        temperature=options.decode_temperature,
    )


def with_oom_fallback(
    work: Callable[[], Result], colorizer: Colorizer, options: ColorOptions
) -> Result:
    """Return the work's result; when memory runs out, try again with less, with a warning.

    When float16 overflows, try again in float32.

    Raises:
        ModelError: memory runs out even at the minimum that the options allow.
    """
    while True:
        try:
            return work()
        except HalfPrecisionError:
            colorizer.disable_half()
            continue
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if not colorizer.reduce_memory(options.min_size):
            raise ModelError(
                f"model {options.model!r}: runs out of memory at a working size of "
                f"{colorizer.size}; use a smaller --size or --min-size"
            )


def places_of(
    frames: Iterable[Frame], job: ResolvedJob, masks: Masks, *, first_segment: int = 0
) -> Iterator[FrameContext]:
    """Yield a film's frames with their places, their masks and the settings of their shots."""
    scenes = job.guidance.scenes
    places = divide(
        frames,
        luma=shot_luma,
        starts_shot=None if scenes is None else scenes.starts_shot(job.film),
        first_segment=first_segment,
    )
    return with_settings(places, job, masks)


def with_settings(
    places: Iterable[PlacedFrame[Frame]], job: ResolvedJob, masks: Masks
) -> Iterator[FrameContext]:
    """Yield a film's frames with their masks and the settings of their shots."""
    film, sidecar = job.film, job.guidance.sidecar
    for place in places:
        frame = place.frame
        yield FrameContext(
            **vars(place),
            seconds=(frame.pts - film.first_pts) * frame.time_base,
            masks=masks,
            options=sidecar.options_at(frame.seconds - film.start_seconds, job.options),
        )


def color(
    places: Iterable[FrameContext],
    is_wanted: Callable[[FrameContext], bool],
    colorizer: Colorizer,
    job: ResolvedJob,
    given: Sequence[Layer],
    stages: ThreadedStages,
) -> Generator[ColoredFrame[FrameContext], None, None]:
    """Yield the wanted frames, and the neighbours that they depend on, with their chroma.

    Finding shots, coloring and stabilising run in parallel.

    Args:
        places: a film's frames in order.
        is_wanted: whether a frame is wanted, with the color that it has in the whole film.
        colorizer: the network.
        job: the film, and what the user makes of its colors.
        given: the user's references and hints, propagated to the frames of their shots.
        stages: runs them.
    """
    colored = colorizer.colorize(
        with_context(stages.ahead(places, "shots"), is_wanted, reach(job.options.stabilize)),
        luma=lambda frame: half_res_luma(frame, colorizer.size),
        mask=lambda place: place.mask_hw,
        matrix=job.film.matrix,
        keep_features=bool(given),
        each=stages.each,
    )
    carrier = Carrier[FrameContext](colorizer, given, seconds=lambda frame: frame.seconds)
    colored = stages.ahead(carrier.carry(colored), "network", max(AHEAD, colorizer.batch))
    steadied = stabilize_chroma(colored, job.options.stabilize)
    return stages.ahead(map(_with_mask, steadied), "stabilise")


def _with_mask(colored: ColoredFrame[FrameContext]) -> ColoredFrame[FrameContext]:
    """Read the mask while the frames are in order: files are read forwards."""
    _ = colored.place.mask_hw
    return colored


def film_chroma(
    colored: ColoredFrame[FrameContext], size: tuple[int, int], matrix: Matrix
) -> NDArray[np.float32]:
    """Return the Cb, Cr (2, h, w) in [-0.5, 0.5] of a frame of the result.

    The network's chroma is enlarged to the planes' size along the film's edges, multiplied with
    `--saturation`, balanced by `--temperature` and `--tint`, and moved towards grey where it is
    outside the gamut at this luma. Then it is multiplied with the mask: where the mask is black,
    chroma is exactly 0.

    Args:
        colored: the frame.
        size: (h, w) of the film's chroma planes.
        matrix: the film's.
    """
    place, options = colored.place, colored.place.options
    luma_hw = luma_at(place.frame, *size)
    chroma_2hw = enlarge_chroma(colored.chroma_2hw, colored.luma_hw, luma_hw)
    luma_1hw = torch.from_numpy(luma_hw)[None]
    graded_2hw = balance(
        luma_1hw,
        torch.from_numpy(chroma_2hw) * options.saturation,
        matrix,
        temperature=options.temperature,
        tint=options.tint,
    )
    fitted_2hw: NDArray[np.float32] = fit_gamut(luma_1hw, graded_2hw, matrix).numpy()
    film_height, film_width = place.frame.luma.shape
    fitted_2hw *= chroma_mask(
        place.mask_hw, luma_hw, options.mask_feather, (film_height, film_width)
    )
    return fitted_2hw
