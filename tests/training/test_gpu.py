"""What only a CUDA device can show; elsewhere skipped, unless VIDCOLOR_REQUIRE_GPU is set."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.models import TINY, Loud, NoisyConfig
from vidcolor.inference.colorizer import Colorizer, HalfPrecisionError
from vidcolor.network.families import FAMILIES
from vidcolor.network.weights import save_model
from vidcolor.options.render import ColorOptions
from vidcolor.options.train import Precision, TrainOptions
from vidcolor.options.values import Device
from vidcolor.pipeline.colorize import with_oom_fallback
from vidcolor.shots.segments import divide
from vidcolor.training.accelerator import Accelerator
from vidcolor.training.gan_step import GanTrainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() and "VIDCOLOR_REQUIRE_GPU" not in os.environ,
        reason="no CUDA device",
    ),
]

CHROMA_TOLERANCE = 1 / 255
"""A code: half precision keeps eleven bits of a factor."""


def _colored(folder: Path, device: Device, **changes) -> np.ndarray:
    colorizer = Colorizer.load(str(folder), device, **changes)
    frames = list(np.random.default_rng(0).random((11, 64, 80), dtype=np.float32))
    places = divide(frames, luma=lambda frame: frame)
    colored = colorizer.colorize(places, luma=lambda frame: frame, matrix="bt601")
    return np.stack([each.chroma_2hw for each in colored])


def test_cuda_gives_the_chroma_of_the_cpu(tmp_path: Path):
    torch.manual_seed(0)
    save_model(TINY, TINY.build_network(), tmp_path)
    found = _colored(tmp_path, "cuda")
    np.testing.assert_allclose(found, _colored(tmp_path, "cpu"), atol=CHROMA_TOLERANCE)
    for batch in (1, 3):
        one = _colored(tmp_path, "cuda", batch=batch)
        np.testing.assert_allclose(one, found, atol=CHROMA_TOLERANCE)


def test_cuda_computes_in_half_precision_until_that_overflows(caplog):
    colorizer = Colorizer(TINY, Loud(NoisyConfig()), torch.device("cuda"))
    frames = list(np.random.default_rng(0).random((3, 64, 64), dtype=np.float32))

    def colors():
        places = divide(frames, luma=lambda frame: frame)
        return list(colorizer.colorize(places, luma=lambda frame: frame, matrix="bt601"))

    with pytest.raises(HalfPrecisionError):
        colors()
    assert len(with_oom_fallback(colors, colorizer, ColorOptions())) == 3
    assert "overflowed in float16" in caplog.text


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
    accelerator = Accelerator(torch.device("cuda"), precision="auto")
    assert accelerator.precision == ("bf16" if has_bf16 else "fp32")


def test_fp16_leaves_out_a_step_that_overflows_and_remembers_its_smaller_scale():
    accelerator = Accelerator(torch.device("cuda"), precision="fp16")
    layer = nn.Linear(1, 1)
    prepared = accelerator.prepare(layer)
    adam = accelerator.prepare_optimizer(torch.optim.Adam(layer.parameters()))
    before, weight = accelerator.state()["scaler"]["scale"], layer.weight.item()
    loss = prepared(torch.ones(1, 1, device="cuda")).sum() * 1e38
    assert float(accelerator.step(loss, adam)) == 0
    assert layer.weight.item() == weight
    state = accelerator.state()
    assert state["scaler"]["scale"] == before / 2
    later = Accelerator(torch.device("cuda"), precision="fp16")
    later.load_state(state)
    assert later.state()["scaler"]["scale"] == before / 2
