"""What `render` and `preview` share of the line: from decoded frames to the chroma beside them."""

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
    """When it is shown, as masks count: after the film's first frame."""
    masks: Masks = field(repr=False)
    options: ColorOptions = field(repr=False)
    """What the user makes of its colours."""

    @cached_property
    def mask_hw(self) -> Mask:
        """Where it is coloured, of any size."""
        return self.masks.at(self.seconds)


def load_colorizer(options: ColorOptions, model: Path | None = None) -> Colorizer:
    """Return the colorizer that the options name.

    Args:
        options: where and how it runs.
        model: its folder; None: it is looked for by its name.

    Raises:
        ModelError: there is no such model, or its weights are not to be trusted; or the engine is
            not installed or cannot express it.
        OptionsError: the device is not there.
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
    """Return the work's result; where memory runs out, do it again with less, which is a warning.

    Where half precision does not suffice, it is done again without.

    Raises:
        ModelError: it runs out with the least that the options allow.
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
                f"model {options.model!r}: at a working size of {colorizer.size} it needs more "
                "memory than there is; take a smaller --size, or allow one by --min-size"
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
    """Yield the wanted frames, and those that had to be seen for their sake, with their chroma.

    Shots are found, frames coloured and colour held stabilize side by side.

    Args:
        places: a film's frames in order.
        is_wanted: tells the frames that shall have the colour that they have in the whole film.
        colorizer: the network.
        job: the film, and what the user makes of its colors.
        given: the colours that the user gives, carried to the frames of their shots.
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
    """Look the mask up while the frames still come in order: files are read from front to back."""
    _ = colored.place.mask_hw
    return colored


def film_chroma(
    colored: ColoredFrame[FrameContext], size: tuple[int, int], matrix: Matrix
) -> NDArray[np.float32]:
    """Return the Cb, Cr (2, h, w) in [-0.5, 0.5] that go beside a frame's luma.

    The network's chroma is enlarged to the planes' size along the film's edges, multiplied with
    `--saturation`, balanced by `--temperature` and `--tint`, and shrunk towards grey wherever the
    pair with this luma is no colour. At last it is multiplied with the mask: what is black there
    is exactly 0.

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
