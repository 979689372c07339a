"""The original's network, seed 002 with ngf 64, at 224x224: its own way against ours.

    python benchmarks/original_network.py --frames 24 --pairs 5

The original's code shows its generator all three frames of a window, so each frame is encoded three
times, in eager float32. Ours is what a render does: `Colorizer.colorize`, which encodes each frame
once, with the engine that the program chooses: all between luma and chroma. Weights are random and
the same, one thread each. CPU time a frame is compared pair by pair. Aim: 0.55 at most.
"""

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.bench.usage import timed
from vidcolor.color import chroma_from_rgb
from vidcolor.inference.colorizer import Colorizer
from vidcolor.network.card import Card
from vidcolor.network.generator import Generator
from vidcolor.network.weights import save_model
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.colorize import load_colorizer
from vidcolor.shots.segments import PlacedFrame

AIM = 0.55
SIDE_PX = 224
"""What the original trains and tests at."""
SEED002 = Card(
    name="seed002",
    family="temporal-unet",
    network={"first_norm": True, "output": "rgb", "spectral_norm": False},
    output="rgb",
    grey="bt601",
    working_size=SIDE_PX,
)
"""The preset of that name: instance norm everywhere, 64 base channels, R'G'B'."""

Frames = list[NDArray[np.float32]]


def main() -> None:
    """Measure pair by pair and print milliseconds of CPU time a frame."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    frames = list(random.random((asked.frames, SIDE_PX, SIDE_PX), np.float32))
    with TemporaryDirectory() as name:
        network, colorizer = networks(Path(name))
    as_the_original(network, frames[:2])  # what only a first call takes
    as_vidcolor(colorizer, frames[:2])
    ratios = []
    print("original   ours  ratio")
    for _ in range(asked.pairs):
        _, theirs = timed(lambda: as_the_original(network, frames))
        _, ours = timed(lambda: as_vidcolor(colorizer, frames))
        ratios.append(ours.cpu_seconds / theirs.cpu_seconds)
        each = (1000 * cost.cpu_seconds / len(frames) for cost in (theirs, ours))
        print("{:8.1f} {:6.1f}".format(*each), f"{ratios[-1]:6.2f}")
    print(f"median ratio {median(ratios):.2f}, aim {AIM}")


def networks(folder: Path) -> tuple[Generator, Colorizer]:
    """Return a network with random weights, and the same as a model that renders."""
    torch.manual_seed(0)
    network = SEED002.build_network().eval()
    save_model(SEED002, network, folder)
    return network, load_colorizer(RenderOptions(model=str(folder), device="cpu"))


@torch.inference_mode()
def as_the_original(network: Generator, frames: Frames) -> Frames:
    """Return Cb, Cr (2, h, w) of every frame; it and its neighbours are encoded again for each."""
    chroma = []
    for number in range(len(frames)):
        window = [frames[min(max(0, n), len(frames) - 1)] for n in (number - 1, number, number + 1)]
        features = [network.encode(torch.from_numpy(luma_hw)[None, None]) for luma_hw in window]
        rgb_13hw = (network.decode(*features) + 1) / 2
        chroma.append(chroma_from_rgb(rgb_13hw, "bt601")[0].numpy())
    return chroma


def as_vidcolor(colorizer: Colorizer, frames: Frames) -> Frames:
    """Return Cb, Cr (2, h, w) of every frame as a render does."""
    placed = (
        PlacedFrame(luma_hw, starts_shot=number == 0, segment=0)
        for number, luma_hw in enumerate(frames)
    )
    colored = colorizer.colorize(placed, luma=lambda luma_hw: luma_hw, matrix="bt601")
    return [each.chroma_2hw for each in colored]


if __name__ == "__main__":
    main()
