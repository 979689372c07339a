"""lr-find: a ramp of rates, its numbers and its plot, and what is suggested."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vidcolor.cli.app import app
from vidcolor.errors import OptionsError, VidcolorError
from vidcolor.options.train import LrFindOptions, TrainOptions
from vidcolor.training.lr_find import LrSuggestion, lr_find, smoothed, suggested


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    """Return a folder of five frames, red over green: fewer than a ramp has steps."""
    folder = tmp_path_factory.mktemp("frames")
    for i in range(5):
        picture = np.full((64, 64, 3), (40, 140, 60), np.uint8)
        cv2.circle(picture, (10 + 8 * i, 32), 12, (40, 40, 220), -1)
        cv2.imwrite(str(folder / f"{i + 1:05d}.png"), picture)
    return folder


def _options(frames: Path, out: Path, **changes) -> TrainOptions:
    values: dict[str, Any] = {
        "dataset": str(frames), "out": out, "size": 32, "crop": False, "ngf": 8, "ndf": 8,
        "batch_size": 2, "adversarial_weight": 0.0, "device": "cpu",
    }  # fmt: skip
    return TrainOptions(**values | changes)


def test_a_ramp_longer_than_the_dataset_leaves_numbers_a_plot_and_a_suggestion(frames, tmp_path):
    seen = []
    ramp = LrFindOptions(min=1e-4, max=1.0, steps=41)
    found = lr_find(_options(frames, tmp_path), ramp, on_step=lambda done, total: seen.append(done))
    assert seen[-1] > 5
    rows = list(csv.DictReader(found.csv.read_text().splitlines()))
    rates = [float(row["lr"]) for row in rows]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[10] == pytest.approx(1e-3)
    assert len(rows) < 41 or rates[-1] == pytest.approx(1.0)
    assert [float(row["loss"]) for row in rows] == found.losses
    assert cv2.imread(str(found.plot)) is not None
    assert found.suggestion in rates
    # What suits so small a network lies where nearly all do.
    assert found.suggestion is not None
    assert 3e-4 < found.suggestion < 0.3
    assert f"--lr {found.suggestion:.2g}" in str(found)
    assert {path.name for path in tmp_path.iterdir()} == {"lr-find.csv", "lr-find.png"}


def test_steps_in_which_the_generator_does_not_learn_are_left_out(frames, tmp_path):
    options = _options(
        frames, tmp_path, batch_size=1, size=64, adversarial_weight=1.0, generator_every=2,
        discriminator_lr=4e-3,
    )  # fmt: skip
    found = lr_find(options, LrFindOptions(min=1e-5, max=1e-4, steps=10))
    assert found.rates == pytest.approx([1e-5 * 10 ** (i / 9) for i in (0, 2, 4, 6, 8)])


def _valley() -> tuple[list[float], list[float]]:
    """Return rates and a loss that falls fastest at 1e-2 and rises after 1e-1."""
    rates = [10 ** (-5 + i / 20) for i in range(121)]
    losses = [
        1 / (1 + np.exp(3 * (np.log10(rate) + 2))) + max(0, np.log10(rate) + 1) ** 2
        for rate in rates
    ]
    return rates, losses


def test_the_suggestion_is_where_a_noisy_loss_falls_fastest():
    rates, losses = _valley()
    noise = np.random.default_rng(0).normal(0, 0.02, len(losses))
    found = suggested(rates, smoothed(list(losses + noise), len(losses)))
    assert found is not None
    assert 10**-2.5 < found < 10**-1.5


@pytest.mark.parametrize(("lowest", "cautious"), [(1e-1, 0.01), (1.0, 0.022)])
def test_the_cautious_rate_is_never_above_the_suggested_one(lowest, cautious):
    losses = [1.0, 0.5, 0.1]
    found = LrSuggestion(
        rates=[1e-4, 0.022, lowest], losses=losses, smooth=losses, suggestion=0.022,
        csv=Path("a.csv"), plot=Path("a.png"),
    )  # fmt: skip
    assert found.cautious == pytest.approx(cautious)
    assert str(found) == (
        "suggested --lr 0.022 (steepest fall of the smoothed loss; "
        f"it fell from 1 to 0.1 at {lowest:.2g}); cautious: --lr {cautious:.2g}"
    )


def test_smoothing_is_not_late():
    _, losses = _valley()
    assert abs(int(np.argmin(smoothed(losses, len(losses)))) - int(np.argmin(losses))) <= 1


def test_no_rate_is_suggested_where_the_loss_never_falls():
    rates, losses = _valley()
    assert suggested(rates, smoothed(sorted(losses), len(losses))) is None


def test_the_test_ends_where_the_loss_diverges(frames, tmp_path, monkeypatch):
    from vidcolor.training.gan_step import GanTrainer

    step = GanTrainer.step
    growing = {"times": 1.0}

    def worse(self, batch):
        growing["times"] *= 1.5
        return step(self, batch) | {"pixel": growing["times"]}

    monkeypatch.setattr(GanTrainer, "step", worse)
    found = lr_find(_options(frames, tmp_path), LrFindOptions(steps=40))
    assert len(found.losses) < 10
    assert found.suggestion is None
    assert str(found).startswith("no rate suggested: the loss did not fall")


def test_a_rate_that_is_too_large_from_the_start_is_said(frames, tmp_path, monkeypatch):
    from vidcolor.training.gan_step import GanTrainer

    def break_down(self, batch):
        raise FloatingPointError("the loss pixel is not finite")

    monkeypatch.setattr(GanTrainer, "step", break_down)
    with pytest.raises(VidcolorError, match=r"--min 1e-06: the loss is not finite from the start"):
        lr_find(_options(frames, tmp_path), LrFindOptions())


@pytest.mark.parametrize("changes", [{"min": 0.0}, {"min": 2.0}, {"steps": 9}], ids=str)
def test_a_ramp_that_cannot_be_meant_is_refused(changes):
    with pytest.raises(OptionsError, match=r"--min|--steps"):
        LrFindOptions(**changes)


def test_the_command_takes_the_options_of_train_and_a_recipe_of_it(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[train]\ndataset = "d"\nepochs = 3\n')
    words = f"lr-find --recipe {recipe} --model squeeze-unet --min 0.1 --max 10 --steps 123"
    _, bound, _ = app.parse_args(words.split(), exit_on_error=False, print_error=False)
    assert bound.kwargs["options"].dataset == "d"
    assert bound.kwargs["options"].model == "squeeze-unet"
    assert bound.kwargs["ramp"] == LrFindOptions(min=0.1, max=10, steps=123)
