"""The verb `train`: frames in, a model out.

The line: open the frames, shape the network, step through the batches; after every epoch score
the test frames, draw a sample picture and a plot, save model and checkpoint.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidcolor._version import __version__
from vidcolor.batches import SMALLEST_CROP, Batches, BatchPlan
from vidcolor.checkpoints import FREE_ON_RESUME, Journal, load_checkpoint, save_checkpoint
from vidcolor.color import (
    chroma_from_rgb,
    fit_gamut,
    lab_from_rgb,
    luma_from_rgb,
    matrix_of,
    rgb_from_ycbcr,
)
from vidcolor.dataset import FrameTable, open_frames
from vidcolor.errors import InputError, OptionsError, VidcolorError
from vidcolor.network.bins import ab_bins, soft_encode
from vidcolor.network.card import FAMILIES, Card
from vidcolor.network.device import choose_device
from vidcolor.network.family import Setup, one_of
from vidcolor.network.gan import GanTrainer
from vidcolor.network.losses import CELLS, count_cells
from vidcolor.network.weights import (
    find_model,
    is_weights_file,
    load_imagenet_encoder,
    save_model,
    start_from_model,
)
from vidcolor.options import TrainOptions
from vidcolor.sheet import Picture, contact_sheet

log = logging.getLogger(__name__)

VALIDATION_WINDOWS = 64
"""Test windows that are scored after an epoch, spread evenly: a minute on a CPU at most."""

COUNTED_BATCHES = 40
"""Batches whose colours are counted for `--rarity`: some millions of pixels."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training stands, for whoever shows it."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    epoch: int
    """Current epoch, from 1."""
    losses: dict[str, float]
    """The step's losses by name."""


def train(options: TrainOptions, *, on_step: Callable[[Progress], None] | None = None) -> Path:
    """Train a generator and return its model folder, which `render --model` takes.

    Raises:
        InputError: the dataset is missing or empty.
        ModelError: `--init` names no fitting model.
        VidcolorError: the training diverged, or `--resume` meets other options.
    """
    torch.manual_seed(options.seed)
    folder = options.out or Path("models") / Path(options.dataset).stem
    device = choose_device(options.device)
    table = open_frames(options.dataset, "train", options.data)
    test_table = _test_frames(options)
    family = FAMILIES[options.model]
    window = one_of(options, "window", *family.windows)
    options = replace(options, window=window)
    setup = family.set_up(options)
    batches = Batches(table, _plan(options))
    steps = options.epochs * batches.per_epoch
    steps = min(steps, options.max_steps or steps)
    card = _card(options, setup, folder, table)
    counts = _colour_counts(batches, card, options)
    _check_size(options, card)
    trainer = GanTrainer(card, setup, options, device=device, steps=steps, colour_counts=counts)
    folder.mkdir(parents=True, exist_ok=True)
    if options.resume:
        load_checkpoint(folder, trainer, options)
    else:
        _initialise(trainer, options)
    log.info(
        "training %s on %d frames, %d steps of %d windows, from step %d",
        options.model, len(table), steps, options.batch_size, trainer.steps_done,
    )  # fmt: skip
    _run(trainer, batches, test_table, folder, steps, on_step or (lambda _: None))
    return folder


def _run(
    trainer: GanTrainer,
    batches: Batches,
    test_table: FrameTable | None,
    folder: Path,
    steps: int,
    on_step: Callable[[Progress], None],
) -> None:
    options = trainer.options
    journal = Journal(folder, from_step=trainer.steps_done)
    last_checkpoint = time.monotonic()
    with ThreadPoolExecutor(2) as workers:
        coming = workers.submit(batches.read, trainer.steps_done)
        try:
            while trainer.steps_done < steps:
                rgb_BT3hw = coming.result()
                coming = workers.submit(batches.read, trainer.steps_done + 1)
                # Ctrl-C stops this thread alone: a step is never left half done.
                losses = workers.submit(_step, trainer, rgb_BT3hw).result()
                epoch = (trainer.steps_done - 1) // batches.per_epoch + 1
                journal.add({"step": trainer.steps_done, "epoch": epoch} | losses)
                on_step(Progress(step=trainer.steps_done, steps=steps, epoch=epoch, losses=losses))
                if _ends_epoch(trainer, batches, steps):
                    _close_epoch(trainer, test_table or batches.table, journal, folder, epoch)
                elif time.monotonic() - last_checkpoint < options.checkpoint_minutes * 60:
                    continue
                save_checkpoint(folder, trainer)
                last_checkpoint = time.monotonic()
        except KeyboardInterrupt:
            workers.shutdown(cancel_futures=True)
            # An epoch that was not closed is left to the checkpoint before, which closes it.
            if not _ends_epoch(trainer, batches, steps):
                save_checkpoint(folder, trainer)
            log.warning("stopped; the same command with --resume goes on from the last checkpoint")
            raise


def _ends_epoch(trainer: GanTrainer, batches: Batches, steps: int) -> bool:
    """Tell whether the last step ended an epoch, or the training: then the model is saved."""
    return trainer.steps_done == steps or trainer.steps_done % batches.per_epoch == 0


def _step(trainer: GanTrainer, rgb_BT3hw: Tensor) -> dict[str, float]:
    try:
        return trainer.step(rgb_BT3hw)
    except FloatingPointError as error:
        raise VidcolorError(
            f"training stopped at step {trainer.steps_done}: {error}; go on from the last "
            "checkpoint with --resume and a lower --lr"
        ) from error


def _test_frames(options: TrainOptions) -> FrameTable | None:
    """Return the dataset's test frames, or None where it has none."""
    try:
        return open_frames(options.dataset, "test", options.data)
    except InputError:
        log.warning("%s has no test frames: samples show training frames", options.dataset)
        return None


def _plan(options: TrainOptions, *, is_test: bool = False) -> BatchPlan:
    return BatchPlan(
        batch_size=options.samples if is_test else options.batch_size,
        height=options.size,
        width=options.size,
        window=options.window or 1,
        augment=options.crop and not is_test,
        balance=options.balance and not is_test,
        seed=options.seed,
    )


def _check_size(options: TrainOptions, card: Card) -> None:
    multiple = card.build_network().multiple
    if options.size % multiple:
        raise OptionsError(
            f"--size {options.size}: must be a multiple of {multiple} for {options.model}"
        )


def _card(options: TrainOptions, setup: Setup, folder: Path, table: FrameTable) -> Card:
    return Card(
        name=folder.name,
        family=options.model,
        network=asdict(setup.config),
        output=setup.output,
        grey=setup.grey,
        working_size=_working_size(options),
        window=options.window or 1,
        training={
            "vidcolor": __version__,
            "options": _told(options),
            "sources": sorted({table.source_names[run.source] for run in table.runs}),
            "frames": len(table),
        },
    )


def _working_size(options: TrainOptions) -> int:
    """Return the short side at which a film's objects look as large as those that were learned.

    A crop keeps a share of the frame's short side, which is scaled to `size`: on average the whole
    short side would have been larger by that share. Rounded down to what both families divide.
    """
    mean_share = (SMALLEST_CROP + 1) / 2 if options.crop else 1.0
    return int(options.size / mean_share) // 32 * 32


def _told(options: TrainOptions) -> dict[str, str | float]:
    """Return the options that shaped the weights, for the card: files by name, not by path."""
    told: dict[str, str | float] = {
        key: value
        for key, value in asdict(options).items()
        if value is not None and key not in FREE_ON_RESUME
    }
    for key in told.keys() & {"dataset", "init"}:
        told[key] = Path(str(told[key])).name
    return told | {"epochs": options.epochs}


def _colour_counts(batches: Batches, card: Card, options: TrainOptions) -> Tensor | None:
    """Return how often each colour occurs: in cells, or in bins; None if all weigh alike."""
    is_binned = card.output == "bins"
    if (options.rebalance is None) if is_binned else not options.rarity:
        return None
    bins_Q2 = ab_bins()
    counts = torch.zeros(len(bins_Q2) if is_binned else CELLS**2)
    for step in range(min(COUNTED_BATCHES, batches.per_epoch)):
        rgb_N3hw = batches.read(step).flatten(0, 1)
        if is_binned:
            ab_N2hw = functional.avg_pool2d(lab_from_rgb(rgb_N3hw)[:, 1:], 4)
            counts += soft_encode(ab_N2hw, bins_Q2).sum(dim=(0, 2, 3))
        else:
            counts += count_cells(chroma_from_rgb(rgb_N3hw, matrix_of(card.grey)))
    return counts


def _initialise(trainer: GanTrainer, options: TrainOptions) -> None:
    if options.init is None:
        return
    if is_weights_file(options.init):
        load_imagenet_encoder(trainer.generator, Path(options.init))
    else:
        start_from_model(trainer.generator, find_model(options.init))
    trainer.start_average_here()


def _close_epoch(
    trainer: GanTrainer, table: FrameTable, journal: Journal, folder: Path, epoch: int
) -> None:
    """Score test windows, draw samples and plot, save the model."""
    options = trainer.options
    chosen = np.linspace(0, len(table) - 1, min(VALIDATION_WINDOWS, len(table))).astype(int)
    viewer = Batches(table, _plan(options, is_test=True))
    errors, pictures = [], []
    for index in chosen:
        rgb_1T3hw = viewer.window(int(index))[None]
        middle_3hw = rgb_1T3hw[0, rgb_1T3hw.shape[1] // 2]
        chroma_2hw = trainer.chroma(rgb_1T3hw)[0]
        matrix = matrix_of(trainer.card.grey)
        truth_2hw = chroma_from_rgb(middle_3hw, matrix)
        errors.append((float((chroma_2hw - truth_2hw).abs().mean()), float(truth_2hw.abs().mean())))
        pictures.append((middle_3hw, chroma_2hw))
    ours, greys = np.mean(errors, axis=0) * 255
    journal.add({"step": trainer.steps_done, "epoch": epoch, "test": ours, "test_grey": greys})
    log.info("epoch %d: chroma error on test frames %.2f codes (grey: %.2f)", epoch, ours, greys)
    spread = np.linspace(0, len(pictures) - 1, min(options.samples, len(pictures))).astype(int)
    rows = [_sample_row(pictures[i], trainer.card) for i in spread]
    contact_sheet(rows, ("grey", "result", "truth"), folder / "samples" / f"epoch-{epoch:04d}.png")
    journal.plot()
    save_model(trainer.card, trainer.result, folder)


def _sample_row(sample: tuple[Tensor, Tensor], card: Card) -> list[Picture]:
    middle_3hw, chroma_2hw = sample
    matrix = matrix_of(card.grey)
    luma_1hw = luma_from_rgb(middle_3hw, matrix)
    fitted_2hw = fit_gamut(luma_1hw, chroma_2hw, matrix)
    result_3hw = rgb_from_ycbcr(luma_1hw, fitted_2hw, matrix)
    panels = (luma_1hw.expand(3, -1, -1), result_3hw, middle_3hw)
    return [(p.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for p in panels]
