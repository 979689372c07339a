"""What `train` and `lr-find` do before the first step: open frames, build networks.

setup = prepare_training(options)
losses = setup.trainer.step(setup.batches.read(0))
"""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vidcolor._version import __version__
from vidcolor.color import chroma_from_rgb, lab_from_rgb, matrix_of
from vidcolor.dataset.dataset import FrameTable, open_frames
from vidcolor.dataset.sampler import SMALLEST_CROP, Batches, BatchPlan
from vidcolor.errors import InputError, OptionsError
from vidcolor.guidance.mask_sampling import MaskSampler
from vidcolor.images.optical_flow import carry
from vidcolor.network.bins import ab_bins, soft_encode
from vidcolor.network.card import Card
from vidcolor.network.device import choose_device
from vidcolor.network.families import FAMILIES
from vidcolor.network.family import Setup, one_of
from vidcolor.network.library import find_model
from vidcolor.network.lpips import load_perceptual_loss
from vidcolor.network.weights import (
    is_weights_file,
    load_imagenet_encoder,
    start_from_model,
)
from vidcolor.options.train import TrainOptions
from vidcolor.training.checkpoints import FREE_ON_RESUME
from vidcolor.training.classifier_loss import load_classifier_loss, load_teacher
from vidcolor.training.gan_step import GanTrainer
from vidcolor.training.generator_losses import AuxiliaryLosses
from vidcolor.training.losses import CELLS, count_cells
from vidcolor.training.optimizers import Schedule

log = logging.getLogger(__name__)

COUNTED_BATCHES = 40
"""Batches whose colors are counted for `--rarity`: some millions of pixels."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """A training before its first step."""

    folder: Path
    """The model's folder."""
    test_table: FrameTable
    """Test frames: the training frames if the dataset has no others."""
    batches: Batches
    masks: MaskSampler | None
    """For a network that takes masks."""
    trainer: GanTrainer
    places: range
    """The places in a batch of this process's windows."""


def prepare_training(
    options: TrainOptions, *, steps: int | None = None, schedule: Schedule | None = None
) -> TrainingSetup:
    """Open the frames and build the networks; nothing is written.

    Args:
        options: how to train.
        steps: number of steps; default: from the options.
        schedule: of the learning rates; default: from the options.

    Raises:
        InputError: the dataset is missing or empty.
        ModelError: `--init` names no fitting model.
        OptionsError: options do not fit the family, the device or the number of processes.
    """
    torch.manual_seed(options.seed)
    folder = options.out or Path("models") / Path(options.dataset).stem
    device = choose_device(options.device)
    table = open_frames(options.dataset, "train", options.data)
    family = FAMILIES[options.model]
    options = replace(options, window=one_of(options, "window", *family.windows))
    setup = family.set_up(options)
    batches = Batches(table, plan_of(options))
    if steps is None:
        steps = options.epochs * batches.per_epoch
        steps = min(steps, options.max_steps or steps)
    if (options.temporal_weight or options.pair_discriminator) and options.window != 3:
        raise OptionsError(
            f"--temporal-weight, --pair-discriminator: need two frames, but {options.model} uses "
            f"{options.window}; leave them out"
        )
    card = _card(options, setup, folder, table)
    _check_size(options, card)
    _check_loss(options, card)
    _check_teacher(options)
    counts = _color_counts(batches, card, options)
    masks = _masks(options, card)
    trainer = GanTrainer(
        card, setup, options,
        device=device, steps=steps, color_counts=counts, schedule=schedule,
        draw_masks=None if masks is None else masks.draw,
        auxiliary_losses=_auxiliary_losses(options),
    )  # fmt: skip
    if not options.resume:
        _initialize(trainer, options)
    return TrainingSetup(
        folder=folder,
        test_table=_test_frames(options) or table,
        batches=batches,
        masks=masks,
        trainer=trainer,
        places=trainer.accelerator.share(options.batch_size),
    )


def _test_frames(options: TrainOptions) -> FrameTable | None:
    """Return the dataset's test frames, or None where it has none."""
    try:
        return open_frames(options.dataset, "test", options.data)
    except InputError:
        log.warning("%s: has no test frames, so samples show training frames", options.dataset)
        return None


def plan_of(options: TrainOptions, *, is_test: bool = False) -> BatchPlan:
    """Return how windows are made from frames, for training or for testing."""
    return BatchPlan(
        batch_size=options.samples if is_test else options.batch_size,
        height=options.size,
        width=options.size,
        window=options.window or 1,
        augment=options.crop and not is_test,
        balance=options.balance and not is_test,
        still_motion=options.still_motion and not is_test,
        seed=options.seed,
    )


def _check_size(options: TrainOptions, card: Card) -> None:
    multiple = card.build_network().multiple
    if options.size % multiple:
        raise OptionsError(
            f"--size {options.size}: must be a multiple of {multiple} for {options.model}"
        )


def _check_teacher(options: TrainOptions) -> None:
    """Refuse a teacher of another architecture than the encoder."""
    if options.teacher_weight and options.model != "efficient-unet":
        raise OptionsError(
            f"--teacher-weight {options.teacher_weight:g}: is for efficient-unet, whose encoder is "
            f"EfficientNet-Lite, not for {options.model}; leave it out"
        )


def _check_loss(options: TrainOptions, card: Card) -> None:
    """Refuse loss options that do not fit the network's output."""
    is_binned = card.output == "bins"
    for option in ("pixel_loss", "rarity") if is_binned else ("rebalance",):
        value, flag = getattr(options, option), f"--{option.replace('_', '-')}"
        if value:
            raise OptionsError(
                f"{flag} {value}: is not for {options.model}, which predicts {card.output}; use "
                f"{'--rebalance' if is_binned else '--rarity'} for more weight of rare colors"
            )


def _masks(options: TrainOptions, card: Card) -> MaskSampler | None:
    if card.build_network().takes_mask:
        return MaskSampler(
            options.masks, seed=options.seed, height=options.size, width=options.size
        )
    if options.masks is not None:
        raise OptionsError(f"--masks {options.masks}: {options.model} takes no masks; leave it out")
    return None


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
            "options": _card_options(options),
            "sources": sorted({table.source_names[run.source] for run in table.runs}),
            "frames": len(table),
        },
    )


def _working_size(options: TrainOptions) -> int:
    """Return the short side at which a film's objects are as large as in training.

    A crop keeps a share of the frame's short side, which is scaled to `size`: on average the whole
    short side would have been larger by that share. Rounded down to a multiple for every family.
    """
    mean_share = (SMALLEST_CROP + 1) / 2 if options.crop else 1.0
    return int(options.size / mean_share) // 32 * 32


def _card_options(options: TrainOptions) -> dict[str, str | float]:
    """Return the options that decide the weights, for the card: files by name, not by path."""
    chosen: dict[str, str | float] = {
        key: value
        for key, value in asdict(options).items()
        if value is not None and key not in FREE_ON_RESUME
    }
    for key in chosen.keys() & {
        "dataset",
        "init",
        "backbone_weights",
        "perceptual_backbone",
        "teacher",
    }:
        chosen[key] = Path(str(chosen[key])).name
    if options.masks is not None:
        chosen["masks"] = ",".join(Path(kind).name for kind in options.masks.split(","))
    return chosen | {"epochs": options.epochs}


def _color_counts(batches: Batches, card: Card, options: TrainOptions) -> Tensor | None:
    """Return how often each color occurs, in cells or bins; None if all have the same weight."""
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


def _auxiliary_losses(options: TrainOptions) -> AuxiliaryLosses:
    perceptual = teaching = None
    if options.perceptual_weight and options.perceptual_backbone is not None:
        classifier = load_classifier_loss(options.perceptual_backbone)
        perceptual = (
            load_perceptual_loss(options.perceptual_backbone)
            if classifier is None
            else classifier.perceptual
        )
    if options.teacher_weight and options.teacher is not None:
        teaching = load_teacher(options.teacher).teaching
    return AuxiliaryLosses(
        perceptual=perceptual,
        teaching=teaching,
        carry=carry if options.temporal_weight else None,
    )


def _initialize(trainer: GanTrainer, options: TrainOptions) -> None:
    if options.init is None:
        if trainer.setup.load_published is None:
            return
        trainer.setup.load_published(trainer.generator)
    elif is_weights_file(options.init):
        load_imagenet_encoder(trainer.generator, Path(options.init))
    else:
        start_from_model(trainer.generator, find_model(options.init))
    trainer.start_average_here()
