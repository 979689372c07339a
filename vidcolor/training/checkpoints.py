"""Checkpoints and the log of a training, so that it can resume."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vidcolor._version import __version__
from vidcolor.errors import ModelError, OptionsError
from vidcolor.files import atomic_write, read_json_lines
from vidcolor.options.train import TrainOptions
from vidcolor.training.gan_step import GanTrainer
from vidcolor.training.tensorboard import Board

CHECKPOINT = "checkpoint.pt"
LOG = "metrics.jsonl"

FREE_ON_RESUME = {
    "resume", "device", "checkpoint_minutes", "samples", "max_steps", "epochs", "data", "out",
    "tensorboard",
}  # fmt: skip
"""Options that may differ on resume: they change how long and where, not what is trained."""


def save_checkpoint(folder: Path, trainer: GanTrainer) -> None:
    """Write the trainer's state atomically, even if the power fails."""
    options = {key: str(value) for key, value in asdict(trainer.options).items()}
    state = {"vidcolor": __version__, "options": options, "state": trainer.state()}
    with atomic_write(folder / CHECKPOINT) as draft:
        torch.save(state, draft)


def load_checkpoint(folder: Path, trainer: GanTrainer, options: TrainOptions) -> None:
    """Restore the trainer to a state that `save_checkpoint` wrote.

    Raises:
        ModelError: there is no checkpoint, or it is damaged, or from another version.
        OptionsError: it was written with other options.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ModelError(f"{path}: no checkpoint to resume from; leave out --resume to start")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved, state = content["options"], content["state"]
    except Exception as error:
        raise ModelError(f"{path}: is not a valid checkpoint: {error}") from error
    # An older version did not have every option: it trained as the default does.
    defaults = asdict(TrainOptions(dataset=options.dataset))
    before = {key: saved.get(key, str(defaults[key])) for key in defaults}
    differing = [
        f"--{key.replace('_', '-')} {value} (was {before[key]})"
        for key, value in asdict(options).items()
        if key not in FREE_ON_RESUME and str(value) != before[key]
    ]
    if differing:
        raise OptionsError(
            f"--resume: {folder} was trained with other options: {', '.join(differing)}; "
            "use the same ones, or another --out to start over"
        )
    try:
        trainer.load_state(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path}: was written by another version ({error}); leave out --resume to start over"
        ) from error


class TrainingLog:
    """The training's log, `metrics.jsonl`: one JSON object a step, one more an epoch."""

    def __init__(self, folder: Path, *, from_step: int, board: Board | None = None) -> None:
        self.path, self.folder, self.board = folder / LOG, folder, board
        kept = [r for r in records_of(folder) if r["step"] <= from_step] if from_step else []
        with atomic_write(self.path) as draft:
            draft.write_text("".join(json.dumps(record) + "\n" for record in kept))

    def add(self, record: dict[str, float]) -> None:
        """Append a record."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self.board is not None:
            self.board.add(record)

    def show(self, picture: Path, step: int) -> None:
        """Add a picture to TensorBoard, if it is used."""
        if self.board is not None:
            self.board.show(picture, step)

    def plot(self) -> None:
        """Draw `losses.png`: every loss over the steps, each in its own panel."""
        from matplotlib.figure import Figure

        records = records_of(self.folder)
        names = sorted({key for r in records for key in r} - {"step", "epoch", "test_grey"})
        figure = Figure(figsize=(8, 2.2 * len(names)), layout="constrained")
        for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
            for key in (name, "test_grey") if name == "test" else (name,):
                points = [(r["step"], r[key]) for r in records if key in r]
                axes.plot(*zip(*points, strict=True), linewidth=0.8, label=key)
            axes.set_ylabel("chroma error, codes" if name == "test" else name)
            axes.set_xlabel("step")
            if name == "test":
                axes.legend()
        with atomic_write(self.folder / "losses.png") as draft:
            figure.savefig(draft, dpi=90, format="png")


def records_of(folder: Path) -> list[dict[str, float]]:
    """Return every complete record of a model's log; a truncated line is skipped."""
    return [record for record in read_json_lines(folder / LOG) if record is not None]
