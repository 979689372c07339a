"""The verb `batch`: many films in, all of them in color out.

Each film is rendered as `render` does it, and resumes where an earlier run left it. One that fails
is recorded as failed with its reason, and the others are rendered. With a pool, segments of
several films are rendered at once; else one film follows the other.
"""

import json
import logging
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from vidcolor._version import __version__
from vidcolor.batch.inputs import Task, find_tasks
from vidcolor.batch.ledger import Ledger
from vidcolor.errors import OptionsError, VidcolorError
from vidcolor.media.output_errors import output_errors
from vidcolor.media.output_plan import frames_ahead
from vidcolor.network.library import find_model
from vidcolor.options.batch import BatchOptions
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.resolved_job import RenderJob, resolve_render_job
from vidcolor.rendering.render import Rendered, check_report, render_job, write_report
from vidcolor.rendering.workdir import folder_of, interrupted_fingerprint, work_on
from vidcolor.signals import reraise_pending_interrupt
from vidcolor.workers.choose import create_pool, single_process
from vidcolor.workers.pool import WorkerPool

log = logging.getLogger(__name__)

State = Literal["done", "skipped", "failed"]


class FilmWatcher(Protocol):
    """Follows the progress of a film."""

    def frame(self, done: int) -> None:
        """Set how many of its frames are done."""

    def segment(self, segment: Segment) -> None:
        """Count a segment that this run has rendered."""


Watching = Callable[[Path, int | None], AbstractContextManager[FilmWatcher]]
"""Takes a film and its expected number of frames; its block lasts while the film is rendered."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one film."""

    film: Path
    out: Path
    state: State
    """done: by this run; skipped: done by an earlier run; failed: `reason` says why."""
    frame_count: int = 0
    """Frames of the output; 0 if this run did not render it."""
    seconds: float = 0.0
    """Time that this run spent on it."""
    reason: str = ""
    changes: tuple[str, ...] = ()
    """What was lost or converted, one sentence each."""


@dataclass(frozen=True)
class BatchReport:
    """What `batch` did."""

    outcomes: tuple[Outcome, ...]
    """One per film, in the order of the films."""

    def count(self, state: State) -> int:
        """Return how many films are in a state."""
        return sum(outcome.state == state for outcome in self.outcomes)

    def to_json(self) -> str:
        """Return the report that `--report` writes."""
        counts = {state: self.count(state) for state in ("done", "skipped", "failed")}
        films = [asdict(outcome) for outcome in self.outcomes]
        document = {"vidcolor": __version__, **counts, "films": films}
        return json.dumps(document, indent=2, default=str)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the headings and rows of a table, one row per film."""
        rows = [
            [str(one.film), one.state, str(one.frame_count or ""), one.reason or str(one.out)]
            for one in self.outcomes
        ]
        return ["film", "result", "frames", "output / reason"], rows


def tasks_of(options: BatchOptions) -> list[Task]:
    """Return the films that the options name, and the outputs.

    Raises:
        InputError: one does not exist.
        OptionsError: films or the output folder are missing, or two films have the same output.
    """
    if not options.films or options.out is None:
        raise OptionsError(
            "batch: films or output folder are missing; write vidcolor batch FILMS... OUT, or "
            "vidcolor batch RECIPE.toml"
        )
    return find_tasks(options.films, options.out, options.codec)


def batch(
    options: BatchOptions,
    *,
    watching: Watching,
    on_outcome: Callable[[Outcome, int], None] | None = None,
) -> BatchReport:
    """Color all films that the options name, except those that are done.

    Args:
        options: the films, the output folder and the options of their renders.
        watching: follows the progress of each film; called by several threads.
        on_outcome: called in this thread with the result of each film and the number of films, as
            soon as the film is finished.

    Raises:
        InputError: one of the films does not exist.
        OptionsError: the options are invalid.
        OutputError: the folder cannot be made, or the report cannot be written.
        ModelError: there is no such model.
    """
    tasks = tasks_of(options)
    assert options.out is not None
    find_model(options.model)
    with output_errors(options.out):
        options.out.mkdir(parents=True, exist_ok=True)
    check_report(options.report)
    work = _Batch(options.of_each(), Ledger(options.out), watching)
    outcomes: dict[Task, Outcome] = {}
    with closing(work.outcomes(tasks)) as found:
        for task, outcome in found:
            outcomes[task] = outcome
            if on_outcome is not None:
                on_outcome(outcome, len(tasks))
    report = BatchReport(tuple(outcomes[task] for task in tasks))
    write_report(options.report, report.to_json())
    return report


class _Batch:
    """What the films of a batch share."""

    def __init__(self, options: RenderOptions, ledger: Ledger, watching: Watching) -> None:
        self._pool_options, self._ledger, self._watching = options, ledger, watching
        self._options = single_process(options)  # all films share the pool

    def outcomes(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Outcome], None, None]:
        """Render the films and yield what becomes of each, as soon as that is known."""
        # The threads of films end after the pool: when it is dismissed, they have nothing to do.
        with ExitStack() as threads, create_pool(self._pool_options) as pool:
            if pool is None:
                yield from ((task, self._outcome(task, None)) for task in tasks)
                return
            # While the segments of some films are rendered, one is opened or joined.
            films = threads.enter_context(ThreadPoolExecutor(pool.size + 1, "vidcolor-film"))
            futures = {films.submit(self._outcome, task, pool): task for task in tasks}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _outcome(self, task: Task, pool: WorkerPool | None) -> Outcome:
        begun = time.monotonic()
        try:
            rendered = self._rendered(task, pool)
        except CancelledError:
            raise
        except Exception as error:
            reraise_pending_interrupt()
            log.debug("%s", task.film, exc_info=True)
            is_explained = isinstance(error, VidcolorError)
            reason = str(error) if is_explained else f"unexpected {type(error).__name__}: {error}"
            return Outcome(film=task.film, out=task.out, state="failed", reason=reason)
        if rendered is None:
            return Outcome(film=task.film, out=task.out, state="skipped")
        return Outcome(
            film=task.film,
            out=task.out,
            state="done",
            frame_count=rendered.frame_count,
            seconds=time.monotonic() - begun,
            changes=rendered.changes,
        )

    def _rendered(self, task: Task, pool: WorkerPool | None) -> Rendered | None:
        """Render a film, or return None if that is done."""
        ledger = self._ledger
        try:
            job = job_of(task, self._options, ledger)
        except VidcolorError:
            with self._watching(task.film, None):  # where failures are counted
                raise
        identity = job.fingerprint
        if ledger.is_done(task.out, identity):
            if folder_of(task.out).exists():  # left by a run that was killed after its last step
                with work_on(task.out, identity):
                    log.debug("%s: removed the work folder of a killed run", task.out)
            return None
        with self._watching(task.film, frames_ahead(job.film, job.options)) as watch:
            if not job.options.overwrite:
                ledger.check(task.out, identity)
            with output_errors(task.out):
                task.out.parent.mkdir(parents=True, exist_ok=True)
            ledger.begin(task.out, identity)
            rendered = render_job(
                job, task.out, on_frame=watch.frame, on_segment=watch.segment, pool=pool
            )
        ledger.end(task.out, identity)
        return rendered


def job_of(task: Task, options: RenderOptions, ledger: Ledger) -> RenderJob:
    """Return the job that a task is.

    With `--engine auto`, an interrupted or failed render keeps its engine.

    Raises:
        VidcolorError: the film or another input cannot be read, or the options are invalid.
    """
    return resolve_render_job(
        task.film,
        options,
        {**ledger.last_fingerprint(task.out), **interrupted_fingerprint(task.out)},
    )
