"""The commands `vidcolor preview` and `vidcolor compare`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, AsFlags, MessageFlags
from vidcolor.options.preview import PageOptions, PreviewOptions
from vidcolor.signals import stoppable


def preview(
    film: Annotated[Path, Parameter(help="Input film or folder of pictures.")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(
            name=["--out", "-o"],
            help="Contact sheet to write, a PNG; replaced if it exists. Default: NAME-preview.png.",
        ),
    ] = None,
    options: Annotated[PreviewOptions | None, AsFlags, Parameter(consume_multiple=True)] = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Color a few frames of a film as `render` does, and write them to a contact sheet."""
    from vidcolor.viewing.preview import preview as show

    out = out or Path(f"{film.resolve().stem}-preview.png")
    with stoppable(), console.progress("coloring", unit="frames") as report:
        show(film, out, options or PreviewOptions(), on_progress=report)
    console.say(f"wrote {out}")


def compare(
    first: Annotated[Path, Parameter(help="Film A, on the left; its sound is played.")],
    second: Annotated[Path, Parameter(help="Film B, on the right.")],
    /,
    *,
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="HTML page to write; replaced if it exists.")
    ] = Path("compare.html"),
    options: Annotated[PageOptions, AsFlags] = PageOptions(),  # noqa: B008  it is frozen
    messages: MessageFlags = USUAL,
) -> None:
    """Write a page that plays two films in sync, with a movable line between them."""
    from vidcolor.viewing.compare_page import write_compare_page as put

    with stoppable():
        page = put(first, second, out, options)
    beside = " and ".join(path.name for path in page.beside)
    console.say(f"wrote {out}" + (f"; keep {beside} in the same folder" if beside else ""))
