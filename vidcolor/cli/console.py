"""The terminal: messages and progress on stderr, results and tables on stdout.

With `--log-json` every line on stderr is a JSON object, and no progress bar is drawn.
"""

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from rich import box
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

from vidcolor.cli.json_log import line_of

Numbers = Mapping[str, float]
"""Values to show next to a progress bar, by name."""

NOTHING: Numbers = MappingProxyType({})


class ShowProgress(Protocol):
    """Updates a progress bar."""

    def __call__(self, done: int, total: int | None, numbers: Numbers = NOTHING) -> None:
        """Show progress; a total that is None, or less than `done`, counts as unknown."""


LINE_EVERY_SECONDS = 30.0
"""How often progress is logged if stderr is not a terminal (a log file, CI)."""

_stdout = Console(highlight=False, markup=False, emoji=False)
_stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)
_tables = Console(highlight=False, markup=False, emoji=False, width=1000)
"""For tables: wide enough that no line is wrapped in a file or a pipe."""
_logger = logging.getLogger("vidcolor")


def one_line(text: str) -> str:
    """Return the text on one line, with control characters (as in file names) escaped."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


class _Handler(logging.Handler):
    """Writes each message as one line to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno != logging.INFO else ""
        _stderr.out(f"vidcolor: {level}{one_line(record.getMessage())}")
        if record.exc_info:
            _stderr.print_exception()


class _JsonHandler(logging.Handler):
    """Writes each message as one JSON object to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        _stderr.out(line_of(record))


def set_up(*, quiet: bool = False, debug: bool = False, log_json: bool = False) -> None:
    """Show the package's messages on stderr: all with `debug`, warnings only with `quiet`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # escape what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    _logger.handlers = [_JsonHandler() if log_json else _Handler()]
    _logger.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)
    if not debug:
        warnings.simplefilter("ignore")  # from other libraries; ours are log messages


def hush() -> None:
    """Show only warnings from now on: of several training processes, only the first logs."""
    _logger.setLevel(logging.WARNING)


def is_debugging() -> bool:
    """Tell whether tracebacks are shown."""
    return _logger.isEnabledFor(logging.DEBUG)


def is_quiet() -> bool:
    """Tell whether only warnings and errors are shown."""
    return not _logger.isEnabledFor(logging.INFO)


def _is_json() -> bool:
    return any(isinstance(handler, _JsonHandler) for handler in _logger.handlers)


def say(text: str) -> None:
    """Write a line of the result to stdout."""
    _stdout.out(one_line(text))


def fail(text: str) -> None:
    """Write an error to stderr, as one line; with `debug`, the traceback too."""
    _logger.error("%s", text, exc_info=is_debugging())


def note(text: str, **facts: Any) -> None:
    """Write a message to stderr, unless `quiet`; `facts` are added to JSON messages."""
    _logger.info("%s", text, extra={"facts": facts})


def warn(text: str) -> None:
    """Write one line to stderr, at any level of messages."""
    _logger.handle(_logger.makeRecord(_logger.name, logging.INFO, "", 0, text, (), None))


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[str] = ()
) -> None:
    """Write a table to stdout; align the first column and those in `words` left, others right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        is_left = index == 0 or column in words
        table.add_column(column, justify="left" if is_left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    _tables.print(table)


@contextmanager
def progress(task: str, *, unit: str) -> Iterator[ShowProgress]:
    """Show progress and the time left, until the block ends.

    Args:
        task: what is being done, in a word or two.
        unit: what is counted, in the plural.
    """
    with rows() as row, row(task, unit=unit) as report:
        yield report


class ProgressRow(Protocol):
    """Shows the progress of one of several tasks, until its block ends."""

    def __call__(self, task: str, *, unit: str) -> AbstractContextManager[ShowProgress]:
        """Start showing a task, as `progress` does."""


@contextmanager
def rows() -> Iterator[ProgressRow]:
    """Show the progress of several tasks and the time left, until the block ends.

    Any thread may add a row.
    """
    if not _stderr.is_terminal or is_quiet() or _is_json():
        yield lambda task, *, unit: nullcontext(_lines(task, unit))
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}{task.fields[numbers]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_stderr, transient=True) as bars:
        yield partial(_row, bars)


@contextmanager
def _row(bars: Progress, task: str, *, unit: str) -> Iterator[ShowProgress]:
    number = bars.add_task(one_line(task), total=None, unit=unit, numbers="")
    try:
        yield _drawn(bars, number)
    finally:
        bars.remove_task(number)


def _drawn(bar: Progress, task: TaskID) -> ShowProgress:
    def report(done: int, total: int | None, numbers: Numbers = NOTHING) -> None:
        bar.update(task, completed=done, total=_known(done, total), numbers=_shown(numbers))

    return report


def _lines(task: str, unit: str) -> ShowProgress:
    start = logged = time.monotonic()
    done_before: int | None = None

    def report(done: int, total: int | None, numbers: Numbers = NOTHING) -> None:
        nonlocal logged, done_before
        now = time.monotonic()
        if done_before is None:  # not 0 if interrupted work is resumed
            done_before = max(0, done - 1)
        if done <= done_before or now - logged < LINE_EVERY_SECONDS:
            return
        logged = now
        total = _known(done, total)
        pace = (now - start) / (done - done_before)
        left = "" if total is None else f", {_clock(pace * (total - done))} left"
        facts = {"task": task, "unit": unit, "done": done, "total": total, **numbers}
        words = f"{task} {done}/{total or '?'} {unit}{_shown(numbers)}{left}"
        _logger.info("%s", words, extra={"facts": facts})

    return report


def _known(done: int, total: int | None) -> int | None:
    return total if total is not None and done <= total else None


def _shown(numbers: Numbers) -> str:
    return "".join(f"  {name} {value:.4g}" for name, value in numbers.items())


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
