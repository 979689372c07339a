"""Flags that commands share, and values of options from recipes and file names.

A recipe is a TOML file with a table [extract], [train] or [batch]; the keys are the
fields of ExtractOptions, TrainOptions and BatchOptions. Flags on the command line win.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from vidcolor.cli import console
from vidcolor.errors import OptionsError
from vidcolor.files import read_toml

VERBS = ("extract", "train", "batch")
"""Tables that a recipe may contain: the verbs whose options it can set."""

RECIPE_SUFFIX = ".toml"


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Flags of every command."""

    quiet: Annotated[bool, Parameter(negative=())] = False
    """Show only warnings and errors."""
    debug: Annotated[bool, Parameter(negative=())] = False
    """Show debug messages, and the traceback of an error."""
    log_json: Annotated[bool, Parameter(negative=())] = False
    """Write messages as JSON lines, for other programs."""

    def __post_init__(self) -> None:
        if self.quiet or self.debug or self.log_json:
            console.set_up(quiet=self.quiet, debug=self.debug, log_json=self.log_json)


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """Flags to monitor a long run."""

    metrics_port: int | None = None
    """Serve Prometheus metrics of the run at this port; 0: any free port."""

    def __post_init__(self) -> None:
        if self.metrics_port is not None and not 0 <= self.metrics_port <= 65535:
            raise OptionsError(
                f"--metrics-port {self.metrics_port}: is not a port; use 1024 to 65535, or 0"
            )


USUAL = Messages()
UNWATCHED = Monitoring()
AsFlags = Parameter(name="*")
MessageFlags = Annotated[Messages, Parameter(name="*", group="Messages")]
MonitoringFlags = Annotated[Monitoring, Parameter(name="*", group="Messages")]
RecipeFlag = Annotated[Path | None, Parameter(help="TOML file with values for options; flags win.")]
DatasetName = Annotated[str, Parameter(help="Name of a dataset.")]
DataFlag = Annotated[Path, Parameter(help="Folder that contains the datasets.")]


def fill_from_recipe(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Set options that no flag gave from `--recipe FILE`; cyclopts calls this after the flags.

    `vidcolor batch FILE.toml` means the same.
    """
    recipe = _given("--recipe", arguments) or _lone_recipe(commands, arguments)
    if recipe is not None:
        verb = "train" if commands[-1] == "lr-find" else commands[-1]
        table = {commands[-1]: _read_recipe(Path(recipe), verb)}
        Dict(table, source=recipe)(app, commands, arguments)


def fill_from_film(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Name the dataset of `train --film FILM` after the film, if no option names it."""
    film = _given("--film", arguments)
    if film is not None and commands == ("train",):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(film).stem).lstrip("-._") or "film"
        Dict({"train": {"dataset": name}}, source="--film")(app, commands, arguments)


def _given(flag: str, arguments: ArgumentCollection) -> str | None:
    values = [a.tokens[0].value for a in arguments if a.name == flag and a.tokens]
    return values[0] if values else None


def _lone_recipe(commands: tuple[str, ...], arguments: ArgumentCollection) -> str | None:
    words = [token.value for a in arguments if a.name == "PLACES" for token in a.tokens]
    is_recipe = commands == ("batch",) and len(words) == 1 and words[0].endswith(RECIPE_SUFFIX)
    return words[0] if is_recipe else None


def _read_recipe(path: Path, verb: str) -> dict[str, Any]:
    tables = read_toml(path, what="recipe", if_missing="there are recipes in pipelines/")
    unknown = [table for table in tables if table not in VERBS]
    if unknown:
        raise OptionsError(
            f"recipe {path}: has an unknown table [{unknown[0]}]; use [extract], [train] or [batch]"
        )
    if not isinstance(tables.get(verb), dict):
        raise OptionsError(f"recipe {path}: has no [{verb}] table; add it, or omit --recipe")
    return dict(tables[verb])
