"""The films of a batch and their outputs."""

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidcolor.errors import InputError, OptionsError
from vidcolor.media.codecs import CODECS_OF_FORMAT
from vidcolor.media.output_plan import FORMAT_OF_SUFFIX
from vidcolor.options.values import Codec

FILM_SUFFIXES = (
    ".3gp", ".asf", ".avi", ".dv", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip
"""Names that count as films in a folder; a film that is named itself may have any name."""
PREFERRED_SUFFIXES = (".mp4", ".mkv")
"""Tried in order, if the film's own container cannot be written or hold the codec."""
LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Task:
    """A film of a batch."""

    film: Path
    out: Path
    """Its output."""


@dataclass(frozen=True)
class _NamedFilm:
    film: Path
    name: Path
    """Path relative to the source, so that subfolders are kept."""


def find_tasks(sources: Sequence[Path], out: Path, codec: Codec) -> list[Task]:
    """Return the films of a batch and their outputs, in the order of the sources and of names.

    An output has its film's name and subfolders, and its container if that can hold the codec, else
    .mp4 or .mkv. If two outputs would have the same name, the new container's suffix is appended to
    the whole name of the film: next to a.mp4, a.avi becomes a.avi.mp4.

    Args:
        sources: films; folders, which are searched for films with their subfolders; patterns such
            as `in/*.mp4`; lists, .txt files with one film per line, relative to the list's folder.
        out: folder for the outputs; files in it are not films of the batch.
        codec: video encoder of the outputs.

    Raises:
        InputError: a source does not exist, or contains no film.
        OptionsError: two films would have the same output.
    """
    found = list(dict.fromkeys(one for source in sources for one in _films_of(source, out)))
    names = [one.name.with_suffix(_suffix(one.name, codec)) for one in found]
    counts = Counter(names)
    tasks = [
        Task(one.film, out / (name if counts[name] == 1 else _distinct(one.name, name)))
        for one, name in zip(found, names, strict=True)
    ]
    _check_apart(tasks)
    return tasks


def _films_of(source: Path, out: Path) -> Iterator[_NamedFilm]:
    """Yield the films of one source."""
    if source.is_dir():
        films = [film for film in sorted(source.rglob("*")) if _is_film(film, source, out)]
        yield from (_NamedFilm(film, film.relative_to(source)) for film in films)
    elif source.suffix.lower() == LIST_SUFFIX and source.is_file():
        films = [source.parent / line for line in _lines(source)]
        yield from (_NamedFilm(film, Path(film.name)) for film in films)
    elif source.exists():
        films = [source]
        yield _NamedFilm(source, Path(source.name))
    else:
        fixed = _fixed_part(source)
        films = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207  a pattern may be absolute
        films = [film for film in films if film.is_file()]
        yield from (_NamedFilm(film, film.relative_to(fixed)) for film in films)
    if not films:
        raise InputError(f"{source}: contains no films; name films, or a folder with films")


def _is_film(path: Path, folder: Path, out: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    is_result = out.absolute() != folder.absolute() and path.absolute().is_relative_to(
        out.absolute()
    )
    is_named_so = path.suffix.lower() in FILM_SUFFIXES
    return is_named_so and not is_hidden and not is_result and path.is_file()


def _lines(path: Path) -> list[str]:
    """Return the lines of a list, without empty lines and comments, which start with #."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"{path}: is not a list of films ({error}); write one film per line"
        ) from error
    return [line for line in lines if line and not line.startswith("#")]


def _fixed_part(pattern: Path) -> Path:
    """Return the folder of a pattern up to its first wildcard."""
    fixed = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _suffix(name: Path, codec: Codec) -> str:
    """Return the suffix of a film's output."""
    candidates = (name.suffix.lower(), *PREFERRED_SUFFIXES)
    return next(
        suffix
        for suffix in candidates
        if suffix in FORMAT_OF_SUFFIX and codec in CODECS_OF_FORMAT[FORMAT_OF_SUFFIX[suffix]]
    )


def _distinct(film: Path, result: Path) -> Path:
    is_own = film.suffix.lower() == result.suffix
    return result if is_own else film.with_name(film.name + result.suffix)


def _check_apart(tasks: Sequence[Task]) -> None:
    films: dict[Path, Path] = {}
    for task in tasks:
        other = films.setdefault(task.out, task.film)
        if other != task.film:
            raise OptionsError(
                f"{other} and {task.film}: would have the same output {task.out}; render them into "
                "two folders, or rename one"
            )
