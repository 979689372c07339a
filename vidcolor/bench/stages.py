"""Run the stages of a render one after the other, each for all frames before the next starts.

In a render they overlap, and their threads mix. Here only one stage runs at a time, so that all CPU
time spent meanwhile is its own. The functions are those that `render` calls.
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
"""Frames on which stages are measured; all are in memory, about 25 MB each at 1080p."""

OnStage = Callable[[str], None]


@dataclass
class _Stages:
    """Measures the stages."""

    device: torch.device
    on_stage: OnStage
    costs: dict[str, Cost] = field(default_factory=dict)
    """Cost of each stage, for all frames together."""

    def time(self, stage: str, work: Callable[[], Made]) -> Made:
        """Return the result of a stage, and record its cost."""
        self.on_stage(stage)
        made, self.costs[stage] = timed(lambda: self._finished(work()))
        return made

    def _finished(self, made: Made) -> Made:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return made


@dataclass(frozen=True)
class Replayed:
    """The result of `replay`."""

    stages: dict[str, Cost]
    """Cost per frame of each stage, in the order of a render."""
    frame_count: int
    """Frames that were decoded: the requested number, or all of a shorter film."""
    end_seconds: float
    """A time between the last of them and the next frame, seconds from the film's start."""
    network_size: tuple[int, int]
    """(h, w) of the network's input."""
    device: str

    @property
    def network(self) -> Cost:
        """Cost per frame of the network alone."""
        return self.stages[ENCODE] + self.stages[DECODE]


def replay(job: ResolvedJob, plan: OutputPlan, frame_count: int, on_stage: OnStage) -> Replayed:
    """Do each stage for the first frames from `--start` on, and return what it takes for one.

    All requested frames are decoded; the other stages run on the first HELD of them. References and
    hints (`--reference`, `--hints`) are ignored.

    Args:
        job: what is rendered.
        plan: of an output; a segment is written next to it.
        frame_count: of the frames that are decoded.
        on_stage: called with each stage's name before it starts.

    Raises:
        InputError: the film cannot be read, or has no frames in the span.
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
        raise InputError(f"{film.path}: has no frame between --start and --end; choose other times")
    middle = last.seconds - film.start_seconds + last.duration * last.time_base / 2
    return _Read(frames, read, float(middle))


def _placed(frames: list[Frame], job: ResolvedJob) -> list[FrameContext]:
    return list(places_of(frames, job, job.guidance.open_masks(job.film)))


def _colored(
    places: list[FrameContext], film: Film, colorizer: Colorizer, stages: _Stages
) -> list[ColoredFrame[FrameContext]]:
    """Return the frames with their chroma; measure the network's calls by repeating them."""
    small = stages.time("luma resize", lambda: _small(places, colorizer.size))
    colorizer.backend = recorder = _Recorder(colorizer.backend)

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
    stages.time(ENCODE, lambda: recorder.repeat("encode"))
    stages.time(DECODE, lambda: recorder.repeat("decode"))
    recorder.replays = True
    stages.time("around the network", colorize)
    return colored


def _small(places: list[FrameContext], size: int) -> dict[int, NDArray[np.float32]]:
    """Return the network's input luma of each frame, by timestamp."""
    looks = shrunk(places, lambda frame: half_res_luma(frame, size), size)
    return {look.place.frame.pts: look.luma_hw for look in looks}


def _encode(frames: list[Frame], codes: list[Codes], film: Film, plan: OutputPlan) -> None:
    path = plan.out.with_name(plan.segment_name(0))
    with SegmentWriter(path, film, plan) as segment:
        for frame, chroma_2hw in zip(frames, codes, strict=True):
            segment.write(frame, chroma_2hw)


class _Recorder:
    """Wraps a backend and records the inputs and results of its calls."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._inputs: dict[str, list[tuple[Any, ...]]] = {"encode": [], "decode": []}
        self._results: dict[str, list[Any]] = {"encode": [], "decode": []}
        self.replays = False
        """Whether to return recorded results, in the order of the calls."""

    def encode(self, *inputs: Any) -> Any:
        """Return the features that the backend computes, or the recorded ones."""
        return self._call("encode", inputs)

    def decode(self, *inputs: Any) -> Any:
        """Return the color that the backend computes, or the recorded one."""
        return self._call("decode", inputs)

    def _call(self, method: str, inputs: tuple[Any, ...]) -> Any:
        if self.replays:
            return self._results[method].pop(0)
        self._inputs[method].append(inputs)
        self._results[method].append(getattr(self._backend, method)(*inputs))
        return self._results[method][-1]

    def repeat(self, method: str) -> None:
        """Repeat all recorded calls of a method."""
        for inputs in self._inputs[method]:
            getattr(self._backend, method)(*inputs)
