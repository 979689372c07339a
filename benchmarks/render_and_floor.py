"""A render against what it cannot do without: FFmpeg's transcode, and the network alone.

    python benchmarks/render_and_floor.py --height 1080 --frames 240 --pairs 3

Each pair is a run of `vidcolor bench` on a drawn film. CPU time of the whole render process, its
start included, is divided by what FFmpeg's transcode with the same encoder and settings and the
network alone take for as many frames. Aim: 1.25 at most.
"""

import argparse
from statistics import median

from vidcolor.bench.bench import NETWORK_ALONE, TRANSCODE, bench
from vidcolor.options.bench import BenchOptions

AIM = 1.25


def main() -> None:
    """Measure pair by pair and print milliseconds of CPU time a frame."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--preset", default="veryfast")
    asked = parser.parse_args()
    options = BenchOptions(height=asked.height, frames=asked.frames, preset=asked.preset)
    print("render  without start  transcode  network  ratio  without start")
    ratios = []
    for _ in range(asked.pairs):
        found = bench(None, options)
        whole = found.whole.cpu_seconds / found.whole.frame_count
        render = found.render.cpu_seconds
        transcode = found.floors[TRANSCODE].cpu_seconds
        network = found.floors[NETWORK_ALONE].cpu_seconds
        floor = transcode + network
        ratios.append(whole / floor)
        print(
            f"{1000 * whole:6.1f}  {1000 * render:13.1f}  {1000 * transcode:9.1f}  "
            f"{1000 * network:7.1f}  {whole / floor:5.2f}  {render / floor:13.2f}"
        )
    print(f"median ratio {median(ratios):.2f}, aim {AIM}")


if __name__ == "__main__":
    main()
