"""What only a CUDA device can show; elsewhere skipped, unless VIDCOLOR_REQUIRE_GPU is set."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import TINY
from vidcolor.network.card import FAMILIES
from vidcolor.network.colorizer import Colorizer
from vidcolor.network.gan import GanTrainer
from vidcolor.network.weights import save_model
from vidcolor.options import TrainOptions
from vidcolor.segments import divide

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() and "VIDCOLOR_REQUIRE_GPU" not in os.environ,
        reason="no CUDA device",
    ),
]

CHROMA_TOLERANCE = 2e-3
"""Half an 8-bit code: TF32 convolutions keep ten bits of a product."""


def test_cuda_gives_the_chroma_of_the_cpu(tmp_path: Path):
    torch.manual_seed(0)
    save_model(TINY, TINY.build_network(), tmp_path)
    frames = list(np.random.default_rng(0).random((4, 64, 80), dtype=np.float32))
    on_cpu, on_cuda = (
        list(
            Colorizer.load(str(tmp_path), device).colorize(
                divide(frames, luma=lambda frame: frame), luma=lambda frame: frame, matrix="bt601"
            )
        )
        for device in ("cpu", "cuda")
    )
    for a, b in zip(on_cpu, on_cuda, strict=True):
        np.testing.assert_allclose(a.chroma_2hw, b.chroma_2hw, atol=CHROMA_TOLERANCE)


def test_a_training_step_on_cuda_loses_what_one_on_the_cpu_loses():
    options = TrainOptions(dataset="none", size=64, ngf=8, ndf=8, batch_size=2)
    setup = FAMILIES[options.model].set_up(options)
    batch = torch.rand(2, 3, 3, 64, 64)
    losses = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        trainer = GanTrainer(TINY, setup, options, device=torch.device(device), steps=1)
        losses.append(trainer.step(batch))
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
