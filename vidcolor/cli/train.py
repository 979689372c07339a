"""The commands that learn: from a film to frames, from frames to a model."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, AsFlags, MessageFlags, RecipeFlag
from vidcolor.errors import OptionsError
from vidcolor.options.extract import ExtractOptions
from vidcolor.options.train import LrFindOptions, TrainOptions
from vidcolor.signals import stoppable

if TYPE_CHECKING:
    from vidcolor.training.train import Progress

learning = App()
"""Its commands stand among those of the program."""


@learning.command(
    help_epilogue="""\
Examples:

    vidcolor extract zootopia.mkv --dataset zootopia
    vidcolor extract my.mkv --dataset my --size 360 --split 10000/1330
    vidcolor extract zootopia.mkv --recipe pipelines/zootopia.toml

Interrupted, the same command goes on where it was."""
)
def extract(
    film: Annotated[Path, Parameter(help="A colour film.")],
    /,
    *,
    options: Annotated[ExtractOptions, AsFlags],
    recipe: RecipeFlag = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Cut a colour film into training frames."""
    _extract(film, options)


def _extract(film: Path, options: ExtractOptions) -> None:
    from vidcolor.dataset.extract import extract as cut
    from vidcolor.dataset.film_source import expected_frames

    total = expected_frames(film, options)
    with stoppable(), console.progress("extracting", unit="frames") as report:
        added = cut(film, options, on_progress=lambda done: report(done, total))
    console.say(
        f"{added.folder}: {added.train_frames} frames to train on and {added.test_frames} to test "
        f"with, in {added.runs} runs, from {film}"
    )


@learning.command(
    help_epilogue="""\
Examples:

    vidcolor train --dataset zootopia
    vidcolor train --dataset zootopia --resume
    vidcolor train --recipe pipelines/zootopia.toml --epochs 3
    vidcolor train --film my.mkv --max-steps 2000 --out models/my
    torchrun --nproc-per-node 4 -m vidcolor train --dataset zootopia"""
)
def train(
    *,
    options: Annotated[TrainOptions, AsFlags],
    film: Annotated[
        Path | None,
        Parameter(help="Colour film to extract first; the dataset is named after it."),
    ] = None,
    recipe: RecipeFlag = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Train a model on a dataset, a folder of frames, a packed file or a film."""
    if film is not None:
        _extract_once(film, options)
    _let_the_first_process_speak()
    from vidcolor.training.train import train as learn

    with stoppable(), console.progress("training", unit="steps") as report:

        def show(progress: "Progress") -> None:
            report(progress.step, progress.steps, {"epoch": progress.epoch} | progress.losses)

        folder = learn(options, on_step=show)
    _say(f"{folder}: a model; use it with vidcolor render IN OUT --model {folder}")


def _extract_once(film: Path, options: TrainOptions) -> None:
    """Make the dataset that `train --film` names after the film, unless it is there."""
    if (options.data / options.dataset / "manifest.json").exists():
        return
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionsError(
            f"--film {film}: several processes would extract it; run vidcolor extract before"
        )
    frames = ExtractOptions(dataset=options.dataset, data=options.data, size=options.size)
    _extract(film, frames)


@learning.command(
    name="lr-find",
    help_epilogue="""\
Examples:

    vidcolor lr-find --dataset zootopia
    vidcolor lr-find --dataset zootopia --model squeeze-unet --min 1e-5 --max 0.1 --steps 200

It takes the options of train; those of how long and how fast do not matter.""",
)
def lr_find(
    *,
    options: Annotated[TrainOptions, AsFlags],
    ramp: Annotated[LrFindOptions, AsFlags] = LrFindOptions(),  # noqa: B008  it is frozen
    recipe: RecipeFlag = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Find a learning rate: train while it grows, and see where the loss falls fastest."""
    _let_the_first_process_speak()
    from vidcolor.training.lr_find import lr_find as climb

    with stoppable(), console.progress("trying rates", unit="steps") as report:
        found = climb(options, ramp, on_step=report)
    _say(str(found))
    _say(f"{found.plot}: the loss over the learning rate; its numbers: {found.csv}")


def _is_first_process() -> bool:
    """Tell whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _let_the_first_process_speak() -> None:
    if not _is_first_process():
        console.hush()


def _say(text: str) -> None:
    if _is_first_process():
        console.say(text)
