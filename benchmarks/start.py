"""What the program takes before it does much: its help, and a film of one second.

    python benchmarks/start.py --runs 3

CPU time of whole processes. Aims: `vidcolor --help` below 0.7 s, `vidcolor render` of one second
(24 frames) of 480p, default settings, below 8 s.
"""

import argparse
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from vidcolor.bench.usage import timed_command
from vidcolor.demo.drawn_film import draw_reel

VIDCOLOR = [sys.executable, "-m", "vidcolor"]


def main() -> None:
    """Measure and print CPU seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with TemporaryDirectory() as name:
        film, out = draw_reel(Path(name, "film.mp4"), height=480, frame_count=24), f"{name}/out.mp4"
        render = [*VIDCOLOR, "render", "--overwrite", str(film), out]
        report("vidcolor --help", [*VIDCOLOR, "--help"], asked.runs, aim=0.7)
        report("vidcolor render, one second", render, asked.runs, aim=8)


def report(what: str, words: list[str], runs: int, *, aim: float) -> None:
    """Run a command several times and print the CPU seconds of each run."""
    seconds = [timed_command(words).cpu_seconds for _ in range(runs)]
    each = ", ".join(f"{value:.2f}" for value in seconds)
    print(f"{what}: {each}; median {median(seconds):.2f} s of CPU time, aim {aim}")


if __name__ == "__main__":
    main()
