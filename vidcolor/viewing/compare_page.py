"""The verb `compare`: a page that plays two films in sync, with a movable line between them.

If the films are small, they are embedded as data URIs (RFC 2397), and the page is a single file.
Else they are files next to it. The page loads nothing from the network.
"""

import base64
import html
import json
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from vidcolor.errors import OptionsError, OutputError
from vidcolor.files import atomic_write
from vidcolor.media.output_errors import output_errors
from vidcolor.media.probe import Film, frame_size, probe
from vidcolor.media.transcode import TimeSpan, copy_for_browsers, frame_times
from vidcolor.options.preview import PageOptions
from vidcolor.options.values import seconds_from_text, span_from_text

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Page:
    """The result of `compare`."""

    path: Path
    beside: tuple[Path, ...]
    """Film files next to the page; empty if they are embedded."""
    frame_count: int


def write_compare_page(
    first: Path | str, second: Path | str, out: Path | str, options: PageOptions
) -> Page:
    """Write a page that plays two films in sync.

    Args:
        first: the film on the left.
        second: the film on the right.
        out: the page, a name that ends in .html; replaced if it exists.
        options: which part of the films to show, and how large.

    Raises:
        InputError: a film cannot be read, or FFmpeg is missing.
        OptionsError: B starts after the part to show.
        OutputError: the page cannot be written.
    """
    out, films = Path(out), (probe(first), probe(second))
    beside = tuple(out.with_name(f"{out.stem}-{letter}.mp4") for letter in "ab")
    _check_place(out, beside, films)
    parts = _parts(options)
    loud = next((letter for letter, film in zip("ab", films, strict=True) if film.audio), None)
    with output_errors(out), _folder_for(out) as folder:
        copies = [folder / path.name for path in beside]
        for letter, film, part, copy in zip("ab", films, parts, copies, strict=True):
            log.info("%s: converting for the page", film.path)
            copy_for_browsers(
                film, copy, part=part, short_side=options.size, with_sound=letter == loud
            )
        return _write(out, beside, copies, films, loud, options)


@contextmanager
def _folder_for(out: Path) -> Iterator[Path]:
    """Provide a temporary folder next to a file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        yield Path(folder)


def _check_place(out: Path, beside: tuple[Path, ...], films: tuple[Film, Film]) -> None:
    if out.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{out}: is not an HTML name; use a name that ends in .html")
    own = {file.resolve() for film in films for file in film.source.files}
    taken = [path for path in (out, *beside) if path.resolve() in own]
    if taken:
        raise OutputError(f"{taken[0]}: is one of the films; use another name for the page")


def _parts(options: PageOptions) -> tuple[TimeSpan, TimeSpan]:
    """Return the span of each film to show, counted from its own start."""
    offset = seconds_from_text(options.offset, option="--offset")
    start, end = span_from_text(options.start, options.end)
    start = max(start or offset, offset)
    if end is not None and end <= start:
        raise OptionsError(
            f"--end {options.end}: is not after --offset, where B starts; use a later end"
        )
    return TimeSpan(start, end), TimeSpan(start - offset, None if end is None else end - offset)


def _write(
    out: Path,
    beside: tuple[Path, ...],
    copies: list[Path],
    films: tuple[Film, Film],
    loud: str | None,
    options: PageOptions,
) -> Page:
    times = _common_times(frame_times(copies[0]), frame_times(copies[1]), films)
    is_embedded = sum(copy.stat().st_size for copy in copies) <= options.embed * MEGABYTE
    sources = (
        [_data_uri(copy) for copy in copies]
        if is_embedded
        else [quote(path.name) for path in beside]
    )
    page = _filled(films, sources, times, loud)
    with atomic_write(out) as draft:
        draft.write_text(page, encoding="utf-8")
        if not is_embedded:
            for copy, path in zip(copies, beside, strict=True):
                copy.replace(path)
    return Page(out, () if is_embedded else beside, len(times) - 1)


def _common_times(first: list[float], second: list[float], films: tuple[Film, Film]) -> list[float]:
    """Return A's frame times until the shorter film ends, and that end."""
    end = min(first[-1], second[-1])
    times = [time for time in first[:-1] if time < end]
    if abs(first[-1] - second[-1]) > first[-1] - first[-2]:
        log.warning(
            "%s lasts %.2f s, %s %.2f s; the page ends with the shorter one. If B is a part of A, "
            "give its start in A with --offset",
            *(films[0].path, first[-1], films[1].path, second[-1]),
        )
    return [*times, end]


def _data_uri(copy: Path) -> str:
    return "data:video/mp4;base64," + base64.b64encode(copy.read_bytes()).decode("ascii")


def _filled(
    films: tuple[Film, Film], sources: list[str], times: list[float], loud: str | None
) -> str:
    """Return the HTML of the page."""
    names = [film.path.resolve().name for film in films]
    width, height = frame_size(films[0], min(films[0].width, films[0].height))
    values = {
        "title": html.escape(f"{names[0]} and {names[1]}"),
        "name_a": html.escape(names[0]),
        "name_b": html.escape(names[1]),
        "source_a": sources[0],
        "source_b": sources[1],
        "width": str(width),
        "height": str(height),
        "times": json.dumps(times),
        "sound": json.dumps(loud),
    }
    template = files("vidcolor.viewing").joinpath("compare_page.html").read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda place: values[place[1]], template)
