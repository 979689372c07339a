"""Training: it learns, it can be killed and resumed, and leaves a model that renders."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch

from vidcolor.dataset.dataset import FrameTable, Run, open_frames
from vidcolor.dataset.sampler import Batches, BatchPlan
from vidcolor.errors import InputError, ModelError, OptionsError
from vidcolor.network.architectures.squeezenet import SqueezeNet
from vidcolor.network.card import read_card
from vidcolor.network.families import FAMILIES
from vidcolor.network.lpips import CLASSIFIERS
from vidcolor.network.weights import load_network
from vidcolor.options.train import TrainOptions
from vidcolor.training.checkpoints import CHECKPOINT
from vidcolor.training.gan_step import GanTrainer
from vidcolor.training.setup import prepare_training
from vidcolor.training.train import train


def _arguments(frames: Path, out: Path, **changes) -> dict:
    values = {
        "dataset": str(frames), "out": out, "size": 64, "ngf": 8, "ndf": 8, "batch_size": 2,
        "epochs": 2, "samples": 2, "device": "cpu",
    }  # fmt: skip
    return values | changes


def _options(frames: Path, out: Path, **changes) -> TrainOptions:
    return TrainOptions(**_arguments(frames, out, **changes))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_network(folder)[1].state_dict()


def _records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_leaves_a_model_samples_a_plot_and_a_log(frames, tmp_path):
    steps = []
    folder = train(_options(frames, tmp_path / "m"), on_step=lambda p: steps.append(p.step))
    assert steps == list(range(1, 9))
    card, _ = load_network(folder)
    assert (card.family, card.output, card.grey) == ("temporal-unet", "chroma", "bt601")
    assert card.training["options"]["dataset"] == frames.name
    assert str(frames.parent) not in (folder / "card.toml").read_text()
    assert sorted(p.name for p in (folder / "samples").iterdir()) == [
        "epoch-0001.png",
        "epoch-0002.png",
    ]
    assert cv2.imread(str(folder / "losses.png")) is not None
    records = _records(folder)
    assert sum("pixel" in r for r in records) == 8
    assert all("discriminator" in r and "adversarial" in r for r in records if "pixel" in r)
    assert sum("test" in r for r in records) == 2


def test_training_brings_the_error_on_its_own_film_below_a_third_of_greys(frames, tmp_path):
    options = _options(
        frames, tmp_path / "m", ngf=16, batch_size=4, epochs=40, lr=2e-3, adversarial_weight=0.0
    )
    last = _records(train(options))[-1]
    assert last["test"] < last["test_grey"] / 3


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "seed002"},
        {"preset": "seed002-text"},
        {"window": 1},
        {"discriminator": "fc", "gan": "bce"},
        {"self_attention": True},
        {"batch_size": 1, "preset": "seed002"},
        {"generator_every": 2, "discriminator_every": 3},
        {"average": 0.9, "rarity": 0.5, "lr_schedule": "cosine", "adversarial_from": 0.5},
        {"model": "squeeze-unet"},
        {"model": "fusion-unet", "backbone": "squeezenet1_1", "random_backbone": True},
        {"model": "masked-unet"},
        {"model": "masked-unet", "preset": "seed004", "discriminator": "fc", "gan": "bce"},
        {"crop": False, "balance": True},
        {"film_look": 1.0, "still_motion": False},
        {"temporal_weight": 1.0, "pair_discriminator": True, "fusion": "attention"},
        {"temporal_weight": 1.0, "preset": "seed002"},
        {"output": "rgb", "pixel_loss": "l2", "discriminator_lr": 1e-4},
        {"model": "fullres-gan", "discriminator": "flat", "gan": "bce"},
        {"model": "fullres-gan", "preset": "seed000", "batch_size": 1},
        {"model": "ab-classifier", "rebalance": 0.5},
        {"model": "ab-classifier", "preset": "seed001", "adversarial_weight": 0.0},
        {"model": "residual-encoder"},
        {"model": "fully-connected", "preset": "seed001"},
        {"discriminator": "fc", "gan": "bce", "batch_size": 1, "self_attention": True},
    ],
    ids=str,
)
def test_every_option_trains_and_gives_a_model_that_loads(frames, tmp_path, changes):
    folder = train(_options(frames, tmp_path / "m", max_steps=3, **changes))
    card, network = load_network(folder)
    grey = torch.rand(1, 1, 64, 64)
    features = network.encode(network.frame(grey), network.embed(grey))
    assert torch.isfinite(network.decode(features, features, features)).all()
    own_window = FAMILIES[changes.get("model", "temporal-unet")].windows[0]
    assert card.window == changes.get("window", own_window)


def test_the_temporal_loss_steadies_color_along_the_motion(frames, tmp_path):
    change = []
    for weight in (1e-6, 100.0):
        options = _options(frames, tmp_path / "m", epochs=9, adversarial_weight=0.0)
        setup = prepare_training(replace(options, temporal_weight=weight))
        losses = [setup.trainer.step(setup.batches.read(step)) for step in range(30)]
        change.append(np.mean([loss["temporal"] for loss in losses[-10:]]))
    assert change[1] < 0.7 * change[0]


def test_the_perceptual_loss_is_one_of_the_losses(frames, tmp_path):
    weights = {f"features.{k}": w for k, w in CLASSIFIERS["squeezenet1_1"]().state_dict().items()}
    torch.save(weights, tmp_path / "any.pth")
    folder = train(
        _options(frames, tmp_path / "m", max_steps=2, perceptual_weight=1.0,
                 perceptual_backbone=tmp_path / "any.pth")
    )  # fmt: skip
    assert _records(folder)[0]["perceptual"] > 0
    assert read_card(folder).training["options"]["perceptual_backbone"] == "any.pth"


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(frames, tmp_path):
    a, b, c = (
        _weights(train(_options(frames, tmp_path / name, seed=seed, max_steps=3)))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def _stop_in_the_first_epoch(frames: Path, out: Path, signum: signal.Signals, **changes) -> None:
    """Train in a process of its own and send it a signal."""
    script = (
        "import time; from pathlib import Path, PosixPath\n"
        "from vidcolor.options.train import TrainOptions\n"
        "from vidcolor.training.train import train\n"
        f"options = TrainOptions(**{_arguments(frames, out, **changes)!r})\n"
        "train(options, on_step=lambda p: time.sleep(0.2))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not (out / "metrics.jsonl").exists() or len(_records(out)) < 5:
        assert process.poll() is None, "the training ended before it could be stopped"
        time.sleep(0.05)
    process.send_signal(signum)
    process.wait()


@pytest.mark.parametrize(
    ("signum", "checkpoint_minutes"), [(signal.SIGKILL, 0.0), (signal.SIGINT, 60.0)]
)
def test_a_training_stopped_in_the_middle_goes_on_to_the_same_weights(
    frames, tmp_path, signum, checkpoint_minutes
):
    changes = {
        "batch_size": 1,
        "average": 0.9,
        "film_look": 0.5,
        "checkpoint_minutes": checkpoint_minutes,
    }
    whole = train(_options(frames, tmp_path / "whole", **changes))
    stopped = tmp_path / "stopped"
    _stop_in_the_first_epoch(frames, stopped, signum, **changes)
    assert (stopped / CHECKPOINT).exists()
    resumed_from: list[int] = []
    train(
        _options(frames, stopped, resume=True, **changes),
        on_step=lambda p: resumed_from.append(p.step),
    )
    assert 4 < resumed_from[0] <= 8
    a, b = _weights(whole), _weights(stopped)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert _records(stopped)[-1] == _records(whole)[-1]


def test_a_checkpoint_of_another_version_is_refused(frames, tmp_path):
    options = _options(frames, tmp_path / "m", max_steps=1, average=0.9)
    path = train(options) / CHECKPOINT
    content = torch.load(path, weights_only=True)
    del content["state"]["averaged"]["updates"]
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"was written by another version \('updates'\)"):
        train(replace(options, resume=True))


@pytest.mark.parametrize("epochs", [1, 2], ids=["in the last epoch", "in the first of two"])
def test_a_training_stopped_while_it_scores_an_epoch_scores_it_when_it_goes_on(
    frames, tmp_path, monkeypatch, epochs
):
    whole = train(_options(frames, tmp_path / "whole", epochs=epochs))
    chroma = GanTrainer.chroma

    def interrupted(self, *pictures):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        return chroma(self, *pictures)

    stopped = tmp_path / "stopped"
    monkeypatch.setattr(GanTrainer, "chroma", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(_options(frames, stopped, epochs=epochs))
    monkeypatch.undo()
    assert not (stopped / "card.toml").exists()
    train(_options(frames, stopped, epochs=epochs, resume=True))
    a, b = _weights(whole), _weights(stopped)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert _records(stopped) == _records(whole)
    train(_options(frames, stopped, epochs=epochs, resume=True))
    assert _records(stopped) == _records(whole), "what is done was done again"


def test_resuming_with_other_options_says_which_differ(frames, tmp_path):
    train(_options(frames, tmp_path / "m", max_steps=2))
    with pytest.raises(OptionsError, match=r"--lr 0.5 \(was 0.001\)"):
        train(_options(frames, tmp_path / "m", max_steps=4, lr=0.5, resume=True))


def test_resuming_without_a_checkpoint_says_what_to_do(frames, tmp_path):
    with pytest.raises(ModelError, match="leave out --resume"):
        train(_options(frames, tmp_path / "m", resume=True))


def test_a_missing_dataset_is_answered_with_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match=r"vidcolor extract .*--dataset nothing-here"):
        train(TrainOptions(dataset="nothing-here", data=tmp_path, size=64))


def test_a_classifiers_weights_are_in_the_model_and_their_files_name_on_the_card(frames, tmp_path):
    classifier = SqueezeNet()
    torch.save(classifier.state_dict(), tmp_path / "published.pth")
    options = _options(
        frames, tmp_path / "m", model="fusion-unet", backbone="squeezenet1_1", max_steps=1,
        backbone_weights=tmp_path / "published.pth",
    )  # fmt: skip
    weights = _weights(train(options))
    for name, value in classifier.state_dict(prefix="backbone.").items():
        assert torch.allclose(weights[name], value, atol=1e-3)
    card, _ = load_network(tmp_path / "m")
    assert card.training["options"]["backbone_weights"] == "published.pth"


def test_a_classifier_without_weights_is_an_error_and_no_training(frames, tmp_path):
    options = _options(
        frames, tmp_path / "m", model="fusion-unet", backbone="squeezenet1_1",
        backbone_weights=tmp_path / "missing.pth",
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"missing\.pth: not a weights file"):
        train(options)


def test_a_trained_model_can_be_started_from(frames, tmp_path):
    first = train(_options(frames, tmp_path / "first", max_steps=2))
    folder = train(_options(frames, tmp_path / "second", init=str(first), lr=1e-12, max_steps=1))
    a, b = _weights(first), _weights(folder)
    changed = [k for k in a if "running" not in k and "num_batches" not in k]
    assert all(torch.allclose(a[k], b[k], rtol=0.3, atol=0.05) for k in changed)


def _plan(**changes) -> BatchPlan:
    values = {
        "batch_size": 3, "height": 64, "width": 64, "window": 3, "augment": True,
        "balance": False, "seed": 5,
    }  # fmt: skip
    return BatchPlan(**values | changes)


@pytest.mark.parametrize(
    ("size", "crop", "working_size"), [(160, True, 192), (224, True, 256), (224, False, 224)]
)
def test_films_are_seen_at_the_scale_that_was_learned(frames, tmp_path, size, crop, working_size):
    options = _options(frames, tmp_path / "m", size=size, crop=crop, max_steps=1, batch_size=1)
    card, _ = load_network(train(options))
    assert card.working_size == working_size


def test_a_batch_is_a_function_of_seed_and_step(frames):
    table = open_frames(str(frames), "train", Path("data"))
    one, other = Batches(table, _plan()), Batches(table, _plan())
    one.read(0)
    assert torch.equal(one.read(5), other.read(5))
    assert not torch.equal(one.read(5), one.read(4))


def test_an_epoch_shows_every_frame_once(frames):
    table = open_frames(str(frames), "train", Path("data"))
    batches = Batches(table, _plan(batch_size=2))
    seen = [i for step in range(batches.per_epoch) for i in batches.indices(step)]
    assert sorted(seen) == list(range(len(table)))
    assert seen != sorted(seen)


def test_balanced_a_shot_counts_as_the_root_of_its_frames_and_a_source_as_the_root_of_its_things():
    class Table:
        """100 photos, and a film of four shots of 100 frames each."""

        runs = tuple(Run(i, 1, 0) for i in range(100)) + tuple(
            Run(100 + 100 * shot, 100, 1) for shot in range(4)
        )

        def __len__(self) -> int:
            return 500

    batches = Batches(cast(FrameTable, Table()), _plan(batch_size=500, balance=True))
    drawn = torch.tensor([i for step in range(40) for i in batches.indices(step)])
    # The photos show 100 things, the film 4 * sqrt(100): draws are as sqrt(100) to sqrt(40).
    share = float((drawn < 100).float().mean())
    assert share == pytest.approx(10 / (10 + 40**0.5), abs=0.01)
    shots = torch.bincount((drawn[drawn >= 100] - 100) // 100).float()
    assert torch.allclose(shots / shots.sum(), torch.full((4,), 0.25), atol=0.02)


def test_a_window_holds_neighbours_cut_alike(frames):
    table = open_frames(str(frames), "train", Path("data"))
    window = Batches(table, _plan(augment=False)).window(3)
    assert window.shape == (3, 3, 64, 64)
    assert float(window.min()) >= 0
    assert float(window.max()) <= 1
    reds = [
        float((f[0] > 0.7).float().mul(torch.arange(64.0)).sum() / (f[0] > 0.7).sum())
        for f in window
    ]
    assert reds[0] < reds[1] < reds[2]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"size": 16}, "--size 16"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"lr": 0}, "--lr 0"),
        ({"film_look": 1.5}, "--film-look 1.5"),
        ({"adversarial_from": 2.0}, "--adversarial-from"),
        ({"rebalance": 0.0}, "--rebalance 0.0"),
        ({"discriminator_lr": 0.0}, "--discriminator-lr 0.0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(changes, complaint):
    with pytest.raises(OptionsError, match=complaint):
        TrainOptions(dataset="x", **changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"size": 80}, "multiple of 32 for temporal-unet"),
        ({"model": "squeeze-unet", "preset": "seed002"}, "--preset seed002: squeeze-unet"),
        ({"window": 1, "temporal_weight": 1.0}, "need two frames"),
        (
            {"output": "bins"},
            "--output bins: temporal-unet does not support it; use one of: chroma, rgb",
        ),
    ],
)
def test_what_a_family_does_not_have_is_refused(frames, tmp_path, changes, complaint):
    with pytest.raises(OptionsError, match=complaint):
        train(_options(frames, tmp_path / "m", **changes))


def test_training_imports_neither_pyav_nor_ffmpeg():
    code = (
        "import sys, vidcolor.training.train\n"
        "print([m for m in ('av', 'ffmpeg', 'rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
