"""The two Adam optimizers, the learning rate of each layer, and the schedule."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vidcolor.network.weights import is_weights_file
from vidcolor.options.train import TrainOptions

ADVERSARIAL_BETAS = (0.5, 0.999)
"""Of Adam: seed 002's; a momentum of 0.5 stabilises adversarial training (Radford et al. 2016)."""

PLAIN_BETAS = (0.9, 0.999)
"""Of Adam where nothing is adversarial (Kingma and Ba 2015)."""

PRETRAINED_RATE = 0.2
"""Share of the learning rate for layers that start with ImageNet weights.

At the full rate their features diverged within 500 steps.
"""

LAST_RATE = 0.01
"""Share of the learning rate at which the cosine schedule ends."""

WARMUP_STEPS = 200
"""Warm-up steps of the cosine schedule: Adam's moments need some to settle."""

Schedule = Callable[[int], float]
"""Returns the factor of the learning rates at a step, from 0."""


def schedule_of(options: TrainOptions, steps: int) -> Schedule:
    """Return the schedule of `--lr-schedule`, for this number of steps."""
    if options.lr_schedule == "constant":
        return lambda step: 1.0

    def cosine(step: int) -> float:
        share = min(1.0, step / steps)
        fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2
        return fall * min(1.0, (step + 1) / WARMUP_STEPS)

    return cosine


def generator_adam(generator: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """Return the generator's Adam; layers with published weights have a lower rate."""
    return _adam(_groups(generator, options), options.lr, options)


def discriminator_adam(discriminator: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """Return the discriminator's Adam."""
    groups: list[dict[str, Any]] = [{"params": [*discriminator.parameters()]}]
    return _adam(groups, options.discriminator_lr or options.lr, options)


def set_rates(adam: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to its initial rate times the factor."""
    for group in adam.param_groups:
        group["lr"] = group["rate"] * factor


def _adam(groups: list[dict[str, Any]], rate: float, options: TrainOptions) -> torch.optim.AdamW:
    betas = ADVERSARIAL_BETAS if options.adversarial_weight else PLAIN_BETAS
    for group in groups:
        group["rate"] = rate * group.pop("share", 1.0)
    return torch.optim.AdamW(groups, rate, betas, weight_decay=options.weight_decay)


def _groups(generator: nn.Module, options: TrainOptions) -> list[dict[str, Any]]:
    is_imagenets = options.init is not None and is_weights_file(options.init)
    published = ("features.",) * is_imagenets + ("backbone.",) * (not options.random_backbone)
    named = [(name, p) for name, p in generator.named_parameters() if p.requires_grad]
    fresh = [p for name, p in named if not name.startswith(published)]
    pretrained = [p for name, p in named if name.startswith(published)]
    groups: list[dict[str, Any]] = [{"params": fresh}]
    return [*groups, {"params": pretrained, "share": PRETRAINED_RATE}] if pretrained else groups
