"""The commands `vidcolor preview` and `vidcolor compare`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, AsFlags, MessageFlags
from vidcolor.options.preview import PageOptions, PreviewOptions
from vidcolor.signals import stoppable


def preview(
    film: Annotated[Path, Parameter(help="The film; or a folder of pictures.")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(
            name=["--out", "-o"],
            help="The contact sheet, a PNG, which is replaced; default: NAME-preview.png, here.",
        ),
    ] = None,
    options: Annotated[PreviewOptions | None, AsFlags, Parameter(consume_multiple=True)] = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Show a few frames of a film as `render` would colour them, on a contact sheet."""
    from vidcolor.viewing.preview import preview as show

    out = out or Path(f"{film.resolve().stem}-preview.png")
    with stoppable(), console.progress("colouring", unit="frames") as report:
        show(film, out, options or PreviewOptions(), on_progress=report)
    console.say(f"{out}: the contact sheet")


def compare(
    first: Annotated[Path, Parameter(help="The film on the left, A; its sound is heard.")],
    second: Annotated[Path, Parameter(help="The film on the right, B.")],
    /,
    *,
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="The page, .html, which is replaced.")
    ] = Path("compare.html"),
    options: Annotated[PageOptions, AsFlags] = PageOptions(),  # noqa: B008  it is frozen
    messages: MessageFlags = USUAL,
) -> None:
    """Put two films on a page, in step, with a line between them that can be moved."""
    from vidcolor.viewing.compare_page import write_compare_page as put

    with stoppable():
        page = put(first, second, out, options)
    beside = " and ".join(path.name for path in page.beside)
    console.say(f"{out}: needs {beside} beside it" if beside else f"{out}: holds both films")
