"""The driver of a render: from decoded frames to finished segments.

Decode, divide into shots and segments, color, hold the color steady, enlarge the chroma under the
luma's guidance, merge it with the film's own luma, encode segment by segment. Or a pool renders the
segments, in any order, and this process decodes and divides for them.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby

import numpy as np

from vidcolor.errors import InputError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import Frame, read_frames, unit_chroma
from vidcolor.media.probe import Film
from vidcolor.network.device import one_thread_a_call
from vidcolor.pipeline.colorize import FrameContext, color, places_of, with_oom_fallback
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.segment_job import Job, SegmentTask, plan_segments
from vidcolor.pipeline.segment_writer import MergedFrame, checksum, merge, write_segment
from vidcolor.pipeline.stabilizer import reach
from vidcolor.pipeline.threads import ThreadedStages
from vidcolor.rendering.workdir import WorkDir
from vidcolor.workers.pool import WorkerPool

log = logging.getLogger(__name__)

LOOK_EVERY_FRAMES = 24
"""How often frames are checked for colors of their own: about once a second."""
SEGMENTS_AGAIN = 2
"""Finished segments that a resumed run decodes again: the first gives the shot detector its
context, so that shots in the second are found, on which the color of the next segment depends."""
COLOR_UNIT_CHROMA = 2 / 255
"""Mean distance of chroma from 0 above which a frame has color; compressed grey is below."""

OnFrame = Callable[[int], None]
OnSegment = Callable[[Segment], None]


@dataclass(frozen=True)
class RenderDriver:
    """Renders one film; some of its segments may be done already."""

    job: Job
    work: WorkDir
    """Records the finished segments."""
    changes: Changes
    """Collects what decoding loses."""
    on_frame: OnFrame | None
    """Called with the number of frames done, after each or, by a pool, each segment."""
    on_segment: OnSegment | None
    """Called with each segment that this run has rendered and recorded."""

    def render(self, by: WorkerPool | Colorizer) -> None:
        """Render what is not done yet: by a pool, or with a colorizer in this process.

        Raises:
            InputError: the film, or what goes with it, cannot be read, or no frame is between start
                and end.
            OutputError: a segment cannot be written, or the workers of the pool die.
            ModelError: the model is damaged, or too large for the memory.
        """
        if isinstance(by, Colorizer):
            with one_thread_a_call():
                with_oom_fallback(lambda: self._render(by), by, self.job.options)
        else:
            self._render_by(by)
        film, options = self.job.film, self.job.options
        if not self.work.segments:
            raise InputError(
                f"{film.path}: has no frame between --start {options.start or 0} and "
                f"--end {options.end or 'its end'}; choose other times"
            )

    def _render(self, colorizer: Colorizer) -> None:
        job = self.job
        with ThreadedStages() as stages, closing(self._merged(colorizer, stages)) as frames:
            done = self.work.numbers
            for number, group in groupby(frames, key=lambda frame: frame.place.segment):
                if number not in done:
                    path = job.folder / job.plan.segment_name(number)
                    tell = partial(self._tell, self.work.frame_count)
                    self._note(write_segment(path, group, job.film, job.plan, stages, tell))

    def _merged(
        self, colorizer: Colorizer, stages: ThreadedStages
    ) -> Generator[MergedFrame, None, None]:
        job, places = self.job, self._places_left(stages)
        done = self.work.numbers
        colored = color(
            places,
            lambda place: place.segment not in done,
            colorizer,
            job,
            job.given,
            stages,
        )
        return merge(colored, job.film, job.plan, stages)

    def _render_by(self, pool: WorkerPool) -> None:
        """Let a pool render what is not done yet, while this process decodes and divides."""
        with (
            ThreadedStages() as stages,
            closing(self._tasks_left(stages)) as tasks,
            closing(pool.render_tasks(self.job, tasks)) as segments,
        ):
            for segment in segments:
                planned = {f"plan: {name}": seconds for name, seconds in stages.lap().items()}
                self._note(replace(segment, stage_seconds=segment.stage_seconds | planned))
                self._tell(self.work.frame_count, 0)

    def _tasks_left(self, stages: ThreadedStages) -> Generator[SegmentTask, None, None]:
        places, done = self._places_left(stages), self.work.numbers
        return plan_segments(
            places, lambda number: number not in done, reach(self.job.options.stabilize)
        )

    def _tell(self, before: int, since: int) -> None:
        if self.on_frame is not None:
            self.on_frame(before + since)

    def _note(self, segment: Segment) -> None:
        self.work.append_entry(replace(segment, changes=tuple(self.changes.sentences)))
        if self.on_segment is not None:
            self.on_segment(segment)

    def _places_left(self, stages: ThreadedStages) -> Iterator[FrameContext]:
        """Yield the frames that are left, and before them those of SEGMENTS_AGAIN segments."""
        film = self.job.film
        frames = _warn_if_colored(self._frames_left(), film)
        return places_of(
            stages.ahead(frames, "decode"),
            self.job,
            self.job.guidance.open_masks(film),
            first_segment=max(0, len(self.work.unbroken) - SEGMENTS_AGAIN),
        )

    def _frames_left(self) -> Iterator[Frame]:
        """Yield the frames that are left, and before them those of SEGMENTS_AGAIN segments.

        The luma of the first frame is compared with the recorded one, because seeking is not exact
        in every film. If it differs, the film is read from its start.
        """
        film, plan = self.job.film, self.job.plan
        again = self.work.unbroken[-SEGMENTS_AGAIN:]
        if not again:
            return read_frames(film, start=plan.start, end=plan.end, changes=self.changes)
        first = again[0]
        for start in (first.first_pts * film.time_base - film.start_seconds, plan.start):
            frames = read_frames(film, start=start, end=plan.end, changes=self.changes)
            found = next((frame for frame in frames if frame.pts >= first.first_pts), None)
            if found is not None and (found.pts, checksum(found)) == (
                first.first_pts,
                first.first_luma,
            ):
                return chain([found], frames)
        log.warning("%s: decodes differently than before; starting over", film.path)
        self.work.reset()
        return read_frames(film, start=plan.start, end=plan.end, changes=self.changes)


def _warn_if_colored(frames: Iterable[Frame], film: Film) -> Iterator[Frame]:
    """Yield the frames; log once if they have colors, or a tint, which will be replaced."""
    is_logged = False
    for number, frame in enumerate(frames):
        if not is_logged and number % LOOK_EVERY_FRAMES == 0:
            is_logged = bool(np.abs(unit_chroma(frame)).mean() > COLOR_UNIT_CHROMA)
            if is_logged:
                log.info("%s: its own colors are replaced; only its luma is used", film.path)
        yield frame
