"""Plan a batch without running it: actions, estimated time and disk space."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vidcolor.batch.batch import job_of, tasks_of
from vidcolor.batch.inputs import Task
from vidcolor.batch.ledger import Ledger
from vidcolor.errors import VidcolorError
from vidcolor.media.output_plan import frames_ahead
from vidcolor.options.batch import BatchOptions
from vidcolor.options.render import RenderOptions
from vidcolor.options.values import span_from_text
from vidcolor.pipeline.journal import Fingerprint, read_journal
from vidcolor.rendering.render import render
from vidcolor.rendering.workdir import JOURNAL, folder_of
from vidcolor.workers.choose import single_process

SAMPLE_SECONDS = 2
"""Length of the sample that is rendered to measure; enough to outweigh the start."""


@dataclass(frozen=True)
class FilmEstimate:
    """The planned action for a film, and its cost."""

    task: Task
    what: Literal["skip", "render", "resume", "fail"]
    frames_left: int | None = 0
    """Frames to render; None: unknown, as the film does not say how many it has."""
    pixels: int = 0
    """Pixels per frame."""
    why: str = ""


@dataclass(frozen=True)
class Measured:
    """The cost of a film, measured on its first seconds."""

    film: Path
    seconds_per_pixel: float
    """Wall time, with one worker."""
    bytes_per_pixel: float
    """Size of the output, including sound."""


@dataclass(frozen=True)
class DryRun:
    """The plan of a batch."""

    estimates: tuple[FilmEstimate, ...]
    measured: Measured | None
    """None: no film is left that could be measured."""
    workers: int

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the headings and rows of a table, one row per film."""
        rows = [
            [str(o.task.film), o.what, "?" if o.frames_left is None else str(o.frames_left or ""),
             o.why or str(o.task.out)]
            for o in self.estimates
        ]  # fmt: skip
        return ["film", "planned action", "frames", "output / reason"], rows

    def summary(self) -> str:
        """Return the estimate of time and disk space in one line, and how it was made."""
        if self.measured is None:
            return "no estimate: no film is left that could be measured"
        pixels = sum((o.frames_left or 0) * o.pixels for o in self.estimates)
        minutes = pixels * self.measured.seconds_per_pixel / self.workers / 60
        megabytes = pixels * self.measured.bytes_per_pixel / 1e6
        unknown = sum(o.frames_left is None for o in self.estimates)
        missing = f"; not included, of unknown length: {unknown}" if unknown else ""
        return (
            f"about {_rounded(minutes, 'minutes')} and {_rounded(megabytes, 'MB')} (estimated from "
            f"{SAMPLE_SECONDS} s of {self.measured.film} and the sizes of the films{missing})"
        )


def _rounded(amount: float, unit: str) -> str:
    return f"{amount:.0f} {unit}" if amount >= 1 else f"{amount:.1g} {unit}"


def dry_run(options: BatchOptions) -> DryRun:
    """Plan a batch, and estimate its cost by rendering the start of one film.

    Args:
        options: those of the batch.

    Raises:
        InputError: one of the films does not exist.
        OptionsError: the options are invalid.
        ModelError: there is no such model.
    """
    tasks = tasks_of(options)
    assert options.out is not None
    ledger, each = Ledger(options.out), options.of_each()
    estimates = tuple(_estimate(task, ledger, each) for task in tasks)
    left = [estimate for estimate in estimates if estimate.pixels]
    workers = each.workers if isinstance(each.workers, int) else 1
    return DryRun(estimates, _measured(left, each), workers)


def _estimate(task: Task, ledger: Ledger, options: RenderOptions) -> FilmEstimate:
    try:
        job = job_of(task, options, ledger)
        identity = job.fingerprint
        if ledger.is_done(task.out, identity):
            return FilmEstimate(task, "skip")
        if not job.options.overwrite:
            ledger.check(task.out, identity)
    except VidcolorError as error:
        return FilmEstimate(task, "fail", why=str(error))
    done, all_frames = _frames_done(task, identity), frames_ahead(job.film, job.options)
    left = None if all_frames is None else max(0, all_frames - done)
    return FilmEstimate(
        task, "resume" if done else "render", left, job.film.width * job.film.height
    )


def _frames_done(task: Task, identity: Fingerprint) -> int:
    """Return how many frames an interrupted run has finished."""
    record = read_journal(folder_of(task.out) / JOURNAL)
    if record is None or record.fingerprint != identity:
        return 0
    return sum(segment.frame_count for segment in record.segments)


def _measured(estimates: Sequence[FilmEstimate], options: RenderOptions) -> Measured | None:
    """Return the cost of the first film whose start can be rendered."""
    start, _ = span_from_text(options.start, options.end)
    end = str(float((start or 0) + SAMPLE_SECONDS))
    sample = replace(single_process(options), end=end, verify="none")
    for estimate in estimates:
        with suppress(VidcolorError):
            return _measure(estimate, sample)
    return None


def _measure(estimate: FilmEstimate, options: RenderOptions) -> Measured:
    task, times = estimate.task, list[float]()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / task.out.name
        done = render(task.film, out, options, on_frame=lambda _: times.append(time.monotonic()))
        byte_count = out.stat().st_size
    pixels = estimate.pixels * done.frame_count
    # Not counted: the first frame, which waits for the model and for the frames read ahead.
    seconds = (times[-1] - times[0]) * len(times) / max(1, len(times) - 1)
    return Measured(task.film, seconds / pixels, byte_count / pixels)
