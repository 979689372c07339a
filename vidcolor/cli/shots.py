"""The commands `vidcolor shots` and `vidcolor keyframes`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vidcolor.cli import console
from vidcolor.cli.flags import USUAL, MessageFlags
from vidcolor.signals import stoppable

if TYPE_CHECKING:
    from vidcolor.viewing.shot_list import ShotList

FilmPath = Annotated[Path, Parameter(help="Input film.")]


def shots(
    film: FilmPath,
    /,
    *,
    json: Annotated[bool, Parameter(help="Print JSON instead of a table.", negative=())] = False,
    sheet: Annotated[
        Path | None, Parameter(help="Write a contact sheet to this PNG: one frame per shot.")
    ] = None,
    write_sidecar: Annotated[
        bool,
        Parameter(help="Write FILM.vidcolor.toml with per-shot settings to edit.", negative=()),
    ] = False,
    messages: MessageFlags = USUAL,
) -> None:
    """List the shots of a film, and its cuts, dissolves and fades."""
    found = _found(film)
    if json:
        console.say(found.to_json())
    else:
        console.show_table(str(film), *found.table())
    if sheet is not None:
        found.write_sheet(sheet)
    if write_sidecar:
        console.note(
            f"wrote {found.write_sidecar()}: settings of {len(found.shots)} shots, to edit"
        )


def keyframes(
    film: FilmPath,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Output folder; default: FILM-keyframes.")] = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Write one frame per shot as a picture, to color by hand and use as --reference."""
    from vidcolor.media.probe import probe
    from vidcolor.viewing.keyframes import write_keyframes

    folder = out or film.with_name(f"{film.stem}-keyframes")
    found = _found(film)
    with stoppable(), console.progress("writing key frames", unit="frames") as report:
        total = len(found.shots)
        write_keyframes(probe(film), found, folder, on_shot=lambda done: report(done, total))
    console.say(f"wrote {total} pictures to {folder}")


def _found(path: Path) -> "ShotList":
    from vidcolor.media.probe import probe
    from vidcolor.viewing.shot_list import list_shots

    film = probe(path)
    with stoppable(), console.progress("finding shots", unit="frames") as report:
        return list_shots(film, on_frame=lambda done: report(done, film.frame_count_from_header))
