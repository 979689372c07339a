"""The verb `compare-models`: train several models under the same conditions, and compare them.

A recipe defines the models, the rows of the table. Each is trained into its own folder and scored
on the same films. The same command resumes an interrupted comparison. Results are for people
(`table.md`, `curves.png`, `scores.png`, `sheet.png`) and for programs (`table.json`).
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vidcolor.errors import OptionsError
from vidcolor.evaluation.evaluate import evaluate
from vidcolor.evaluation.report import METRICS, EvaluationReport
from vidcolor.files import atomic_write, read_toml
from vidcolor.images.contact_sheet import contact_sheet
from vidcolor.images.image_files import RgbImage
from vidcolor.network.generator import Generator
from vidcolor.network.weights import load_network
from vidcolor.options.evaluate import CompareOptions, EvaluateOptions
from vidcolor.options.train import TrainOptions
from vidcolor.training.checkpoints import CHECKPOINT, records_of
from vidcolor.training.train import Progress, train

log = logging.getLogger(__name__)

TABLE_METRICS = (
    "psnr_db", "chroma_error", "lab_error", "colourfulness", "cdc", "warp_error",
)  # fmt: skip
"""Scores in the table; `evaluate` computes more."""
PLOTTED_METRICS = ("psnr_db", "chroma_error", "colourfulness")
TIMED_RUNS = 5
"""Runs to measure a network's speed; the median counts."""
SMOOTHED_STEPS = 20
"""Steps over which a loss curve is smoothed."""
KEPT = "row.json"
PICTURES = "pictures.npz"

OnRow = Callable[[str, Progress | None], None]
"""Called with a row's name and the progress of its training; None: it is being scored."""


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """A row of the comparison."""

    name: str
    options: dict[str, str]
    """Options of its training; a row with other options is trained again."""
    steps: int
    parameters: int
    mega_macs: float
    """Millions of multiply-adds per frame, at the working size."""
    frame_seconds: float
    """Time of the network per frame, at the working size."""
    scores: dict[str, dict[str, float | None]]
    """Means over the films of result, grey and truth, by the key of the metric."""


def compare_models(
    recipe: Path, options: CompareOptions, *, on_row: OnRow | None = None
) -> list[ComparedModel]:
    """Train and score every row of a recipe, and write the results to `options.out`.

    Args:
        recipe: TOML file with a table [rows.NAME] for each row, whose keys are options of
            training, and a table [train] for what they share.
        options: training data, films to score on, and output folder.
        on_row: see OnRow.

    Raises:
        InputError: the recipe, the dataset or the films cannot be read.
        OptionsError: the recipe is invalid.
        OutputError: the folder cannot be written to.
    """
    rows = read_rows(recipe, options)
    tell = on_row or (lambda _name, _progress: None)
    compared = [_compared(name, row, options, tell) for name, row in rows.items()]
    _write_table(compared, options)
    _plot_curves(compared, options.out)
    _plot_scores(compared, options.out)
    _write_sheet(list(rows), options.out)
    return compared


def read_rows(recipe: Path, options: CompareOptions) -> dict[str, TrainOptions]:
    """Return the options of each row: those of [train], overridden by those of [rows.NAME]."""
    tables = read_toml(recipe, what="recipe", if_missing="use pipelines/compare.toml or your own")
    rows = tables.get("rows")
    if not isinstance(rows, dict) or not rows or set(tables) - {"train", "rows"}:
        raise OptionsError(
            f"recipe {recipe}: must have tables [rows.NAME], may have [train], and no others"
        )
    shared: dict[str, Any] = {"dataset": options.dataset, "data": options.data}
    shared |= tables.get("train", {}) | {"device": options.device}
    if options.max_steps is not None:
        shared["max_steps"] = options.max_steps
    try:
        return {
            name: TrainOptions(**_with_paths(shared | row), out=options.out / name)
            for name, row in rows.items()
        }
    except TypeError as error:
        raise OptionsError(
            f"recipe {recipe}: {error}; use the names of train's options as keys"
        ) from error


def _with_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's options with strings turned into paths where options are paths."""
    paths = {item.name for item in fields(TrainOptions) if "Path" in str(item.type)}
    return {
        key: Path(value) if key in paths and isinstance(value, str) else value
        for key, value in values.items()
    }


def _compared(name: str, row: TrainOptions, options: CompareOptions, tell: OnRow) -> ComparedModel:
    """Train and score a row, or return the result that an earlier run has kept."""
    folder = options.out / name
    described = {key: str(value) for key, value in asdict(row).items()}
    if (folder / KEPT).is_file():
        kept = ComparedModel(**json.loads((folder / KEPT).read_text(encoding="utf-8")))
        if kept.options == described:
            return kept
    (folder / KEPT).unlink(missing_ok=True)
    train(
        replace(row, resume=(folder / CHECKPOINT).is_file()),
        on_step=lambda progress: tell(name, progress),
    )
    tell(name, None)
    report = evaluate(
        EvaluateOptions(
            model=str(folder),
            dataset=None if options.clips else row.dataset,
            clips=options.clips,
            data=options.data,
            size=options.size,
            max_frames=options.max_frames,
            stabilize=0,  # networks are compared, not the stabiliser
            device=options.device,
            sheet=folder / "sheet.png",
        )
    )
    pictures = {
        f"{number}-{column}": picture
        for number, pictures in enumerate(report.pictures)
        for column, picture in enumerate(pictures)
    }
    with atomic_write(folder / PICTURES) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **pictures)  # type: ignore[arg-type]
    done = _described(name, described, folder, report)
    with atomic_write(folder / KEPT) as draft:
        draft.write_text(json.dumps(asdict(done), indent=2) + "\n", encoding="utf-8")
    return done


def _described(
    name: str, options: dict[str, str], folder: Path, report: EvaluationReport
) -> ComparedModel:
    card, network = load_network(folder)
    side = max(network.multiple, card.working_size // network.multiple * network.multiple)
    mega_macs, frame_seconds = cost_of(network, side)
    keys = [metric.key for metric in METRICS]
    return ComparedModel(
        name=name,
        options=options,
        steps=max(int(record["step"]) for record in records_of(folder)),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        mega_macs=mega_macs,
        frame_seconds=frame_seconds,
        scores={row.kind: {key: row.scores[key] for key in keys} for row in report.mean},
    )


@torch.inference_mode()
def cost_of(network: Generator, side: int) -> tuple[float, float]:
    """Return millions of multiply-adds and seconds of the CPU for a square frame of `side` px."""
    frame_11hw = network.frame(torch.rand(1, 1, side, side))
    embedding_1C = network.embed(frame_11hw[:, :1])

    def color() -> None:
        features = network.encode(frame_11hw, embedding_1C)
        network.decode(features, features, features)

    with FlopCounterMode(display=False) as counter:
        color()
    seconds = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        color()
        seconds.append(time.perf_counter() - began)
    return counter.get_total_flops() / 2e6, median(seconds)


def _write_table(compared: list[ComparedModel], options: CompareOptions) -> None:
    text = json.dumps([asdict(row) for row in compared], indent=2) + "\n"
    with atomic_write(options.out / "table.json") as draft:
        draft.write_text(text, encoding="utf-8")
    lines = [" | ".join(cells) for cells in table_of(compared)]
    rule = " | ".join("---" for _ in table_of(compared)[0])
    markdown = "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))
    with atomic_write(options.out / "table.md") as draft:
        draft.write_text(markdown + "\n", encoding="utf-8")


def table_of(compared: list[ComparedModel]) -> list[list[str]]:
    """Return the headings and the rows of the table; the last two rows are grey and truth."""
    metrics = [metric for metric in METRICS if metric.key in TABLE_METRICS]
    heading = ["model", "parameters", "MMAC", "ms per frame", "steps"]
    table = [[*heading, *(metric.heading for metric in metrics)]]
    for row in compared:
        about = [f"{row.parameters:,}", f"{row.mega_macs:.0f}", f"{row.frame_seconds * 1000:.0f}"]
        table.append([row.name, *about, str(row.steps), *_scored(row.scores["result"])])
    for kind in ("grey", "truth"):
        table.append([kind, "", "", "", "", *_scored(compared[0].scores[kind])])
    return table


def _scored(scores: dict[str, float | None]) -> list[str]:
    shown = []
    for metric in METRICS:
        if metric.key in TABLE_METRICS:
            value = scores[metric.key]
            shown.append("n/a" if value is None else f"{value * metric.scale:.{metric.digits}f}")
    return shown


def _plot_curves(compared: list[ComparedModel], out: Path) -> None:
    """Plot the pixel loss over the steps, and the error on test frames after each epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    learning, testing = figure.subplots(1, 2)
    for number, row in enumerate(compared):
        look = {"label": row.name, "color": f"C{number % 10}", "linestyle": "-:"[number // 10 % 2]}
        records = records_of(out / row.name)
        losses = np.array([r["pixel"] for r in records if "pixel" in r])
        width = min(SMOOTHED_STEPS, len(losses))
        means = np.convolve(losses, np.ones(width) / width, mode="valid")
        learning.plot(np.arange(len(means)) + width, means / means[0], **look)
        tested = [r for r in records if "test" in r]
        testing.plot([r["step"] for r in tested], [r["test"] for r in tested], marker=".", **look)
    if tested:
        testing.axhline(tested[-1]["test_grey"], color="grey", linestyle="--", label="grey")
    learning.set_ylabel(f"pixel loss relative to the first; mean of {SMOOTHED_STEPS} steps")
    testing.set_ylabel("chroma error on test frames, 8-bit codes")
    for axes in (learning, testing):
        axes.set_xlabel("step")
    testing.legend(fontsize="small")
    with atomic_write(out / "curves.png") as draft:
        figure.savefig(draft, format="png")


def _plot_scores(compared: list[ComparedModel], out: Path) -> None:
    """Plot the main scores as one bar per row, with lines for grey and truth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.35 * len(compared) + 1.2), layout="constrained")
    panels = figure.subplots(1, len(PLOTTED_METRICS), sharey=True)
    by_key = {metric.key: metric for metric in METRICS}
    for axes, key in zip(panels, PLOTTED_METRICS, strict=True):
        names = [row.name for row in compared]
        axes.barh(names, [row.scores["result"][key] or 0 for row in compared])
        for kind, style in (("grey", ":"), ("truth", "--")):
            value = compared[0].scores[kind][key]
            if value is not None:
                axes.axvline(value, color="black", linestyle=style, label=kind)
        axes.set_title(by_key[key].heading, fontsize="medium")
        axes.legend(fontsize="x-small")
    panels[0].invert_yaxis()
    with atomic_write(out / "scores.png") as draft:
        figure.savefig(draft, format="png")


def _write_sheet(names: list[str], out: Path) -> None:
    """Write a contact sheet: each frame's grey, the result of every row, and the truth."""
    kept = [dict(np.load(out / name / PICTURES)) for name in names]
    count = max(int(key.partition("-")[0]) for key in kept[0]) + 1
    rows: list[list[RgbImage]] = []
    for number in range(count):
        results = [pictures[f"{number}-1"] for pictures in kept]
        truth = [kept[0][key] for key in (f"{number}-2",) if key in kept[0]]
        rows.append([kept[0][f"{number}-0"], *results, *truth])
    contact_sheet(rows, ["grey", *names, "truth"], out / "sheet.png")
