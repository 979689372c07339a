"""The stages of a render one after the other, each for all frames before the next begins.

A render overlaps them, and their threads mix; here each has the machine for itself, so that all
CPU time spent meanwhile is its own. What runs are the functions that `render` runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.bench.usage import Cost, timed
from vidcolor.errors import InputError
from vidcolor.inference.backends import Backend
from vidcolor.inference.batching import shrunk
from vidcolor.inference.colorizer import ColoredFrame, Colorizer
from vidcolor.media.decode import Frame, read_frames
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.probe import Film
from vidcolor.media.quantization import Codes, chroma_from_unit
from vidcolor.network.device import one_thread_a_call
from vidcolor.pipeline.colorize import FrameContext, film_chroma, load_colorizer, places_of
from vidcolor.pipeline.resolved_job import ResolvedJob
from vidcolor.pipeline.stabilizer import stabilize_chroma
from vidcolor.shots.luma import half_res_luma

Made = TypeVar("Made")

ENCODE, DECODE = "encode features", "decode chroma"
HELD = 48
"""Frames on which stages are measured: all are in memory at once, some 25 MB each at 1080p."""

OnStage = Callable[[str], None]


@dataclass
class _Stages:
    """Times the stages."""

    device: torch.device
    on_stage: OnStage
    costs: dict[str, Cost] = field(default_factory=dict)
    """What each stage took for all frames together."""

    def time(self, stage: str, work: Callable[[], Made]) -> Made:
        """Return what a stage makes, and note what it took."""
        self.on_stage(stage)
        made, self.costs[stage] = timed(lambda: self._finished(work()))
        return made

    def _finished(self, made: Made) -> Made:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return made


@dataclass(frozen=True)
class Replayed:
    """What a replay found."""

    stages: dict[str, Cost]
    """What each stage takes for a frame, in the order of a render."""
    frame_count: int
    """Frames that were decoded: as many as were asked for, if the film has them."""
    end_seconds: float
    """A moment between the last of them and the next frame, seconds from the film's start."""
    network_size: tuple[int, int]
    """(h, w) of what the network saw."""
    device: str

    @property
    def network(self) -> Cost:
        """What the network alone takes for a frame."""
        return self.stages[ENCODE] + self.stages[DECODE]


def replay(job: ResolvedJob, plan: OutputPlan, frame_count: int, on_stage: OnStage) -> Replayed:
    """Do each stage for the first frames from `--start` on, and return what it takes for one.

    All frames that are asked for are decoded; the first HELD of them go on. Colours that the user
    gives (`--reference`, `--hints`) are left out.

    Args:
        job: what is rendered.
        plan: of a result; a segment is written beside it.
        frame_count: of the frames that are decoded.
        on_stage: called with each stage's name before it begins.

    Raises:
        InputError: the film cannot be read, or has no such frame.
    """
    film, options = job.film, job.options
    colorizer = load_colorizer(options, job.model)
    stages = _Stages(colorizer.device, on_stage)
    with one_thread_a_call(), torch.inference_mode():
        read = stages.time("decode", lambda: _read(film, plan, frame_count))
        places = stages.time("shots", lambda: _placed(read.frames, job))
        colored = _colored(places, film, colorizer, stages)
        steadied = stages.time(
            "stabilise", lambda: list(stabilize_chroma(colored, options.stabilize))
        )
        chroma = stages.time(
            "enlarge",
            lambda: [film_chroma(each, plan.chroma_shape[1:], film.matrix) for each in steadied],
        )
        codes = stages.time(
            "merge",
            lambda: [
                chroma_from_unit(each_2hw, depth=plan.depth, full_range=plan.full_range)
                for each_2hw in chroma
            ],
        )
        stages.time("video encode", lambda: _encode(read.frames, codes, film, plan))
    costs = {stage: cost / len(read.frames) for stage, cost in stages.costs.items()}
    return Replayed(
        stages={**costs, "decode": stages.costs["decode"] / read.total},
        frame_count=read.total,
        end_seconds=read.end_seconds,
        network_size=(colored[0].luma_hw.shape[0], colored[0].luma_hw.shape[1]),
        device=colorizer.device.type,
    )


class _Read(NamedTuple):
    frames: list[Frame]
    """The first HELD."""
    total: int
    end_seconds: float


def _read(film: Film, plan: OutputPlan, count: int) -> _Read:
    frames: list[Frame] = []
    read = 0
    for last in islice(read_frames(film, start=plan.start, end=plan.end), count):
        read += 1
        if read <= HELD:
            frames.append(last)
    if not frames:
        raise InputError(f"{film.path}: no frame between --start and --end; choose other times")
    middle = last.seconds - film.start_seconds + last.duration * last.time_base / 2
    return _Read(frames, read, float(middle))


def _placed(frames: list[Frame], job: ResolvedJob) -> list[FrameContext]:
    return list(places_of(frames, job, job.guidance.open_masks(job.film)))


def _colored(
    places: list[FrameContext], film: Film, colorizer: Colorizer, stages: _Stages
) -> list[ColoredFrame[FrameContext]]:
    """Return the frames with their chroma; what the network is asked meanwhile is asked again."""
    small = stages.time("luma resize", lambda: _small(places, colorizer.size))
    colorizer.backend = tape = _Tape(colorizer.backend)

    def colorize() -> list[ColoredFrame[FrameContext]]:
        return list(
            colorizer.colorize(
                places,
                luma=lambda frame: small[frame.pts],
                mask=lambda place: place.mask_hw,
                matrix=film.matrix,
            )
        )

    colored = colorize()
    stages.time(ENCODE, lambda: tape.ask_again("encode"))
    stages.time(DECODE, lambda: tape.ask_again("decode"))
    tape.plays = True
    stages.time("around the network", colorize)
    return colored


def _small(places: list[FrameContext], size: int) -> dict[int, NDArray[np.float32]]:
    """Return the luma that the network sees of each frame, by its time."""
    looks = shrunk(places, lambda frame: half_res_luma(frame, size), size)
    return {look.place.frame.pts: look.luma_hw for look in looks}


def _encode(frames: list[Frame], codes: list[Codes], film: Film, plan: OutputPlan) -> None:
    path = plan.out.with_name(plan.segment_name(0))
    with SegmentWriter(path, film, plan) as segment:
        for frame, chroma_2hw in zip(frames, codes, strict=True):
            segment.write(frame, chroma_2hw)


class _Tape:
    """Stands in for a backend: asks it, and remembers what it was asked and what it answered."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._asked: dict[str, list[tuple[Any, ...]]] = {"encode": [], "decode": []}
        self._answers: dict[str, list[Any]] = {"encode": [], "decode": []}
        self.plays = False
        """Whether it answers from memory, in the order in which it was asked."""

    def encode(self, *inputs: Any) -> Any:
        """Return the features that the backend makes, or made."""
        return self._answer("encode", inputs)

    def decode(self, *inputs: Any) -> Any:
        """Return the colour that the backend makes, or made."""
        return self._answer("decode", inputs)

    def _answer(self, question: str, inputs: tuple[Any, ...]) -> Any:
        if self.plays:
            return self._answers[question].pop(0)
        self._asked[question].append(inputs)
        self._answers[question].append(getattr(self._backend, question)(*inputs))
        return self._answers[question][-1]

    def ask_again(self, question: str) -> None:
        """Ask the backend all that it was asked."""
        for inputs in self._asked[question]:
            getattr(self._backend, question)(*inputs)
