"""Segments as tasks that can be rendered anywhere, in any order, with the same frames as in order.

The driver decodes the film once, divides it into segments and plans a task for each: plain data
that is sent to another process or machine. There, only the frames of the task are decoded, its
segment and the neighbours on which its colors depend, and compared with the plan.
"""

import logging
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from vidcolor.errors import InputError, ModelError
from vidcolor.guidance.exemplar import Layer
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.decode import Frame, read_frames
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.probe import Film
from vidcolor.network.device import one_thread_a_call
from vidcolor.pipeline.colorize import (
    color,
    load_colorizer,
    with_oom_fallback,
    with_settings,
)
from vidcolor.pipeline.fingerprint import digest_of_model
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.resolved_job import RenderJob
from vidcolor.pipeline.segment_writer import checksum, merge, write_segment
from vidcolor.pipeline.threads import ThreadedStages
from vidcolor.shots.segments import PlacedFrame

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job(RenderJob):
    """What all tasks of a film share. It can be pickled."""

    plan: OutputPlan
    given: tuple[Layer, ...]
    """The user's references and hints."""
    folder: Path
    """Where the files of segments go."""


@dataclass(frozen=True)
class FrameStub:
    """A frame as it was planned, without its picture."""

    pts: int
    """When it is shown, ticks of the film."""
    starts_shot: bool
    """It is the first of its shot."""
    segment: int
    """Number of its segment."""
    shot_weight: float
    """The share of its shot in the picture, in a dissolve."""
    luma: int | None
    """CRC-32 of its luma, as decoded; of the first of a segment only."""


@dataclass(frozen=True)
class SegmentTask:
    """A segment and the frames that it depends on. It can be pickled."""

    number: int
    """Of the segment."""
    frames: tuple[FrameStub, ...]
    """In order and without a gap: neighbours of the segment's shot, the segment, neighbours."""
    opener: FrameStub | None
    """The first frame of their shot, if a network embeds it and it comes before them."""

    @property
    def all_frames(self) -> tuple[FrameStub, ...]:
        """The frames that must be decoded, in order."""
        return (() if self.opener is None else (self.opener,)) + self.frames


def plan_segments(
    places: Iterable[PlacedFrame[Frame]], is_wanted: Callable[[int], bool], reach: int
) -> Generator[SegmentTask, None, None]:
    """Yield the task of each wanted segment, as soon as its neighbours are known.

    Args:
        places: a film's frames in order, with their places.
        is_wanted: whether a segment, by its number, is wanted.
        reach: frames on either side on which a frame's color depends: fewer than a segment has.
    """
    before: list[FrameStub] = []
    segment: list[FrameStub] = []
    for _, group in groupby(_planned(places), key=lambda frame: frame.segment):
        frames = iter(group)
        after = list(islice(frames, reach))
        if segment and is_wanted(segment[0].segment):
            yield _part(before, segment, after, reach)
        before, segment = segment, [*after, *frames]
    if segment and is_wanted(segment[0].segment):
        yield _part(before, segment, [], reach)


def _planned(places: Iterable[PlacedFrame[Frame]]) -> Iterator[FrameStub]:
    segment = -1
    for place in places:
        frame, is_first = place.frame, place.segment != segment
        segment = place.segment
        luma = checksum(frame) if is_first else None
        yield FrameStub(frame.pts, place.starts_shot, segment, place.shot_weight, luma)


def _part(
    before: list[FrameStub], segment: list[FrameStub], after: list[FrameStub], reach: int
) -> SegmentTask:
    """Return a segment with its neighbours in the same shot."""
    near = [] if segment[0].starts_shot else before[-reach:]
    starts = [number for number, frame in enumerate(near) if frame.starts_shot]
    near = near[starts[-1] if starts else 0 :]
    ends = [number for number, frame in enumerate(after) if frame.starts_shot]
    after = after[: ends[0] if ends else len(after)]
    opener = None
    if near and not near[0].starts_shot:
        earlier = before[: len(before) - len(near)]
        opener = next((frame for frame in reversed(earlier) if frame.starts_shot), before[0])
    return SegmentTask(segment[0].segment, (*near, *segment, *after), opener)


class Renderer:
    """Renders tasks one after the other, and keeps the model while the options stay the same.

    renderer = Renderer()
    for part in plan_segments(places, is_wanted, reach):
        work.append_entry(renderer.render(job, part))
    """

    def __init__(self) -> None:
        self._job: Job | None = None
        self._colorizer: Colorizer

    def render(self, job: Job, task: SegmentTask) -> Segment:
        """Color a part and write its segment into a file of a name that no other try has.

        Raises:
            InputError: the film or a guidance file cannot be read, or differs from the plan.
            OutputError: the file cannot be written.
            ModelError: the model does not exist, is damaged, or is too large for the memory.
        """
        if self._job is None or _model_of(self._job) != _model_of(job):
            self._colorizer = load_model(job)
            self._job = job
        with one_thread_a_call() as threads:  # a worker has its share of the cores
            return with_oom_fallback(
                lambda: _render(job, task, self._colorizer, threads), self._colorizer, job.options
            )


def load_model(job: RenderJob) -> Colorizer:
    """Return the colorizer of a job.

    Raises:
        ModelError: the model is damaged, or was changed since the job was made.
        OptionsError: the device is not there.
    """
    colorizer = load_colorizer(job.options, job.model)
    if digest_of_model(job.model) != job.fingerprint["model"]:
        raise ModelError(
            f"model {job.options.model!r}: was changed during the render; run the command again"
        )
    return colorizer


def _model_of(job: Job) -> tuple[object, ...]:
    """Return what decides the colorizer of a job."""
    return job.model, job.fingerprint["model"], job.options


class _DecodedOtherwiseError(Exception):
    """A frame differs from the plan."""


def _render(job: Job, task: SegmentTask, colorizer: Colorizer, threads: int) -> Segment:
    for frames in (_decoded(task, job.film), _decoded_from_start(task, job)):
        try:
            return _render_from(frames, job, task, colorizer, threads)
        except _DecodedOtherwiseError:
            log.info(
                "%s: part %d is read from the film's beginning", job.film.path, task.number + 1
            )
    raise InputError(
        f"{job.film.path}: is damaged and decodes differently each time; add --workers 1, which "
        "decodes it once"
    )


def _render_from(
    frames: Iterator[Frame], job: Job, task: SegmentTask, colorizer: Colorizer, threads: int
) -> Segment:
    film = job.film
    name = Path(job.plan.segment_name(task.number))
    path = job.folder / name.with_stem(f"{name.stem}-{secrets.token_hex(4)}")
    with ThreadedStages(threads) as stages:
        decoded = stages.ahead(frames, "decode")
        places = (
            PlacedFrame(frame, planned.starts_shot, planned.segment, planned.shot_weight)
            for frame, planned in zip(decoded, task.all_frames, strict=True)
        )
        colored = color(
            with_settings(places, job, job.guidance.open_masks(film)),
            lambda place: place.segment == task.number,
            colorizer,
            job,
            job.given,
            stages,
        )
        own = (frame for frame in colored if frame.place.segment == task.number)
        with closing(merge(own, film, job.plan, stages)) as merged:
            return write_segment(path, merged, film, job.plan, stages)


def _decoded(task: SegmentTask, film: Film) -> Iterator[Frame]:
    """Yield the frames of a part, entering the film where they are.

    Raises:
        _DecodedOtherwiseError: a frame's time or luma differs from the plan.
    """
    if task.opener is not None:
        yield from _checked(_from(task.opener, film), (task.opener,))
    yield from _checked(_from(task.frames[0], film), task.frames)


def _from(frame: FrameStub, film: Film) -> Iterator[Frame]:
    return read_frames(film, start=frame.pts * film.time_base - film.start_seconds)


def _decoded_from_start(task: SegmentTask, job: Job) -> Iterator[Frame]:
    """Yield the frames of a part, read as they were when it was planned."""
    wanted = {frame.pts for frame in task.all_frames}
    frames = read_frames(job.film, start=job.plan.start, end=job.plan.end)
    yield from _checked((f for f in frames if f.pts in wanted), task.all_frames)


def _checked(frames: Iterator[Frame], planned: Iterable[FrameStub]) -> Iterator[Frame]:
    for wanted in planned:
        frame = next(frames, None)
        is_right = frame is not None and frame.pts == wanted.pts
        if frame is None or not is_right or wanted.luma not in (None, checksum(frame)):
            raise _DecodedOtherwiseError
        yield frame
