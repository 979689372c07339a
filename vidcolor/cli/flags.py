"""Flags that commands share, and what fills an option that no flag gives.

A recipe is a TOML file in pipelines/ with a table [extract], [train] or [batch]; their keys are the
fields of ExtractOptions, TrainOptions and BatchOptions. A flag on the command line wins.
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
"""Tables that a recipe may have: the verbs whose options it may fill."""

RECIPE_SUFFIX = ".toml"


@dataclass(frozen=True, kw_only=True)
class Messages:
    """What every command understands."""

    quiet: Annotated[bool, Parameter(negative=())] = False
    """Say only what went wrong."""
    debug: Annotated[bool, Parameter(negative=())] = False
    """Say everything, and show the traceback of an error."""
    log_json: Annotated[bool, Parameter(negative=())] = False
    """Write messages as lines of JSON, for other programs."""

    def __post_init__(self) -> None:
        if self.quiet or self.debug or self.log_json:
            console.set_up(quiet=self.quiet, debug=self.debug, log_json=self.log_json)


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """What is told about a long run while it lasts."""

    metrics_port: int | None = None
    """Port at which Prometheus can ask for the run's numbers; 0: any free one."""

    def __post_init__(self) -> None:
        if self.metrics_port is not None and not 0 <= self.metrics_port <= 65535:
            raise OptionsError(
                f"--metrics-port {self.metrics_port}: no port; take one from 1024 to 65535"
            )


USUAL = Messages()
UNWATCHED = Monitoring()
AsFlags = Parameter(name="*")
MessageFlags = Annotated[Messages, Parameter(name="*", group="Messages")]
MonitoringFlags = Annotated[Monitoring, Parameter(name="*", group="Messages")]
RecipeFlag = Annotated[
    Path | None, Parameter(help="TOML file whose table fills the options that no flag gives.")
]
DatasetName = Annotated[str, Parameter(help="Name of a dataset.")]
DataFlag = Annotated[Path, Parameter(help="Folder that holds the datasets.")]


def fill_from_recipe(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take from `--recipe FILE` what no flag gave; cyclopts calls this after reading the flags.

    `vidcolor batch FILE.toml` means the same.
    """
    recipe = _given("--recipe", arguments) or _lone_recipe(commands, arguments)
    if recipe is not None:
        verb = "train" if commands[-1] == "lr-find" else commands[-1]
        table = {commands[-1]: _read_recipe(Path(recipe), verb)}
        Dict(table, source=recipe)(app, commands, arguments)


def fill_from_film(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Name the dataset of `train --film FILM` after the film, where nothing else names it."""
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
    tables = read_toml(path, what="recipe", if_missing="pipelines/ holds recipes")
    unknown = [table for table in tables if table not in VERBS]
    if unknown:
        raise OptionsError(
            f"recipe {path}: unknown [{unknown[0]}]; write [extract], [train] or [batch]"
        )
    if not isinstance(tables.get(verb), dict):
        raise OptionsError(f"recipe {path}: has no [{verb}]; add it, or leave out --recipe")
    return dict(tables[verb])
