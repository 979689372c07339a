"""The sidecar of a film: per-shot settings, in a TOML file next to it.

    [[shot]]
    start = "00:00:07.407"
    end = "00:00:11.611"
    saturation = 0.8
    temperature = 15

`vidcolor shots FILM --write-sidecar` writes a template.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidcolor.errors import OptionsError, OutputError
from vidcolor.files import read_hashed_toml
from vidcolor.media.probe import Film
from vidcolor.options.render import ColorOptions
from vidcolor.options.values import seconds_from_text, text_from_seconds

NUMBERS = ("saturation", "temperature", "tint")
"""Keys that override the option of that name."""

NO_SIDECAR = "none"

HEADING = """\
# Per-shot settings for {film}. vidcolor render reads this file if it is next to the film.
# A shot can set: saturation, temperature, tint, mask (as --mask), reference (a picture or a
# folder, as --reference), and skip = true (which leaves it grey). Anything a shot does not set
# comes from the command line.
"""


@dataclass(frozen=True, kw_only=True)
class ShotSettings:
    """The settings of the frames between two times."""

    start: Fraction
    """Seconds, on the same scale as `--start`; included."""
    end: Fraction
    """Not included."""
    numbers: tuple[tuple[str, float], ...] = ()
    """Options by name, of NUMBERS, and their values."""
    mask: str | None = None
    reference: str | None = None
    """A reference image, or a folder of them."""
    skip: bool = False
    """Leave it grey."""


@dataclass(frozen=True)
class Sidecar:
    """The settings of a film's shots, in order."""

    shots: tuple[ShotSettings, ...] = ()
    path: Path | None = None
    """The file that was read; None: the film has no sidecar."""
    sha256: str = ""
    """Of that file; empty where there is none."""

    def at(self, seconds: Fraction) -> ShotSettings | None:
        """Return the settings of the shot that is shown at a moment, if it has any."""
        number = bisect_right(self.shots, seconds, key=lambda shot: shot.start) - 1
        return self.shots[number] if number >= 0 and seconds < self.shots[number].end else None

    def options_at(self, seconds: Fraction, options: ColorOptions) -> ColorOptions:
        """Return the options, overridden by the settings of the shot."""
        shot = self.at(seconds)
        if shot is None:
            return options
        if shot.skip:
            return replace(options, saturation=0.0, temperature=0.0, tint=0.0)
        changes: dict[str, Any] = dict(shot.numbers)
        return replace(options, **changes)


def path_beside(film: Path) -> Path:
    """Return the default path of a film's sidecar: `FILM.vidcolor.toml` of FILM.mp4."""
    return film.with_name(f"{film.stem}.vidcolor.toml")


def sidecar_path(film: Film, options: ColorOptions) -> Path | None:
    """Return the sidecar of a film: the given one, or the one next to it if it exists."""
    if options.sidecar is not None:
        return None if options.sidecar == NO_SIDECAR else Path(options.sidecar)
    beside = path_beside(film.path)
    return beside if beside.is_file() else None


def open_sidecar(film: Film, options: ColorOptions) -> Sidecar:
    """Return the settings of a film's shots; none where it has no sidecar.

    Raises:
        InputError: it cannot be read, or is not valid TOML.
        OptionsError: a key or value is invalid.
    """
    path = sidecar_path(film, options)
    return Sidecar() if path is None else read_sidecar(path)


def read_sidecar(path: Path) -> Sidecar:
    """Return the settings in a sidecar.

    Raises:
        InputError: it cannot be read, or is not valid TOML.
        OptionsError: a key or value is invalid.
    """
    document, sha256 = read_hashed_toml(path, what="sidecar", if_missing="check --sidecar")
    tables = document.get("shot", [])
    if set(document) - {"shot"} or not all(isinstance(table, dict) for table in tables):
        raise OptionsError(f"sidecar {path}: has more than shots; write [[shot]] above each shot")
    shots = tuple(
        _settings(table, path.parent, f"sidecar {path}, shot {n + 1}")
        for n, table in enumerate(tables)
    )
    for earlier, later in pairwise(shots):
        if later.start < earlier.end:
            start = text_from_seconds(later.start)
            raise OptionsError(f"sidecar {path}: two shots contain {start}; fix start or end")
    return Sidecar(shots, path, sha256)


def _settings(table: dict[str, Any], folder: Path, where: str) -> ShotSettings:
    known = {"start", "end", "mask", "reference", "skip", *NUMBERS}
    unknown = sorted(set(table) - known)
    if unknown:
        raise OptionsError(
            f"{where}: has no key {unknown[0]!r}; use one of: {', '.join(sorted(known))}"
        )
    start, end = (
        seconds_from_text(str(table.get(k, "")), option=f"{where}: {k}") for k in ("start", "end")
    )
    if start >= end:
        raise OptionsError(f"{where}: ends before it starts; fix start or end")
    numbers = tuple(
        (name, _number(table[name], f"{where}: {name}")) for name in NUMBERS if name in table
    )
    try:
        ColorOptions(**dict(numbers))  # type: ignore[arg-type]
    except OptionsError as error:
        raise OptionsError(f"{where}: {error}") from error
    return ShotSettings(
        start=start,
        end=end,
        numbers=numbers,
        mask=_path(table.get("mask"), folder, f"{where}: mask"),
        reference=_path(table.get("reference"), folder, f"{where}: reference"),
        skip=_flag(table.get("skip", False), f"{where}: skip"),
    )


def _path(value: object, folder: Path, where: str) -> str | None:
    """Return a path; relative ones are resolved from the sidecar's folder first."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise OptionsError(f"{where} = {value!r}: is not a path; write it in quotes")
    return str(folder / value) if (folder / value).exists() else value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise OptionsError(f"{where} = {value!r}: write true or false, without quotes")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionsError(f"{where} = {value!r}: is not a number; write one, without quotes")
    return float(value)


def write_sidecar(film: Path, spans: Iterable[tuple[Fraction, Fraction]]) -> Path:
    """Write a sidecar template for a film with these shots (start and end, seconds).

    Raises:
        OutputError: it already exists, or it cannot be written.
    """
    path = path_beside(film)
    shots = [
        f'\n[[shot]]\nstart = "{text_from_seconds(start)}"\nend = "{text_from_seconds(end)}"\n'
        for start, end in spans
    ]
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(HEADING.format(film=film.name) + "".join(shots))
    except FileExistsError as error:
        raise OutputError(f"{path}: already exists; remove it to start over") from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; make its folder writable") from error
    return path
