"""The verb `lr-find`: a learning-rate range test (Smith 2017, section 3.3).

A new network is trained for some steps while the learning rate grows from tiny to too large. The
loss falls where the rate is good, and rises where it is too large; the model is discarded.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidcolor.errors import VidcolorError
from vidcolor.files import atomic_write
from vidcolor.options.train import LrFindOptions, TrainOptions
from vidcolor.training.setup import TrainingSetup, prepare_training

WATCHED = "pixel"
"""The loss that is watched: adversarial losses rise as the discriminator learns."""

SMOOTHED_SHARE = 1 / 20
"""Share of the steps on either side over which the loss is averaged, as batches vary."""

DIVERGED = 4.0
"""The test ends when the smoothed loss is this many times its minimum, as in fast.ai."""


@dataclass(frozen=True, kw_only=True)
class LrSuggestion:
    """The result of a range test."""

    rates: list[float]
    """The learning rate of each step."""
    losses: list[float]
    """The loss of each step, before the update."""
    smooth: list[float]
    """The loss, averaged over neighbouring steps."""
    suggestion: float | None
    """The rate at which the smoothed loss falls fastest; None if it did not fall."""
    csv: Path
    plot: Path

    @property
    def cautious(self) -> float | None:
        """A tenth of the rate with the lowest loss, but at most `suggestion`; None without one."""
        if self.suggestion is None:
            return None
        return min(self.suggestion, self.rates[int(np.argmin(self.smooth))] / 10)

    def __str__(self) -> str:
        """Return the suggestion and its reason."""
        lowest = int(np.argmin(self.smooth))
        seen = f"from {self.smooth[0]:.4g} to {self.smooth[lowest]:.4g} at {self.rates[lowest]:.2g}"
        if self.suggestion is None:
            return (
                f"no rate suggested: the loss did not fall ({seen}); try a smaller --min, a larger "
                "--max or more --steps"
            )
        cautious = min(self.suggestion, self.rates[lowest] / 10)
        return (
            f"suggested --lr {self.suggestion:.2g} (steepest fall of the smoothed loss; "
            f"it fell {seen}); cautious: --lr {cautious:.2g}"
        )


def lr_find(
    options: TrainOptions,
    ramp: LrFindOptions,
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> LrSuggestion:
    """Test learning rates and write `lr-find.csv` and `lr-find.png` to the model's folder.

    Args:
        options: of the training; the ramp sets steps and rates.
        ramp: the rates.
        on_step: called with the steps done and all steps.

    Raises:
        VidcolorError: as `vidcolor.training.train.train` does.
    """
    growth = (ramp.max / ramp.min) ** (1 / (ramp.steps - 1))
    setup = prepare_training(
        replace(
            options,
            lr=ramp.min,
            # The two rates keep their ratio.
            discriminator_lr=(options.discriminator_lr or options.lr) / options.lr * ramp.min,
            resume=False,
        ),
        steps=ramp.steps,
        schedule=lambda step: growth**step,
    )
    rates, losses = _climb(setup, on_step)
    if not losses:
        raise VidcolorError(f"--min {ramp.min}: the loss is not finite from the start; use less")
    smooth = smoothed(losses, ramp.steps)
    found = LrSuggestion(
        rates=rates,
        losses=losses,
        smooth=smooth.tolist(),
        suggestion=suggested(rates, smooth),
        csv=setup.folder / "lr-find.csv",
        plot=setup.folder / "lr-find.png",
    )
    if setup.trainer.accelerator.is_main:
        setup.folder.mkdir(parents=True, exist_ok=True)
        _write(found)
        _draw(found)
    setup.trainer.accelerator.wait()
    return found


def _climb(
    setup: TrainingSetup, on_step: Callable[[int, int], None]
) -> tuple[list[float], list[float]]:
    """Return the rates tried and the loss at each, until it diverges."""
    trainer, rates, losses = setup.trainer, [], []
    while trainer.steps_done < trainer.steps:
        batch = setup.batches.read(trainer.steps_done, setup.places)
        try:
            step = trainer.step(batch)
        except FloatingPointError:
            break
        on_step(trainer.steps_done, trainer.steps)
        if WATCHED not in step:  # with --generator-every 2 every other step is the discriminator's
            continue
        rates.append(trainer.rate)
        losses.append(step[WATCHED])
        smooth = smoothed(losses, trainer.steps)
        if smooth[-1] > DIVERGED * smooth.min():
            break
    return rates, losses


def smoothed(losses: Sequence[float], steps: int) -> NDArray[np.float64]:
    """Return the mean of each loss and its neighbours on both sides: smooth, without delay.

    Args:
        losses: one per step.
        steps: of the whole test; a twentieth of them is averaged on either side.
    """
    reach = max(1, round(steps * SMOOTHED_SHARE))
    return np.array(
        [np.mean(losses[max(0, i - reach) : i + reach + 1]) for i in range(len(losses))]
    )


def suggested(rates: Sequence[float], smooth: NDArray[np.float64]) -> float | None:
    """Return the rate of the steepest fall of the loss over log rate, before its minimum."""
    lowest = int(np.argmin(smooth)) if len(smooth) else 0
    if lowest == 0:
        return None
    slope = np.gradient(smooth, np.log(rates))[: lowest + 1]
    return rates[int(np.argmin(slope))]


def _write(found: LrSuggestion) -> None:
    with atomic_write(found.csv) as draft, draft.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("step", "lr", "loss", "smoothed"))
        steps = range(1, len(found.rates) + 1)
        rows.writerows(zip(steps, found.rates, found.losses, found.smooth, strict=True))


def _draw(found: LrSuggestion) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(found.rates, found.losses, linewidth=0.6, alpha=0.5, label="each step")
    axes.semilogx(found.rates, found.smooth, label="smoothed")
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color="black", linestyle="--", label="steepest fall")
    axes.set_xlabel("learning rate")
    axes.set_ylabel(f"{WATCHED} loss")
    axes.legend()
    with atomic_write(found.plot) as draft:
        figure.savefig(draft, dpi=90, format="png")
