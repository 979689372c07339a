"""The command `vidcolor batch`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import (
    RECIPE_SUFFIX,
    UNWATCHED,
    USUAL,
    AsFlags,
    MessageFlags,
    MonitoringFlags,
    RecipeFlag,
)
from vidcolor.errors import VidcolorError
from vidcolor.options.batch import BatchOptions
from vidcolor.signals import stoppable

if TYPE_CHECKING:
    from vidcolor.batch.batch import Outcome
    from vidcolor.cli.metrics_server import FilmMetrics, Monitor
    from vidcolor.pipeline.journal import Segment

TEXT_COLUMN = "output / reason"
"""The column of the tables that holds text."""


def batch(
    *places: Annotated[
        Path,
        Parameter(
            help="Films, folders, patterns or lists (.txt) of films; then the output folder."
        ),
    ],
    recipe: RecipeFlag = None,
    options: Annotated[BatchOptions, AsFlags, Parameter(consume_multiple=True)] = BatchOptions(),  # noqa: B008  it is frozen
    monitoring: MonitoringFlags = UNWATCHED,
    messages: MessageFlags = USUAL,
) -> None:
    """Color many films; skip finished ones, and continue if one fails."""
    is_recipe = len(places) == 1 and places[0].suffix == RECIPE_SUFFIX  # the options are from it
    named = [] if is_recipe else list(places)
    if len(named) > 1:
        options = replace(options, films=tuple(named[:-1]), out=named[-1])
    elif named:
        options = replace(options, films=tuple(named))
    if options.dry_run:
        _dry_run(options)
    else:
        _batch(options, monitoring.metrics_port)


def _dry_run(options: BatchOptions) -> None:
    from vidcolor.batch.dry_run import dry_run

    with stoppable():
        found = dry_run(options)
    console.show_table("Plan", *found.table(), words=[TEXT_COLUMN])
    console.say(found.summary())


def _batch(options: BatchOptions, metrics_port: int | None) -> None:
    from vidcolor.batch.batch import batch as color
    from vidcolor.cli.metrics_server import monitored

    with (
        stoppable(),
        monitored(metrics_port) as monitor,
        console.rows() as row,
        row("all films", unit="films") as films,
    ):
        progress = _BatchProgress(monitor, row, films)
        report = color(options, watching=progress.watching, on_outcome=progress.add_outcome)
    if not console.is_quiet():
        console.show_table("Films", *report.table(), words=[TEXT_COLUMN])
    count = len(report.outcomes)
    if report.count("failed"):
        raise VidcolorError(
            f"batch: {report.count('failed')} of {count} films failed; run the same command again "
            "to retry them (finished films are skipped)"
        )
    console.note(f"{options.out}: {count} films, {report.count('done')} rendered by this run")


class _BatchProgress:
    """Counts and shows the progress of the films."""

    def __init__(
        self, monitor: "Monitor", row: console.ProgressRow, films: console.ShowProgress
    ) -> None:
        self._monitor, self._row, self._films = monitor, row, films
        self._count = 0

    @contextmanager
    def watching(self, film: Path, expected: int | None) -> Iterator["_FilmProgress"]:
        """Count and show the progress of a film while the block lasts."""
        with (
            self._monitor.film(film, expected) as counts,
            self._row(film.name, unit="frames") as report,
        ):
            yield _FilmProgress(counts, report, expected)

    def add_outcome(self, outcome: "Outcome", total: int) -> None:
        """Count and show the result of one film."""
        if outcome.state == "failed":
            console.fail(outcome.reason)
        elif outcome.state == "skipped":
            self._monitor.films.add(value="skipped")
        else:
            console.note(f"wrote {outcome.out}: {outcome.frame_count} frames")
        self._count += 1
        self._films(self._count, total)


@dataclass(frozen=True)
class _FilmProgress:
    counts: "FilmMetrics"
    report: console.ShowProgress
    expected: int | None

    def frame(self, done: int) -> None:
        self.counts.frame(done)
        self.report(done, self.expected)

    def segment(self, segment: "Segment") -> None:
        self.counts.segment(segment)
