"""Makes what tests/training/test_old_checkpoint.py resumes; run it with the version to keep.

.venv/bin/python tests/training/make_checkpoint.py FOLDER

It only calls the command, so any version can run it. FOLDER gets `part.tar.xz`, what a training of
three steps leaves, and `whole.json`, some weights of the same training after six steps.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file

OPTIONS = (
    "--dataset", "drawn", "--model", "fullres-gan", "--ngf", "8", "--ndf", "1", "--size", "32",
    "--batch-size", "2", "--epochs", "9", "--samples", "1", "--average", "0.5",
    "--film-look", "0.5", "--device", "cpu",
)  # fmt: skip
"""The smallest network that there is, with a discriminator, an average and random damage."""
STEPS_BEFORE, STEPS = 3, 6
VALUES = 24
"""How many of a tensor's values are kept."""


def draw_frames(folder: Path) -> None:
    """Draw six frames: a red square that moves over a green gradient."""
    folder.mkdir(parents=True)
    for number in range(6):
        frame = np.zeros((40, 48, 3), np.uint8)
        frame[..., 1] = np.arange(48) * 4
        frame[8:24, 4 + 6 * number : 16 + 6 * number] = (40, 40, 220)
        cv2.imwrite(str(folder / f"{number + 1:05d}.png"), frame)


def values_of(model: Path) -> dict[str, list[float]]:
    """Return some values of each tensor of a model, evenly spread over it."""
    weights = load_file(model / "weights.safetensors")
    picked = {}
    for name, tensor in weights.items():
        flat = tensor.astype(np.float64).ravel()
        places = np.linspace(0, flat.size - 1, min(VALUES, flat.size)).round().astype(int)
        picked[name] = [round(float(value), 7) for value in flat[places]]
    return picked


def main(folder: Path) -> None:
    """Train in a folder of its own and keep what the test needs."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        draw_frames(place / "drawn")
        for out, steps in (("part", STEPS_BEFORE), ("whole", STEPS)):
            words = ["train", *OPTIONS, "--data", name, "--max-steps", str(steps)]
            subprocess.run(
                [sys.executable, "-m", "vidcolor", *words, "--out", str(place / out)], check=True
            )
        with tarfile.open(folder / "part.tar.xz", "w:xz", preset=9) as archive:
            for kept in ("card.toml", "weights.safetensors", "metrics.jsonl", "checkpoint.pt"):
                archive.add(place / "part" / kept, kept)
        values = values_of(place / "whole")
    lines = [f"{json.dumps(name)}: {json.dumps(kept)}" for name, kept in values.items()]
    (folder / "whole.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
