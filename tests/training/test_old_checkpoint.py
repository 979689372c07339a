"""A training that version 848aaec began is resumed, and its models load."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.make_checkpoint import OPTIONS, STEPS, STEPS_BEFORE, draw_frames, values_of
from vidcolor.cli.app import app
from vidcolor.network.weights import load_network
from vidcolor.training.checkpoints import CHECKPOINT, records_of

OLD = Path(__file__).parents[1] / "data" / "training-848aaec"
TOLERANCE = 1e-5
"""Of a weight, absolute. A step moves most weights by 1e-3.

The median weight counts: CPUs sum in different orders, and Adam makes a whole step of a gradient
near 0, whose sign rounding decides. That moved one weight in ten on a CPU with AVX-512.
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return the model folder that the old version left, beside the frames it learned from."""
    draw_frames(tmp_path / "drawn")
    with tarfile.open(OLD / "part.tar.xz") as archive:
        archive.extractall(tmp_path / "part", filter="data")
    return tmp_path / "part"


def _train(folder: Path, *more: str) -> None:
    words = ["train", *OPTIONS, "--data", str(folder.parent), "--out", str(folder), *more]
    app(words, result_action="return_value")


def _difference(model: Path) -> float:
    whole = json.loads((OLD / "whole.json").read_text())
    now = values_of(model)
    assert now.keys() == whole.keys()
    return float(np.median(np.concatenate([np.abs(np.subtract(now[n], whole[n])) for n in whole])))


def test_an_old_training_resumes_and_ends_as_it_would_have(folder):
    before = _difference(folder)
    _train(folder, "--max-steps", str(STEPS), "--resume")
    assert [r["step"] for r in records_of(folder) if "pixel" in r] == list(range(1, STEPS + 1))
    assert _difference(folder) < TOLERANCE < before / 20


def test_the_comparison_would_see_that_the_optimizer_was_forgotten(folder):
    path = folder / CHECKPOINT
    content = torch.load(path, weights_only=True)
    content["state"]["generator_adam"]["state"] = {}
    torch.save(content, path)
    _train(folder, "--max-steps", str(STEPS), "--resume")
    assert _difference(folder) > 20 * TOLERANCE


def test_an_old_model_loads(folder):
    card, network = load_network(folder)
    assert (card.family, card.training["options"]["ngf"]) == ("fullres-gan", 8)
    assert len(records_of(folder)) > STEPS_BEFORE
    grey_B1hw = torch.rand(1, 1, 16, 16)
    noise_Bnhw = torch.zeros(1, network.noise_channels, 16, 16)
    features = network.encode(network.frame(grey_B1hw, noise_Bnhw=noise_Bnhw))
    assert network.decode(features, features, features).shape == (1, 2, 16, 16)
