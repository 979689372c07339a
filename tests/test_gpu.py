"""What only a CUDA device can show; elsewhere skipped, unless VIDCOLOR_REQUIRE_GPU is set."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.models import TINY
from vidcolor.network.card import FAMILIES
from vidcolor.network.colorizer import Colorizer
from vidcolor.network.engine import Engine
from vidcolor.network.gan import GanTrainer
from vidcolor.network.weights import save_model
from vidcolor.options import Precision, TrainOptions
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


def _step(device: str, precision: Precision) -> tuple[dict[str, float], GanTrainer]:
    options = TrainOptions(dataset="none", size=64, ngf=8, ndf=8, batch_size=2, precision=precision)
    setup = FAMILIES[options.model].set_up(options)
    batch = torch.rand(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    trainer = GanTrainer(TINY, setup, options, device=torch.device(device), steps=1)
    return trainer.step(batch), trainer


def test_a_training_step_on_cuda_loses_what_one_on_the_cpu_loses():
    (on_cpu, _), (on_cuda, _) = _step("cpu", "fp32"), _step("cuda", "fp32")
    assert on_cpu == pytest.approx(on_cuda, rel=0.02)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_training_step_in_half_precision_is_near_one_in_fp32(precision):
    (whole, _), (half, trainer) = _step("cuda", "fp32"), _step("cuda", precision)
    for name in ("discriminator", "pixel", "adversarial"):
        assert half[name] == pytest.approx(whole[name], rel=0.05)
    assert {p.dtype for p in trainer.generator.parameters()} == {torch.float32}


def test_auto_takes_bf16_where_the_gpu_has_it():
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    engine = Engine(torch.device("cuda"), precision="auto")
    assert engine.precision == ("bf16" if has_bf16 else "fp32")


def test_fp16_leaves_out_a_step_that_overflows_and_remembers_its_smaller_scale():
    engine = Engine(torch.device("cuda"), precision="fp16")
    layer = nn.Linear(1, 1)
    prepared = engine.prepare(layer)
    adam = engine.prepare_optimiser(torch.optim.Adam(layer.parameters()))
    before, weight = engine.state()["scaler"]["scale"], layer.weight.item()
    loss = prepared(torch.ones(1, 1, device="cuda")).sum() * 1e38
    assert float(engine.learn(loss, adam)) == 0
    assert layer.weight.item() == weight
    state = engine.state()
    assert state["scaler"]["scale"] == before / 2
    later = Engine(torch.device("cuda"), precision="fp16")
    later.load_state(state)
    assert later.state()["scaler"]["scale"] == before / 2
