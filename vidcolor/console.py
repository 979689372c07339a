"""The terminal: messages, progress with time left, tables. Results go to stdout, the rest to stderr."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

Report = Callable[..., None]
"""Called as report(done) or report(done, loss=0.3): how much is done, and numbers to show."""

LINE_EVERY_SECONDS = 30.0
"""How often progress is told where the terminal cannot be drawn on (a log file, CI)."""

_stdout = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
_stderr = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
_logger = logging.getLogger("vidcolor")


def one_line(text: str) -> str:
    """Return the text on one line, with control characters written out (names may hold any)."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


class _Handler(logging.Handler):
    """One line a message on stderr, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno != logging.INFO else ""
        _stderr.print(f"vidcolor: {level}{one_line(record.getMessage())}")


def set_up(*, quiet: bool = False, debug: bool = False) -> None:
    """Show the package's messages on stderr: all with `debug`, warnings only with `quiet`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")
    _logger.handlers = [_Handler()]
    _logger.propagate = False
    _logger.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)
    if not debug:
        warnings.simplefilter("ignore")  # those of other libraries; ours are log messages


def is_debugging() -> bool:
    """Say whether tracebacks are wanted."""
    return _logger.isEnabledFor(logging.DEBUG)


def say(text: str) -> None:
    """Write a line of the result to stdout."""
    _stdout.print(one_line(text))


def fail(text: str) -> None:
    """Write the one line of an error to stderr."""
    _stderr.print(f"vidcolor: error: {one_line(text)}")


def show_traceback() -> None:
    """Write the exception being handled to stderr, whole."""
    _stderr.print_exception()


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to stdout: the first column to the left, numbers to the right."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    _stdout.print(table)


@contextmanager
def progress(task: str, total: int | None, *, unit: str) -> Iterator[Report]:
    """Show how much of `total` is done and the time left, until the block ends.

    Args:
        task: what is being done, in one word.
        total: None where it is not known; a larger `done` than `total` counts as not known.
        unit: what is counted, in the plural.
    """
    if not _stderr.is_terminal or not _logger.isEnabledFor(logging.INFO):
        yield _lines(task, total, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit + "{task.fields[numbers]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_stderr, transient=True) as bar:
        yield _drawn(bar, bar.add_task(task, total=total, numbers=""), total)


def _drawn(bar: Progress, task: TaskID, total: int | None) -> Report:
    def report(done: int, **numbers: float) -> None:
        known = total if total is not None and done <= total else None
        bar.update(task, completed=done, total=known, numbers=_numbers(numbers))

    return report


def _lines(task: str, total: int | None, unit: str) -> Report:
    began = told = time.monotonic()

    def report(done: int, **numbers: float) -> None:
        nonlocal told
        now = time.monotonic()
        if done == 0 or now - told < LINE_EVERY_SECONDS:
            return
        told = now
        left = ""
        if total is not None and done <= total:
            left = f", {_clock((now - began) / done * (total - done))} left"
        _logger.info("%s %d/%s %s%s%s", task, done, total or "?", unit, _numbers(numbers), left)

    return report


def _numbers(numbers: Mapping[str, float]) -> str:
    return "".join(f"  {name} {value:.4g}" for name, value in numbers.items())


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
