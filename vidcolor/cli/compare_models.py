"""The command `vidcolor compare-models`."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, AsFlags, MessageFlags
from vidcolor.options.evaluate import CompareOptions
from vidcolor.signals import stoppable

if TYPE_CHECKING:
    from vidcolor.training.train import Progress


def compare_models(
    recipe: Annotated[
        Path, Parameter(help="TOML file of the models to train, as pipelines/compare.toml.")
    ],
    /,
    *,
    options: Annotated[CompareOptions, AsFlags],
    messages: MessageFlags = USUAL,
) -> None:
    """Train several models under the same conditions, score them and compare them."""
    from vidcolor.experiments.compare_models import compare_models as compare
    from vidcolor.experiments.compare_models import table_of

    bars: dict[str, console.ShowProgress] = {}
    with stoppable(), ExitStack() as bar:

        def show(name: str, progress: "Progress | None") -> None:
            if name not in bars:
                bar.close()
                bars[name] = bar.enter_context(console.progress(name, unit="steps"))
            if progress is None:
                console.note(f"{name}: scoring")
            else:
                bars[name](progress.step, progress.steps, progress.losses)

        compared = compare(recipe, options, on_row=show)
    heading, *rows = table_of(compared)
    console.show_table("All films", heading, rows)
    console.say(f"wrote table.md, table.json, curves.png, scores.png, sheet.png to {options.out}")
