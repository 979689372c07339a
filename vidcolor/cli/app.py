"""The command line: parse arguments, build options, call one verb, return an exit code.

A verb is imported inside its command, so that `--help` and usage errors do not import torch.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from vidcolor._version import __version__
from vidcolor.cli import console
from vidcolor.cli.batch import batch
from vidcolor.cli.bench import bench
from vidcolor.cli.compare_models import compare_models
from vidcolor.cli.dataset import dataset
from vidcolor.cli.flags import (
    UNWATCHED,
    USUAL,
    AsFlags,
    MessageFlags,
    Monitoring,
    MonitoringFlags,
    fill_from_film,
    fill_from_recipe,
)
from vidcolor.cli.models import models
from vidcolor.cli.preview import compare, preview
from vidcolor.cli.shots import keyframes, shots
from vidcolor.cli.train import learning
from vidcolor.errors import OptionsError, VidcolorError
from vidcolor.options.evaluate import EvaluateOptions
from vidcolor.options.render import RenderOptions
from vidcolor.options.values import rate_from_text
from vidcolor.signals import Interrupted, stoppable

if TYPE_CHECKING:
    from vidcolor.rendering.render import Rendered


app = App(
    name="vidcolor",
    version=f"vidcolor {__version__}",
    help="Color for black-and-white film. It learns color from films you own.",
    help_format="plaintext",
    help_epilogue="""\
Color a film and keep its sound, timing and luma:

    vidcolor render in.mp4 out.mp4

Learn the colors of a film you own, and use them:

    vidcolor extract zootopia.mkv --dataset zootopia
    vidcolor train --dataset zootopia
    vidcolor render in.mp4 out.mp4 --model models/zootopia

Run `vidcolor COMMAND --help` for the options and examples of a command.
Exit codes: 0 success, 1 failure, 2 usage, 3 input, 4 output, 5 model, 130 or 143 interrupted.""",
    config=[fill_from_recipe, fill_from_film],
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
app.command(learning, name="*")
app.command(dataset)
app.command(models)
app.command(
    shots,
    help_epilogue="""\
Examples:

    vidcolor shots in.mp4 --sheet shots.png
    vidcolor shots in.mp4 --json
    vidcolor shots in.mp4 --write-sidecar""",
)
app.command(
    keyframes,
    help_epilogue="""\
Example:

    vidcolor keyframes in.mp4 --out to-color""",
)
app.command(
    bench,
    help_epilogue="""\
Examples:

    vidcolor bench
    vidcolor bench in.mp4 --frames 96 --preset veryfast --json""",
)
app.command(
    compare_models,
    help_epilogue="""\
Examples:

    vidcolor compare-models pipelines/compare.toml --dataset my --clips films/
    vidcolor compare-models pipelines/compare.toml --dataset my --max-steps 50

If it is interrupted, run the same command again to resume.""",
)


app.command(
    preview,
    help_epilogue="""\
Examples:

    vidcolor preview in.mp4
    vidcolor preview in.mp4 --at 1:30 2:00 --saturation 0.8 --out look.png
    vidcolor preview in.mp4 --every 30s --compare default models/zootopia --split""",
)
app.command(
    compare,
    help_epilogue="""\
Examples:

    vidcolor compare in.mp4 out.mp4 -o page.html
    vidcolor compare in.mp4 part.mp4 --offset 1:30 -o page.html
    vidcolor compare calm.mp4 vivid.mp4 --start 10 --end 20 --size 720""",
)


@app.command(
    help_epilogue="""\
Examples:

    vidcolor render in.mp4 out.mp4
    vidcolor render in.mp4 out.mkv --codec ffv1 --start 1:30 --end 1:40
    vidcolor render in.mp4 out.mp4 --model models/zootopia --saturation 0.8
    vidcolor render frames/ out.mp4 --rate 24
    vidcolor render -- -name-with-a-dash.mp4 out.mp4

If it is interrupted or killed, run the same command again to resume."""
)
def render(
    film: Annotated[
        Path, Parameter(help="Input film (mp4, mkv, mov, avi, webm, ...) or folder of pictures.")
    ],
    out: Annotated[Path, Parameter(help="Output file: mp4, mkv or mov.")],
    /,
    *,
    options: Annotated[RenderOptions, AsFlags] = RenderOptions(),  # noqa: B008  it is frozen
    monitoring: MonitoringFlags = UNWATCHED,
    messages: MessageFlags = USUAL,
) -> None:
    """Color a film and keep its luma, timing and sound."""
    _render(film, out, options, monitoring)


def _render(film: Path, out: Path, options: RenderOptions, monitoring: Monitoring) -> None:
    total = _frames_ahead(film, options)  # fails before torch is imported

    from vidcolor.cli.metrics_server import monitored
    from vidcolor.rendering.render import render as color

    with (
        stoppable(),
        monitored(monitoring.metrics_port) as monitor,
        console.progress("rendering", unit="frames") as report,
        monitor.film(film, total) as watch,
    ):

        def show(done: int) -> None:
            report(done, total)
            watch.frame(done)

        done = color(film, out, options, on_frame=show, on_segment=watch.segment)
    if not console.is_quiet():
        console.show_table("Streams", *_streams_table(done))
    shots = "1 shot" if done.shot_count == 1 else f"{done.shot_count} shots"
    console.note(
        f"wrote {done.out}: {done.frame_count} frames in {shots}",
        film=done.film,
        out=done.out,
        frames=done.frame_count,
        shots=done.shot_count,
    )


def _streams_table(done: "Rendered") -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            f"{stream.index} {stream.kind}",
            stream.codec or "unknown",
            "" if stream.language in (None, "und") else stream.language,
            stream.how,
            stream.result_codec or "",
            str(stream.packet_count),
        ]
        for stream in done.streams
    ]
    return ["stream", "codec", "language", "result", "output codec", "packets"], rows


app.command(
    batch,
    help_epilogue="""\
Examples:

    vidcolor batch in/ out/
    vidcolor batch in/ out/ --dry-run
    vidcolor batch 'reels/*.mkv' more/ films.txt out/ --codec libx265 --report report.json
    vidcolor batch in/ out/ --workers auto
    vidcolor batch pipelines/render-folder.toml

A list (.txt) contains one film per line. Run the same command again to resume and to retry films
that failed; finished films are skipped. Exit code 1: at least one film failed.""",
)


@app.command(
    help_epilogue="""\
Examples:

    vidcolor demo
    vidcolor demo --film in.mp4 --out out.mp4"""
)
def demo(
    *,
    film: Annotated[Path | None, Parameter(help="Input film; default: a drawn one.")] = None,
    out: Annotated[Path | None, Parameter(help="Output file; default: in demo/.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace the output file if it exists.")] = False,
    messages: MessageFlags = USUAL,
) -> None:
    """Color a small drawn film, or a film of yours, with the default model.

    A contact sheet, a PNG next to the result, shows frames of both films side by side.
    """
    from vidcolor.demo.demo import draw_film, write_comparison

    options = RenderOptions(overwrite=overwrite or out is None)
    with stoppable():
        film = film or draw_film(Path("demo/film.mp4"))
    if out is None:
        out = Path("demo") / f"{film.stem}-in-color.mp4"
        out.parent.mkdir(exist_ok=True)
    _render(film, out, options, UNWATCHED)
    with stoppable():
        sheet = write_comparison(film, out, out.with_suffix(".png"))
    console.say(f"wrote {out}")
    console.say(f"wrote {sheet}: source and result side by side")


@app.command(
    help_epilogue="""\
Examples:

    vidcolor evaluate --clips films/ --json scores.json --sheet scores.png
    vidcolor evaluate --dataset zootopia --model models/zootopia
    vidcolor evaluate --dataset zootopia --frames 0 99 175 --sheet chosen.png
    vidcolor evaluate --clips photos/ --size 4000 --pictures in-color"""
)
def evaluate(
    *,
    options: Annotated[EvaluateOptions | None, AsFlags, Parameter(consume_multiple=True)] = None,
    messages: MessageFlags = USUAL,
) -> None:
    """Score a model: color the grey version of color films and compare with the originals."""
    from vidcolor.evaluation.evaluate import evaluate as score

    with stoppable(), console.progress("scoring", unit="frames") as report:
        scores = score(options or EvaluateOptions(), on_progress=report)
    console.show_table(f"{scores.model}, film by film", *scores.table())
    console.show_table(f"{scores.model}, all films", *scores.summary())
    for note in scores.notes:
        console.say(note)


def _frames_ahead(film: Path, options: RenderOptions) -> int | None:
    """Return about how many frames will be rendered, or None if the film does not say."""
    from vidcolor.media.output_plan import frames_ahead
    from vidcolor.media.probe import probe

    rate = None if options.rate is None else rate_from_text(options.rate)
    # Without --deinterlace the count is the same, and its warning is not given twice.
    return frames_ahead(probe(film, rate=rate, max_pixels=options.max_pixels), options)


def run(words: Sequence[str]) -> int:
    """Run a command line (without the program's name) and return the exit code."""
    console.set_up(log_json="--log-json" in words)  # for usage errors, too
    try:
        app(list(words))
    except CycloptsError as error:
        console.fail(_usage(str(error), words))
        return OptionsError.exit_code
    except Interrupted as stop:
        console.warn(str(stop))
        return stop.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
        sys.stderr.close()
        return 0
    except VidcolorError as error:
        console.fail(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the last line of defence
        reason = f"{type(error).__name__}: {error}"
        console.fail(f"unexpected {reason}; run it again with --debug and report this")
        return 1
    return 0


def _usage(message: str, words: Sequence[str]) -> str:
    command = words[0] if words and words[0] in app else ""
    files = [word for word in words if word.startswith("-") and Path(word).exists()]
    if files and files[0] in message:
        return f"{message.rstrip('.')}; for the file with that name write ./{files[0]}"
    return f"{message.rstrip('.')}; see " + " ".join(filter(None, ("vidcolor", command, "--help")))
