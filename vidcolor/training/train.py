"""The verb `train`: frames in, a model out.

Prepare, step through the batches; after every epoch score the test frames, draw samples and a
plot, save model and checkpoint. With `torchrun`, every process runs the steps and only the main
process does the rest.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from vidcolor.color import (
    chroma_from_rgb,
    fit_gamut,
    keep_color,
    luma_from_rgb,
    matrix_of,
    rgb_from_ycbcr,
)
from vidcolor.dataset.sampler import Batches
from vidcolor.errors import VidcolorError
from vidcolor.images.contact_sheet import contact_sheet
from vidcolor.images.image_files import RgbImage
from vidcolor.network.card import Card
from vidcolor.network.weights import save_model
from vidcolor.options.train import TrainOptions
from vidcolor.training.checkpoints import TrainingLog, load_checkpoint, records_of, save_checkpoint
from vidcolor.training.setup import TrainingSetup, plan_of, prepare_training
from vidcolor.training.tensorboard import Board

log = logging.getLogger(__name__)

VALIDATION_WINDOWS = 64
"""Test windows that are scored after an epoch, spread evenly: a minute on a CPU at most."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a training, for display."""

    step: int
    """Steps done."""
    steps: int
    """Total number of steps."""
    epoch: int
    """Current epoch, from 1."""
    losses: dict[str, float]
    """The step's losses by name."""


def train(options: TrainOptions, *, on_step: Callable[[Progress], None] | None = None) -> Path:
    """Train a generator and return its model folder, for `render --model`.

    Raises:
        InputError: the dataset is missing or empty.
        ModelError: `--init` names no fitting model.
        VidcolorError: the training diverged, `--resume` has other options, or another process
            was stopped.
    """
    setup = prepare_training(options)
    trainer = setup.trainer
    if options.resume:
        load_checkpoint(setup.folder, trainer, trainer.options)
    log.info(
        "training %s on %d frames, %d steps of %d windows, from step %d",
        options.model, len(setup.batches.table), trainer.steps, options.batch_size,
        trainer.steps_done,
    )  # fmt: skip
    stop = Event()
    with ThreadPoolExecutor(1) as worker:
        try:
            worker.submit(_run, setup, stop, on_step or (lambda _: None)).result()
        finally:
            # Ctrl-C stops only this thread, so a step is never left half done.
            stop.set()
    return setup.folder


def _run(setup: TrainingSetup, stop: Event, on_step: Callable[[Progress], None]) -> None:
    trainer, batches = setup.trainer, setup.batches
    is_main = trainer.accelerator.is_main
    training_log = _open_log(setup) if is_main else None
    if training_log is not None and _is_unclosed(setup):
        _close_epoch(setup, training_log, _epoch(setup), stop)
    last_checkpoint = time.monotonic()
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(batches.read, trainer.steps_done, setup.places)
        while trainer.steps_done < trainer.steps:
            if trainer.accelerator.any(stop.is_set()):
                _stop(setup)
            rgb_BT3hw = coming.result()
            coming = reader.submit(batches.read, trainer.steps_done + 1, setup.places)
            losses = _step(setup, rgb_BT3hw)
            if training_log is None:
                continue
            epoch = _epoch(setup)
            training_log.add(
                {"step": trainer.steps_done, "epoch": epoch, "lr": trainer.rate} | losses
            )
            on_step(
                Progress(step=trainer.steps_done, steps=trainer.steps, epoch=epoch, losses=losses)
            )
            if _ends_epoch(setup):
                _close_epoch(setup, training_log, epoch, stop)
            elif time.monotonic() - last_checkpoint < trainer.options.checkpoint_minutes * 60:
                continue
            save_checkpoint(setup.folder, trainer)
            last_checkpoint = time.monotonic()
    trainer.accelerator.wait()


def _open_log(setup: TrainingSetup) -> TrainingLog:
    setup.folder.mkdir(parents=True, exist_ok=True)
    done = setup.trainer.steps_done
    board = Board(setup.folder, from_step=done) if setup.trainer.options.tensorboard else None
    return TrainingLog(setup.folder, from_step=done, board=board)


def _ends_epoch(setup: TrainingSetup) -> bool:
    """Tell whether the last step ended an epoch, or the training: then the model is saved."""
    done = setup.trainer.steps_done
    return done == setup.trainer.steps or done % setup.batches.per_epoch == 0


def _epoch(setup: TrainingSetup) -> int:
    """Return the epoch of the last step, from 1."""
    return (setup.trainer.steps_done - 1) // setup.batches.per_epoch + 1


def _is_unclosed(setup: TrainingSetup) -> bool:
    """Tell whether a training was stopped while it closed an epoch: its score is missing."""
    done = setup.trainer.steps_done
    closed = {record["step"] for record in records_of(setup.folder) if "test" in record}
    return done > 0 and _ends_epoch(setup) and done not in closed


def _stop(setup: TrainingSetup) -> NoReturn:
    """Save a checkpoint and stop; all processes are here after the same step."""
    trainer = setup.trainer
    if trainer.accelerator.is_main:
        save_checkpoint(setup.folder, trainer)
        log.warning("stopped; run the same command with --resume to resume")
    trainer.accelerator.wait()
    raise VidcolorError(
        f"training stopped at step {trainer.steps_done}: another process was stopped; "
        "run the same command with --resume to resume from the last checkpoint"
    )


def _step(setup: TrainingSetup, rgb_BT3hw: Tensor) -> dict[str, float]:
    try:
        return setup.trainer.step(rgb_BT3hw)
    except FloatingPointError as error:
        raise VidcolorError(
            f"training stopped at step {setup.trainer.steps_done}: {error}; resume from the "
            "last checkpoint with --resume and a lower --lr"
        ) from error


def _close_epoch(setup: TrainingSetup, training_log: TrainingLog, epoch: int, stop: Event) -> None:
    """Score test windows, draw samples and plot, save the model.

    If `stop` is set it returns early; a resumed training does it again.
    """
    trainer, table = setup.trainer, setup.test_table
    options = trainer.options
    chosen = np.linspace(0, len(table) - 1, min(VALIDATION_WINDOWS, len(table))).astype(int)
    viewer = Batches(table, plan_of(options, is_test=True))
    errors, leaks, pictures = [], [], []
    for index in chosen:
        if stop.is_set():
            return
        rgb_1T3hw = viewer.window(int(index))[None]
        middle_13hw = rgb_1T3hw[:, rgb_1T3hw.shape[1] // 2]
        matrix = matrix_of(trainer.card.grey)
        mask_11hw = None if setup.masks is None else setup.masks.for_test(int(index))[None]
        chroma_12hw = trainer.chroma(rgb_1T3hw, mask_11hw)
        if mask_11hw is not None:
            middle_13hw = keep_color(middle_13hw, mask_11hw, matrix)
            leaks.append(chroma_12hw.abs()[(mask_11hw == 0).expand_as(chroma_12hw)])
        truth_12hw = chroma_from_rgb(middle_13hw, matrix)
        errors.append(
            (float((chroma_12hw - truth_12hw).abs().mean()), float(truth_12hw.abs().mean()))
        )
        pictures.append((middle_13hw[0], chroma_12hw[0]))
    _log_scores(setup, training_log, epoch, errors, leaks)
    spread = np.linspace(0, len(pictures) - 1, min(options.samples, len(pictures))).astype(int)
    rows = [_sample_row(pictures[i], trainer.card) for i in spread]
    sheet = setup.folder / "samples" / f"epoch-{epoch:04d}.png"
    contact_sheet(rows, ("grey", "result", "truth"), sheet)
    training_log.show(sheet, trainer.steps_done)
    training_log.plot()
    save_model(trainer.card, trainer.result, setup.folder)


def _log_scores(
    setup: TrainingSetup,
    training_log: TrainingLog,
    epoch: int,
    errors: list[tuple[float, float]],
    leaks: list[Tensor],
) -> None:
    """Log the mean errors, and the chroma outside of masks, in codes of 255."""
    ours, greys = np.mean(errors, axis=0) * 255
    scores = {"test": ours, "test_grey": greys}
    log.info("epoch %d: chroma error on test frames %.2f codes (grey: %.2f)", epoch, ours, greys)
    outside = torch.cat(leaks) if leaks else torch.empty(0)
    if len(outside):
        scores["leakage"] = outside.mean().item() * 255
        log.info("epoch %d: %.2f codes of chroma leak out of masks", epoch, scores["leakage"])
    training_log.add({"step": setup.trainer.steps_done, "epoch": epoch} | scores)


def _sample_row(sample: tuple[Tensor, Tensor], card: Card) -> list[RgbImage]:
    middle_3hw, chroma_2hw = sample
    matrix = matrix_of(card.grey)
    luma_1hw = luma_from_rgb(middle_3hw, matrix)
    fitted_2hw = fit_gamut(luma_1hw, chroma_2hw, matrix)
    result_3hw = rgb_from_ycbcr(luma_1hw, fitted_2hw, matrix)
    panels = (luma_1hw.expand(3, -1, -1), result_3hw, middle_3hw)
    return [(p.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for p in panels]
