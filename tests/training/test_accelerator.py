"""The accelerator: precision, clipping, what is not finite, and several processes as one."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from vidcolor.errors import OptionsError, VidcolorError
from vidcolor.options.train import TrainOptions
from vidcolor.training.accelerator import Accelerator
from vidcolor.training.checkpoints import CHECKPOINT
from vidcolor.training.generator_losses import GeneratorTerms
from vidcolor.training.train import train

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    """Return a folder of eight frames of noise in color."""
    folder = tmp_path_factory.mktemp("frames")
    for i in range(8):
        picture = np.random.default_rng(i).integers(0, 256, (12, 12, 3), np.uint8)
        large = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{i + 1:05d}.png"), large)
    return folder


def _arguments(frames: Path, out: Path, **changes) -> dict[str, Any]:
    # Instance norm: batch norms on a CPU see the share of a process alone.
    values: dict[str, Any] = {
        "dataset": str(frames), "out": str(out), "size": 64, "ngf": 8, "ndf": 8, "batch_size": 4,
        "samples": 1, "preset": "seed002", "max_steps": 2, "device": "cpu",
    }  # fmt: skip
    return values | changes


def _train(frames: Path, out: Path, **changes) -> Path:
    values = _arguments(frames, out, **changes)
    return train(TrainOptions(**values | {"out": Path(values["out"])}))


def _state(folder: Path) -> dict:
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    state: dict = content["state"]
    return state


def _records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _step_apart(a: dict, b: dict, part: str, lr: float) -> float:
    """Return how far weights lie apart, their median distance in steps of Adam (of length lr)."""
    x, y = (torch.cat([v.flatten().float() for v in s[part].values()]) for s in (a, b))
    return float((x - y).abs().median()) / lr


def _torchrun(*words: str) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-port", str(port), *words,
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


APART = 0.01
"""In steps of Adam. CPUs gave up to 0.001; processes that share no gradients are 0.07 to 0.5 apart.

The median, since Adam makes a whole step of a gradient near 0 too, whose sign rounding decides.
"""


def test_two_processes_train_as_one_and_agree_on_what_goes_wrong(frames, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    # A step in which the generator is called but does not learn is among them.
    changes = {"max_steps": 3, "generator_every": 2, "average": 0.9}
    _train(frames, one, **changes)
    values = json.dumps(_arguments(frames, two, **changes))
    script = str(ROOT / "tests" / "processes.py")
    command = _torchrun(script, str(frames), values, str(tmp_path))
    subprocess.run(command, check=True, env=_environment(), capture_output=True, timeout=120)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))

    a, b = _state(one), _state(two)
    assert _step_apart(a, b, "generator", 1e-3) < APART
    assert _step_apart(a, b, "discriminator", 1e-3) < APART
    for x, y in zip(_records(one), _records(two), strict=True):
        assert x == pytest.approx(y, rel=1e-3)
    # The main process alone tells and writes; each has half of a batch.
    assert (first["steps_seen"], second["steps_seen"]) == ([1, 2, 3], [])
    assert first["share"] + second["share"] == [0, 1, 2, 3]
    for found in (first, second):
        assert "--batch-size 3: cannot be divided among 2 processes" in found["refusal"]
        assert found["nan gradient"] == found["infinite gradient"] == "a gradient is not finite"
        assert found["infinite loss"] == "the loss pixel is not finite"
        assert found["weight unchanged"]
        assert found["learns after two calls"]
        assert found["any"] == [False, True]
        assert found["mean"] == 0.5


def test_the_documented_command_trains_by_a_recipe_in_two_processes(frames, tmp_path):
    page = (ROOT / "docs" / "how-to" / "train.md").read_text()
    [line] = [line for line in page.splitlines() if re.match(r"torchrun .*--recipe", line)]
    words = shlex.split(line.partition(" -m ")[2])
    small = _arguments(frames, tmp_path / "m", batch_size=2, max_steps=1, epochs=1)
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in small.items()]
    command = _torchrun("-m", *words, *flags)
    subprocess.run(command, check=True, env=_environment(), cwd=ROOT, timeout=120)
    assert [record["step"] for record in _records(tmp_path / "m") if "pixel" in record] == [1]
    assert (tmp_path / "m" / "weights.safetensors").is_file()


def _stop_one_process(frames: Path, out: Path, whom: str) -> int:
    """Train in two processes, send SIGINT to torchrun or to one of them; return the exit code."""
    values = _arguments(frames, out, max_steps=40, epochs=20, batch_size=2)
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in values.items()]
    command = _torchrun("-m", "vidcolor", "train", *flags)
    process = subprocess.Popen(
        command, cwd=out.parent, env=_environment(), stderr=subprocess.DEVNULL
    )
    while not (out / "metrics.jsonl").exists() or len(_records(out)) < 2:
        assert process.poll() is None, "the training ended before it could be stopped"
        time.sleep(0.05)
    os.kill(process.pid if whom == "torchrun" else _child(process.pid, rank=whom), signal.SIGINT)
    return process.wait(timeout=120)


def _child(parent: int, *, rank: str) -> int:
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"\0RANK={rank}\0" in Path(f"/proc/{pid}/environ").read_text():
            return int(pid)
    raise AssertionError(f"torchrun has no process {rank}")


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["torchrun", "0", "1"])
def test_a_signal_to_any_process_stops_all_after_the_same_step_and_resumes(frames, tmp_path, whom):
    stopped = tmp_path / "stopped"
    assert _stop_one_process(frames, stopped, whom) != 0
    done = _state(stopped)["steps_done"]
    assert 2 <= done < 40
    assert _records(stopped)[-1]["step"] == done
    whole = _train(frames, tmp_path / "whole", max_steps=done + 2, epochs=20, batch_size=2)
    _train(frames, stopped, max_steps=done + 2, epochs=20, batch_size=2, resume=True)
    a, b = ([r["pixel"] for r in _records(folder) if "pixel" in r] for folder in (stopped, whole))
    assert a == pytest.approx(b, rel=0.05)


def test_gradients_are_shortened_to_the_norm_that_was_asked_for():
    moved = []
    for clip in (None, 0.5):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(layer.weight)
        accelerator = Accelerator(CPU, precision="fp32", clip=clip)
        descent = accelerator.prepare_optimizer(torch.optim.SGD(layer.parameters(), lr=1))
        norm = accelerator.step(accelerator.prepare(layer)(torch.tensor([[4.0]])).sum(), descent)
        assert float(norm) == 4
        moved.append(-layer.weight.item())
    assert moved == pytest.approx([4.0, 0.5])


def test_a_gradient_that_is_not_finite_stops_the_training_in_its_step(
    frames, tmp_path, monkeypatch
):
    """The loss itself is finite: a square root at 0 has an infinite slope."""
    _train(frames, tmp_path / "m", max_steps=2, checkpoint_minutes=0.0)
    whole = _state(tmp_path / "m")
    pixel_loss, calls = GeneratorTerms._pixel_loss, []

    def steep(self, shown):
        calls.append(shown)
        loss = pixel_loss(self, shown)
        return loss if len(calls) <= 2 else (loss - loss.detach()).sqrt()

    monkeypatch.setattr(GeneratorTerms, "_pixel_loss", steep)
    with pytest.raises(VidcolorError, match="stopped at step 2: a gradient is not finite"):
        _train(frames, tmp_path / "bad", max_steps=5, epochs=5, checkpoint_minutes=0.0)
    kept = _state(tmp_path / "bad")
    assert kept["steps_done"] == 2
    assert all(
        torch.equal(kept["generator"][key], whole["generator"][key]) for key in whole["generator"]
    )


def test_bf16_computes_nearly_what_fp32_does_and_keeps_weights_in_fp32(frames, tmp_path):
    fp32, bf16 = (_train(frames, tmp_path / p, precision=p) for p in ("fp32", "bf16"))
    a, b = _records(fp32)[0], _records(bf16)[0]
    for name in ("discriminator", "pixel", "adversarial"):
        assert a[name] == pytest.approx(b[name], rel=0.02)
        assert a[name] != b[name]
    assert {value.dtype for value in _state(bf16)["generator"].values()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"precision": "fp16"}, "--precision fp16: this device"), ({"clip": 0.0}, "--clip 0.0")],
)
def test_what_the_accelerator_cannot_do_is_refused(frames, tmp_path, changes, complaint):
    with pytest.raises(OptionsError, match=complaint):
        _train(frames, tmp_path / "m", **changes)


def test_tensorboard_gets_every_number_of_the_log_and_the_samples(frames, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = _train(frames, tmp_path / "m", tensorboard=True)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    logged = {key for record in _records(folder) for key in record} - {"step"}
    assert {"pixel", "adversarial", "discriminator", "lr", "test"} <= logged
    assert set(events.Tags()["scalars"]) == logged
    pixels = [event.value for event in events.Scalars("pixel")]
    assert pixels == pytest.approx([r["pixel"] for r in _records(folder) if "pixel" in r])
    assert [image.step for image in events.Images("samples")] == [2]


def test_tensorboard_that_is_not_installed_is_answered_with_how_to_install_it(
    frames, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(OptionsError, match=r"pip install 'vidcolor\[tensorboard\]'"):
        _train(frames, tmp_path / "m", tensorboard=True)


def test_help_and_render_load_no_accelerate():
    code = (
        "import sys, vidcolor.rendering.render, vidcolor.training.train\n"
        "print([m for m in ('accelerate', 'tensorboard') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_second_accelerator_of_a_process_may_have_another_precision():
    assert Accelerator(CPU, precision="bf16").precision == "bf16"
    assert Accelerator(CPU, precision="auto").precision == "fp32"


def test_random_states_are_among_what_is_kept():
    accelerator = Accelerator(CPU, precision="fp32")
    state = accelerator.state()
    first = torch.rand(3)
    accelerator.load_state(state)
    assert torch.equal(torch.rand(3), first)
