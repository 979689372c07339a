"""The commands `extract`, `train` and `lr-find`: from a film to frames, from frames to a model."""

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
"""Its commands are added to the top-level commands."""


@learning.command(
    help_epilogue="""\
Examples:

    vidcolor extract zootopia.mkv --dataset zootopia
    vidcolor extract my.mkv --dataset my --size 360 --split 10000/1330
    vidcolor extract zootopia.mkv --recipe pipelines/zootopia.toml

If it is interrupted, run the same command again to resume."""
)
def extract(
    film: Annotated[Path, Parameter(help="Input film, in color.")],
    /,
    *,
    options: Annotated[ExtractOptions, AsFlags],
    recipe: RecipeFlag = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Extract training frames from a color film."""
    _extract(film, options)


def _extract(film: Path, options: ExtractOptions) -> None:
    from vidcolor.dataset.extract import extract as cut
    from vidcolor.dataset.film_source import expected_frames

    total = expected_frames(film, options)
    with stoppable(), console.progress("extracting", unit="frames") as report:
        added = cut(film, options, on_progress=lambda done: report(done, total))
    console.say(
        f"{added.folder}: added {added.train_frames} training and {added.test_frames} test frames "
        f"in {added.runs} runs, from {film}"
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
        Parameter(help="Color film to extract first; the dataset is named after it."),
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
    _say(f"wrote {folder}; use it with vidcolor render IN OUT --model {folder}")


def _extract_once(film: Path, options: TrainOptions) -> None:
    """Extract the dataset that `train --film` names after the film, unless it exists."""
    if (options.data / options.dataset / "manifest.json").exists():
        return
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionsError(
            f"--film {film}: cannot be extracted by several processes; run vidcolor extract first"
        )
    frames = ExtractOptions(dataset=options.dataset, data=options.data, size=options.size)
    _extract(film, frames)


@learning.command(
    name="lr-find",
    help_epilogue="""\
Examples:

    vidcolor lr-find --dataset zootopia
    vidcolor lr-find --dataset zootopia --model squeeze-unet --min 1e-5 --max 0.1 --steps 200

It accepts the options of train, but ignores learning rates and the length of the training.""",
)
def lr_find(
    *,
    options: Annotated[TrainOptions, AsFlags],
    ramp: Annotated[LrFindOptions, AsFlags] = LrFindOptions(),  # noqa: B008  it is frozen
    recipe: RecipeFlag = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Find a learning rate: increase it during a short training, and see how the loss responds."""
    _let_the_first_process_speak()
    from vidcolor.training.lr_find import lr_find as climb

    with stoppable(), console.progress("testing learning rates", unit="steps") as report:
        found = climb(options, ramp, on_step=report)
    _say(str(found))
    _say(f"wrote {found.plot} and {found.csv}: the loss at each learning rate")


def _is_first_process() -> bool:
    """Tell whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _let_the_first_process_speak() -> None:
    if not _is_first_process():
        console.hush()


def _say(text: str) -> None:
    if _is_first_process():
        console.say(text)
