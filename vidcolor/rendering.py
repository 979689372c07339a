"""The verb `render`: a film in, the same film in colour out.

The line: decode, divide into shots and segments, colour, hold the colour steady, enlarge the
chroma under the luma's guidance, merge it with the film's own luma, encode segment by segment,
join these, and carry everything else over. Or a crew renders the segments, in any order, and this
process decodes and divides for them. A run that is cut short goes on with what it did not finish.
"""

import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path

import numpy as np

from vidcolor._version import __version__
from vidcolor.coloring import (
    Picture,
    color,
    find_film,
    load_colorizer,
    places_of,
    settle_engine,
    while_memory_lasts,
)
from vidcolor.crew import Crew
from vidcolor.errors import InputError, OutputError
from vidcolor.fingerprint import fingerprint
from vidcolor.given.sources import open_given
from vidcolor.hiring import hired
from vidcolor.journal import Segment
from vidcolor.masks.sources import Masks, open_masks
from vidcolor.media.account import StreamAccount
from vidcolor.media.changes import Changes
from vidcolor.media.decode import Frame, read_frames, unit_chroma
from vidcolor.media.encode import output_errors
from vidcolor.media.film import Film
from vidcolor.media.mux import join
from vidcolor.media.plan import check_output
from vidcolor.network.colorizer import Colorizer
from vidcolor.network.device import one_thread_a_call
from vidcolor.options import RenderOptions
from vidcolor.overlap import Stages
from vidcolor.parts import Job, Part, plan_parts
from vidcolor.segments import Placed
from vidcolor.sidecar import sidecar_path
from vidcolor.steady import reach
from vidcolor.work import Work, begun_with, work_on
from vidcolor.writing import Merged, checksum, merge, write_segment

log = logging.getLogger(__name__)

LOOK_EVERY_FRAMES = 24
"""How often a film's own colour is looked for: once a second."""
SEGMENTS_AGAIN = 2
"""Finished segments that a run which goes on sees again: one, so that it is known where shots begin
in the other, on which the colour of the next one depends."""
COLOR_UNIT_CHROMA = 2 / 255
"""A frame whose chroma is further from 0, on average, has colour; compressed grey is nearer."""

OnFrame = Callable[[int], None]
OnSegment = Callable[[Segment], None]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What `render` did."""

    film: Path
    out: Path
    """The film in colour."""
    frame_count: int
    shot_count: int
    segment_count: int
    resumed_frame_count: int
    """Frames that an interrupted run had done already."""
    stage_seconds: dict[str, float]
    """How long each stage worked on all segments, also those of interrupted runs."""
    changes: tuple[str, ...]
    """What the result does not keep of the film, a sentence each."""
    streams: tuple[StreamAccount, ...]
    """What became of each stream; none if a run before this one was killed after its last step."""

    def to_json(self) -> str:
        """Return the report that `--report` writes."""
        return json.dumps({"vidcolor": __version__, **asdict(self)}, indent=2, default=str)


def render(
    source: Path | str,
    out: Path | str,
    options: RenderOptions,
    *,
    on_frame: OnFrame | None = None,
    on_segment: OnSegment | None = None,
    crew: Crew | None = None,
) -> Rendered:
    """Colour the film `source` and write it to `out`, which appears only when it is whole.

    Args:
        source: any film that FFmpeg reads.
        out: a name that ends in .mp4, .mkv or .mov.
        options: model, encoder, device and the rest.
        on_frame: called with the number of frames done, after each or, by a crew, each segment.
        on_segment: called with each segment that this run has rendered and noted.
        crew: renders the segments; None: whom the options hire.

    Raises:
        InputError: the film or its mask cannot be read, or no frame is between start and end.
        OptionsError: codec, preset and container do not go together.
        OutputError: the result cannot be written, or cannot hold one of the film's tracks, or an
            interrupted render of it was made otherwise.
        ModelError: there is no such model, or it is damaged, or too large for the memory.
    """
    out = Path(out)
    film = find_film(source, options)
    masks = open_masks(film, options)
    begun = None if options.restart else begun_with(out).get("--engine")
    options = settle_engine(options, film.frame_count_from_header, begun)
    identity = fingerprint(film, options)
    earlier = Work(out, identity)
    if earlier.is_published():
        with work_on(out, identity):  # which puts away what that run left
            log.info("%s: was finished by an interrupted run", out)
        return _reported(_rendered(film, earlier, Changes(), earlier.frame_count, ()), options)
    check_report(options.report)
    sidecar = sidecar_path(film, options)
    if sidecar is not None:
        log.info("%s: its settings hold for the shots of %s", sidecar, film.path)
    changes = Changes(strict=options.strict)
    plan = check_output(film, out, options, changes)
    given = tuple(open_given(film, options, start=plan.start, end=plan.end))
    with nullcontext(crew) if crew else hired(options) as hands:
        colorizer = None if hands else load_colorizer(options)
        with work_on(plan.out, identity) as work:
            work.take_up(restart=options.restart, is_expendable=options.overwrite)
            resumed = work.frame_count
            changes.recall(work.changes)
            if resumed:
                log.info("%s: going on after %d frames of an interrupted render", out, resumed)
            job = Job(film=film, plan=plan, options=options, given=given, fingerprint=identity,
                      folder=work.folder)  # fmt: skip
            line = _Line(job, work, changes, masks, on_frame, on_segment)
            if hands is not None:
                line.render_by(hands)
            elif colorizer is not None:
                line.render_by_itself(colorizer)
            streams = join(work.paths, film, plan, changes, before_rename=work.announce)
            return _reported(_rendered(film, work, changes, resumed, streams), options)


def check_report(path: Path | None) -> None:
    """Refuse a report that could not be written in the end."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise OutputError(f"{path}: cannot be the report; name a file in a folder that is there")


def _rendered(
    film: Film,
    work: Work,
    changes: Changes,
    resumed: int,
    streams: tuple[StreamAccount, ...],
) -> Rendered:
    return Rendered(
        film=film.path,
        out=work.out,
        frame_count=work.frame_count,
        shot_count=sum(segment.shot_count for segment in work.segments),
        segment_count=len(work.segments),
        resumed_frame_count=resumed,
        stage_seconds=_total(segment.stage_seconds for segment in work.segments),
        changes=tuple(changes.sentences),
        streams=streams,
    )


def _total(laps: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for lap in laps:
        for stage, seconds in lap.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total


def _reported(done: Rendered, options: RenderOptions) -> Rendered:
    if options.report is not None:
        with output_errors(options.report):
            options.report.write_text(done.to_json() + "\n", encoding="utf-8")
    return done


@dataclass(frozen=True)
class _Line:
    """The line from decoded frames to finished segments."""

    job: Job
    work: Work
    changes: Changes
    masks: Masks
    on_frame: OnFrame | None
    on_segment: OnSegment | None

    def render_by_itself(self, colorizer: Colorizer) -> None:
        """Render what is not done yet, in this process, as it is decoded."""
        with one_thread_a_call():
            while_memory_lasts(lambda: self._render(colorizer), colorizer, self.job.options)
        self._check_frames()

    def _render(self, colorizer: Colorizer) -> None:
        job = self.job
        with Stages() as stages, closing(self._merged(colorizer, stages)) as frames:
            done = self.work.numbers
            for number, group in groupby(frames, key=lambda frame: frame.place.segment):
                if number not in done:
                    path = job.folder / job.plan.segment_name(number)
                    tell = partial(self._tell, self.work.frame_count)
                    self._note(write_segment(path, group, job.film, job.plan, stages, tell))

    def _merged(self, colorizer: Colorizer, stages: Stages) -> Generator[Merged, None, None]:
        job, places = self.job, self._places_left(stages)
        done = self.work.numbers
        colored = color(
            places,
            lambda place: place.segment not in done,
            colorizer,
            job.film.matrix,
            job.options,
            job.given,
            stages,
        )
        return merge(colored, job.film, job.plan, stages)

    def render_by(self, crew: Crew) -> None:
        """Let a crew render what is not done yet, while this process decodes and divides."""
        with (
            Stages() as stages,
            closing(self._parts_left(stages)) as parts,
            closing(crew.render_parts(self.job, parts)) as segments,
        ):
            for segment in segments:
                planned = {f"plan: {name}": seconds for name, seconds in stages.lap().items()}
                self._note(replace(segment, stage_seconds=segment.stage_seconds | planned))
                self._tell(self.work.frame_count, 0)
        self._check_frames()

    def _parts_left(self, stages: Stages) -> Generator[Part, None, None]:
        places, done = self._places_left(stages), self.work.numbers
        return plan_parts(
            places, lambda number: number not in done, reach(self.job.options.stabilize)
        )

    def _tell(self, before: int, since: int) -> None:
        if self.on_frame is not None:
            self.on_frame(before + since)

    def _note(self, segment: Segment) -> None:
        self.work.note(replace(segment, changes=tuple(self.changes.sentences)))
        if self.on_segment is not None:
            self.on_segment(segment)

    def _check_frames(self) -> None:
        film, options = self.job.film, self.job.options
        if not self.work.segments:
            raise InputError(
                f"{film.path}: no frame between --start {options.start or 0} and "
                f"--end {options.end or 'its end'}; choose other times"
            )

    def _places_left(self, stages: Stages) -> Iterator[Placed[Picture]]:
        """Yield the frames from the first that is not done on, and SEGMENTS_AGAIN before them."""
        film = self.job.film
        frames = _saying_if_colored(self._frames_left(), film)
        return places_of(
            stages.ahead(frames, "decode"),
            film,
            self.masks,
            self.job.options,
            first_segment=max(0, len(self.work.unbroken) - SEGMENTS_AGAIN),
        )

    def _frames_left(self) -> Iterator[Frame]:
        """Yield the frames that are not done, and before them those of the last SEGMENTS_AGAIN.

        The luma of the first must be what it was: not every film can be entered in its middle.
        One that cannot is read from its beginning.
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
        log.warning("%s: decodes otherwise than before; beginning anew", film.path)
        self.work.forget()
        return read_frames(film, start=plan.start, end=plan.end, changes=self.changes)


def _saying_if_colored(frames: Iterable[Frame], film: Film) -> Iterator[Frame]:
    """Yield the frames; say it once where they have colours, or a tint, that will be replaced."""
    is_said = False
    for number, frame in enumerate(frames):
        if not is_said and number % LOOK_EVERY_FRAMES == 0:
            is_said = bool(np.abs(unit_chroma(frame)).mean() > COLOR_UNIT_CHROMA)
            if is_said:
                log.info("%s: its own colours are replaced; only its luma is used", film.path)
        yield frame
