"""The commands of `vidcolor dataset`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, DataFlag, DatasetName, MessageFlags
from vidcolor.signals import stoppable

dataset = App(
    name="dataset",
    help="List, show, pack and extend datasets of training frames.",
    help_epilogue="""\
Examples:

    vidcolor dataset list
    vidcolor dataset info zootopia
    vidcolor dataset pack zootopia
    vidcolor dataset stills photos --dataset photos""",
)


@dataset.command(name="list")
def list_(*, data: DataFlag = Path("data"), messages: MessageFlags = USUAL) -> None:
    """List the datasets."""
    from vidcolor.dataset.dataset import list_datasets

    found = list_datasets(data)
    for each in found:
        console.say(str(each))
    if not found:
        console.warn(f"{data}: contains no dataset; make one with vidcolor extract")


@dataset.command
def info(
    name: DatasetName, /, *, data: DataFlag = Path("data"), messages: MessageFlags = USUAL
) -> None:
    """Show what a dataset contains."""
    from vidcolor.dataset.dataset import describe_dataset

    console.say(str(describe_dataset(name, data)))


@dataset.command
def pack(
    name: DatasetName, /, *, data: DataFlag = Path("data"), messages: MessageFlags = USUAL
) -> None:
    """Pack a dataset into one HDF5 file, which is easy to copy and which train reads, too."""
    from vidcolor.dataset.pack import pack_dataset

    with stoppable():
        path = pack_dataset(name, data)
    console.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB")


@dataset.command
def stills(
    *folders: Annotated[Path, Parameter(help="Folders of color photos.")],
    dataset: DatasetName,
    size: Annotated[int, Parameter(help="Short side of a photo, pixels.")] = 256,
    split: Annotated[
        Literal["train", "test"], Parameter(help="Split to add the photos to.")
    ] = "train",
    data: DataFlag = Path("data"),
    messages: MessageFlags = USUAL,
) -> None:
    """Add photos to a dataset; each photo counts as a shot of one frame."""
    from vidcolor.dataset.pack import add_stills

    with stoppable():
        added = add_stills(folders, dataset=dataset, data=data, size=size, split=split)
    console.say(
        f"{data / dataset}: added {added.photos} photos, "
        f"skipped {added.grey} without color and {added.damaged} damaged"
    )
