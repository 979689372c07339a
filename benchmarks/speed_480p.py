"""How many frames a second a render of 480p gives, with default settings and preset veryfast.

    python benchmarks/speed_480p.py --frames 480 --runs 3

By the clock, from where the model is loaded, so it tells something on an idle machine only; CPU
time and the least time that it would take on all cores stand beside it. Aim on two cores: 12.
"""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from vidcolor.bench.bench import render_alone
from vidcolor.demo.drawn_film import draw_reel
from vidcolor.options.render import RenderOptions

AIM = 12


def main() -> None:
    """Measure and print run by run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    options = RenderOptions(preset="veryfast", overwrite=True)
    cores = os.cpu_count() or 1
    with TemporaryDirectory() as name:
        film = draw_reel(Path(name, "film.mp4"), height=480, frame_count=asked.frames)
        for _ in range(asked.runs):
            whole = render_alone(film, film.with_name("out.mp4"), options)
            cpu = (whole.cpu_seconds - whole.start_cpu_seconds) / whole.frame_count
            print(
                f"{whole.frame_count / whole.wall_seconds:.1f} frames a second (aim {AIM}); "
                f"{1000 * cpu:.0f} ms of CPU time a frame: {cores / cpu:.1f} a second at most "
                f"on {cores} cores"
            )


if __name__ == "__main__":
    main()
