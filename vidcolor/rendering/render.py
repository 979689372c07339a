"""The verb `render`: a film in, the same film in color out.

Inputs and options are checked; the driver (`driver.py`) renders the segments that are not done yet,
in this process or by a pool; they are joined, and everything else is carried over. A run that was
cut short resumes with what it did not finish.
"""

import json
import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from vidcolor._version import __version__
from vidcolor.errors import OutputError
from vidcolor.files import atomic_write
from vidcolor.guidance.open_guidance import open_given
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.mux import join
from vidcolor.media.output_errors import output_errors
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import Film
from vidcolor.media.stream_report import StreamAccount
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.resolved_job import RenderJob, resolve_render_job
from vidcolor.pipeline.segment_job import Job, load_model
from vidcolor.rendering.driver import OnFrame, OnSegment, RenderDriver
from vidcolor.rendering.workdir import WorkDir, interrupted_fingerprint, work_on
from vidcolor.workers.choose import create_pool
from vidcolor.workers.pool import WorkerPool

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What `render` did."""

    film: Path
    out: Path
    """The film in color."""
    frame_count: int
    shot_count: int
    segment_count: int
    resumed_frame_count: int
    """Frames done by earlier, interrupted runs."""
    stage_seconds: dict[str, float]
    """Time spent in each stage, over all segments and runs."""
    changes: tuple[str, ...]
    """What was lost or converted, one sentence each."""
    streams: tuple[StreamAccount, ...]
    """Result of each stream; empty if an earlier run was killed after its last step."""

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
    pool: WorkerPool | None = None,
) -> Rendered:
    """Color the film `source` and write it to `out`, which appears only when it is complete.

    Args:
        source: any film that FFmpeg reads.
        out: a name that ends in .mp4, .mkv or .mov.
        options: model, encoder, device and the rest.
        on_frame: called with the number of frames done, after each or, by a pool, each segment.
        on_segment: called with each segment that this run has rendered and noted.
        pool: renders the segments; None: whom the options hire.

    Raises:
        InputError: the film or its mask cannot be read, or no frame is between start and end.
        OptionsError: codec, preset and container do not go together.
        OutputError: the result cannot be written or cannot hold a track of the film, or an
            interrupted render of it had other options or inputs.
        ModelError: the model is missing, damaged or too large for the memory.
    """
    out = Path(out)
    begun = {} if options.restart else interrupted_fingerprint(out)
    job = resolve_render_job(source, options, begun)
    return render_job(job, out, on_frame=on_frame, on_segment=on_segment, pool=pool)


def render_job(
    resolved: RenderJob,
    out: Path,
    *,
    on_frame: OnFrame | None = None,
    on_segment: OnSegment | None = None,
    pool: WorkerPool | None = None,
) -> Rendered:
    """Color the film of a job; all else is as for `render`."""
    film, options = resolved.film, resolved.options
    earlier = WorkDir(out, resolved.fingerprint)
    if earlier.is_published():
        with work_on(out, resolved.fingerprint):  # removes the work folder
            log.info("%s: was finished by an earlier run", out)
        return _reported(_rendered(film, earlier, Changes(), earlier.frame_count, ()), options)
    check_report(options.report)
    sidecar = resolved.guidance.sidecar.path
    if sidecar is not None:
        log.info("%s: using per-shot settings from %s", film.path, sidecar)
    changes = Changes(strict=options.strict)
    plan = check_output(film, out, options, changes)
    given = tuple(open_given(film, resolved.guidance, start=plan.start, end=plan.end))
    with nullcontext(pool) if pool else create_pool(options) as created:
        renderer = created or load_model(resolved)
        with work_on(out, resolved.fingerprint) as work:
            work.resume(restart=options.restart, is_expendable=options.overwrite)
            resumed = work.frame_count
            changes.recall(work.changes)
            if resumed:
                log.info("%s: resuming an interrupted render after %d frames", out, resumed)
            job = Job(**vars(resolved), plan=plan, given=given, folder=work.folder)
            RenderDriver(job, work, changes, on_frame, on_segment).render(renderer)
            streams = join(work.paths, film, plan, changes, before_rename=work.record_publish)
            return _reported(_rendered(film, work, changes, resumed, streams), options)


def check_report(path: Path | None) -> None:
    """Check early that the report can be written.

    Raises:
        OutputError: it cannot.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise OutputError(
            f"{path}: cannot be written; name a file in an existing folder as --report"
        )


def write_report(path: Path | None, document: str) -> None:
    """Write a report, if the user wants one.

    Raises:
        OutputError: it cannot be written.
    """
    if path is not None:
        with output_errors(path), atomic_write(path) as draft:
            draft.write_text(document + "\n", encoding="utf-8")


def _rendered(
    film: Film,
    work: WorkDir,
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
    write_report(options.report, done.to_json())
    return done
