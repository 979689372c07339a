"""The commands of `vidcolor models`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, MessageFlags
from vidcolor.signals import stoppable

models = App(
    name="models",
    help="List, show, add, remove and export models.",
    help_epilogue="""\
Examples:

    vidcolor models list
    vidcolor models show default
    vidcolor models add models/zootopia
    vidcolor models add https://example.org/zootopia.safetensors
    vidcolor models add hf://OWNER/REPOSITORY --name theirs
    vidcolor models add ddcolor.pth
    vidcolor models remove theirs
    vidcolor models export default
    vidcolor models export default --onnx

Added models are stored in ~/.local/share/vidcolor/models, or in models/ of $VIDCOLOR_HOME. Use them
by name, as --model NAME.""",
)
ModelName = Annotated[str, Parameter(help="Name or folder of a model.")]


@models.command(name="list")
def list_(*, messages: MessageFlags = USUAL) -> None:
    """List the models: those in ./models, those you added, and those shipped with vidcolor."""
    from vidcolor.zoo.listing import table_of_models

    console.show_table("Models", *table_of_models())


@models.command
def show(name: ModelName, /, *, messages: MessageFlags = USUAL) -> None:
    """Show a model's card: architecture, training data, licence and scores."""
    from vidcolor.network.card import read_card
    from vidcolor.network.library import find_model
    from vidcolor.zoo.listing import describe_model, table_of_scores

    folder = find_model(name)
    for line in describe_model(folder):
        console.say(line)
    columns, rows = table_of_scores(read_card(folder))
    if rows:
        console.show_table("Scores", columns, rows)


@models.command
def add(
    source: Annotated[
        str,
        Parameter(
            help="Folder or file of a model or of DDColor; https://...; hf://OWNER/REPOSITORY[/FILE]."
        ),
    ],
    /,
    *,
    name: Annotated[
        str | None, Parameter(help="Name to give it; default: from its card or file.")
    ] = None,
    sha256: Annotated[
        str | None, Parameter(help="Required SHA-256 of the file, or of a folder's weights.")
    ] = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Add a model from this machine or from the web."""
    from vidcolor.zoo.add import add_model as install

    def show_bytes(done: int, total: int | None) -> None:
        report(done // 10**6, None if total is None else total // 10**6)

    with stoppable(), console.progress("downloading", unit="MB") as report:
        added = install(source, name=name, sha256=sha256, on_bytes=show_bytes)
    console.say(f"added {added.folder}: {added.card.family}, licence {added.card.licence}")
    console.say(f"SHA-256 {added.sha256}")


@models.command
def remove(
    name: Annotated[str, Parameter(help="Name of an added model.")],
    /,
    *,
    messages: MessageFlags = USUAL,
) -> None:
    """Remove an added model."""
    from vidcolor.zoo.add import remove_model as uninstall

    with stoppable():
        console.say(f"removed {uninstall(name)}")


@models.command
def export(
    name: ModelName,
    /,
    *,
    onnx: Annotated[
        bool, Parameter(help="Write a folder of ONNX graphs, checked against torch.", negative=())
    ] = False,
    out: Annotated[
        Path | None, Parameter(help="Output; default: NAME.safetensors, or NAME-onnx.")
    ] = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Write a model as one file, which `vidcolor models add` accepts, or as ONNX graphs."""
    from vidcolor.zoo.export import export_file, export_graphs

    with stoppable():
        if not onnx:
            path = export_file(name, out)
            console.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB")
            return
        folder, error = export_graphs(name, out)
    graphs = ", ".join(sorted(path.name for path in folder.glob("*.onnx")))
    console.say(f"wrote {graphs} to {folder}; largest difference from torch: {error:.1g}")
