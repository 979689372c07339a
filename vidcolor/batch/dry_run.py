"""What a batch would do, how long it would take and how large its results would be."""

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
"""Of a film that are rendered to measure: past what only the first frame takes."""


@dataclass(frozen=True)
class FilmEstimate:
    """What would be done with a film."""

    task: Task
    what: Literal["skip", "render", "go on", "fail"]
    frames_left: int | None = 0
    """That would be rendered; None: the film does not say how many it has."""
    pixels: int = 0
    """Of a frame."""
    why: str = ""


@dataclass(frozen=True)
class Measured:
    """What a film costs, measured on its first seconds."""

    film: Path
    seconds_per_pixel: float
    """On the clock, with one worker."""
    bytes_per_pixel: float
    """Of the result, its sound included."""


@dataclass(frozen=True)
class DryRun:
    """What a batch would do."""

    estimates: tuple[FilmEstimate, ...]
    measured: Measured | None
    """None: nothing is left to be done that could be measured."""
    workers: int

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return what would be done with each film."""
        rows = [
            [str(o.task.film), o.what, "?" if o.frames_left is None else str(o.frames_left or ""),
             o.why or str(o.task.out)]
            for o in self.estimates
        ]  # fmt: skip
        return ["film", "would", "frames", "result, or why not"], rows

    def summary(self) -> str:
        """Return in one line how long it would take, how much disk, and how that is known."""
        if self.measured is None:
            return "nothing to measure: no film is left that could be rendered"
        pixels = sum((o.frames_left or 0) * o.pixels for o in self.estimates)
        minutes = pixels * self.measured.seconds_per_pixel / self.workers / 60
        megabytes = pixels * self.measured.bytes_per_pixel / 1e6
        unknown = sum(o.frames_left is None for o in self.estimates)
        besides = f"; {unknown} films do not say how long they are" if unknown else ""
        return (
            f"about {_rounded(minutes, 'minutes')} and {_rounded(megabytes, 'MB')}, by the first "
            f"{SAMPLE_SECONDS} s of {self.measured.film} and the pixels of the others{besides}"
        )


def _rounded(amount: float, unit: str) -> str:
    return f"{amount:.0f} {unit}" if amount >= 1 else f"{amount:.1g} {unit}"


def dry_run(options: BatchOptions) -> DryRun:
    """Say what a batch would do, and measure what that would cost on one of its films.

    Args:
        options: those of the batch.

    Raises:
        InputError: a film that is named is not there.
        OptionsError: the options cannot be meant.
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
    return FilmEstimate(task, "go on" if done else "render", left, job.film.width * job.film.height)


def _frames_done(task: Task, identity: Fingerprint) -> int:
    """Return how many frames an interrupted run has left."""
    record = read_journal(folder_of(task.out) / JOURNAL)
    if record is None or record.fingerprint != identity:
        return 0
    return sum(segment.frame_count for segment in record.segments)


def _measured(estimates: Sequence[FilmEstimate], options: RenderOptions) -> Measured | None:
    """Return what the first film costs of which the beginning can be rendered."""
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
    # The first frame waits for the model and for those that are looked at ahead of it.
    seconds = (times[-1] - times[0]) * len(times) / max(1, len(times) - 1)
    return Measured(task.film, seconds / pixels, byte_count / pixels)
