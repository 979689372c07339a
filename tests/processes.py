"""One of two processes of torchrun, for tests/training/test_accelerator.py.

Arguments: FRAMES OUT RESULTS.

It trains as one of the two, then shows the accelerator what one process alone meets, and writes
what it saw to RESULTS/RANK.json.
"""

import json
import math
import sys
from pathlib import Path

import torch
from torch import nn

from vidcolor.errors import OptionsError
from vidcolor.options.train import TrainOptions
from vidcolor.training.accelerator import Accelerator
from vidcolor.training.train import train

_, values, results = sys.argv[1:]
saved: list[int] = []
options = json.loads(values)
options["out"] = Path(options["out"])
train(TrainOptions(**options), on_step=lambda p: saved.append(p.step))

accelerator = Accelerator(torch.device("cpu"), precision="auto")
rank = 0 if accelerator.is_main else 1
layer = nn.Linear(1, 1)
prepared = accelerator.prepare(layer)
adam = accelerator.prepare_optimizer(torch.optim.Adam(layer.parameters()))
before = layer.weight.item()


def complaint(value: float, *, loss_only: bool = False) -> str:
    """Return what the accelerator says if one process meets a value where the other meets 1."""
    x = torch.tensor([[value if rank else 1.0]])
    try:
        if loss_only:
            accelerator.mean({"pixel": x.sum()})
        else:
            accelerator.step(prepared(x).sum(), adam)
    except FloatingPointError as error:
        return str(error)
    return ""


def refusal() -> str:
    try:
        accelerator.share(3)
    except OptionsError as error:
        return str(error)
    return ""


def learns_after_two_calls() -> bool:
    """Tell whether a discriminator with batch norm can look at real and fake, and then learn."""
    critic = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    prepared = accelerator.prepare(critic)
    adam = accelerator.prepare_optimizer(torch.optim.Adam(critic.parameters()))
    real, fake = prepared(torch.rand(4, 1)), prepared(torch.rand(4, 1))
    return bool(accelerator.step((real * fake).sum(), adam) > 0)


found = {
    "learns after two calls": learns_after_two_calls(),
    "steps_seen": saved,
    "share": list(accelerator.share(4)),
    "refusal": refusal(),
    "nan gradient": complaint(math.nan),
    "infinite gradient": complaint(math.inf),
    "infinite loss": complaint(math.inf, loss_only=True),
    "weight unchanged": layer.weight.item() == before,
    "any": [accelerator.any(False), accelerator.any(rank == 1)],
    "mean": accelerator.mean({"pixel": torch.tensor(float(rank))})["pixel"],
}
Path(results, f"{rank}.json").write_text(json.dumps(found))
accelerator.wait()
