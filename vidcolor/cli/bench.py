"""The command `vidcolor bench`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, AsFlags, MessageFlags
from vidcolor.options.bench import BenchOptions
from vidcolor.signals import stoppable


def bench(
    film: Annotated[Path | None, Parameter(help="Input film; default: a drawn one.")] = None,
    /,
    *,
    json: Annotated[bool, Parameter(help="Print JSON instead of tables.", negative=())] = False,
    options: Annotated[BenchOptions, AsFlags] = BenchOptions(),  # noqa: B008  it is frozen
    messages: MessageFlags = USUAL,
) -> None:
    """Measure what a render costs on this machine, stage by stage, and the least it can cost."""
    from vidcolor.bench.bench import bench as measure

    with stoppable(), console.progress("measuring", unit="steps") as report:
        found = measure(film, options, report)
    if json:
        console.say(found.to_json())
        return
    console.show_table("Cost of a render, relative to other costs", *found.ratio_table())
    console.show_table(found.setting(), *found.cost_table())
    console.say(found.summary())
