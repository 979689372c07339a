"""Cost and memory of a render against the size of the picture and the length of the film.

    python benchmarks/scaling.py measure scaling.json
    python benchmarks/scaling.py measure scaling.json --minutes 1 5 10 30
    python benchmarks/scaling.py plot scaling.json docs/performance-scaling.png

`measure` renders drawn films, each in a process of its own, with the preset veryfast: HEIGHTS at
FRAMES frames, then MINUTES at LENGTH_HEIGHT; results are added to the file one by one, and what it
holds already is not measured again. `plot` draws it.
"""

import argparse
import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib.figure import Figure

from vidcolor.bench.bench import render_alone
from vidcolor.demo.drawn_film import draw_reel
from vidcolor.demo.scenes import RATE
from vidcolor.media.ffmpeg import find_ffmpeg
from vidcolor.options.render import RenderOptions

HEIGHTS = (480, 720, 1080, 1440, 2160)
FRAMES = 120
"""Five seconds: more than are on their way through the line at once."""
LENGTH_HEIGHT, LENGTH_SIZE = 120, 96
"""Length is what is looked at, so the picture and what the network sees of it may be small."""
MINUTES = (1.0, 5.0)

Run = dict[str, Any]


def main() -> None:
    """Measure or plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("results", type=Path)
    measuring.add_argument("--heights", type=int, nargs="*", default=HEIGHTS)
    measuring.add_argument("--frames", type=int, default=FRAMES)
    measuring.add_argument("--minutes", type=float, nargs="*", default=MINUTES)
    plotting = verbs.add_parser("plot")
    plotting.add_argument("results", type=Path)
    plotting.add_argument("picture", type=Path)
    asked = parser.parse_args()
    if asked.verb == "plot":
        plot(json.loads(asked.results.read_text()), asked.picture)
        return
    sizes = [(height, asked.frames) for height in asked.heights]
    lengths = [(LENGTH_HEIGHT, round(60 * RATE * minutes)) for minutes in asked.minutes]
    measure([*sizes, *lengths], asked.results)


def measure(films: list[tuple[int, int]], results: Path) -> None:
    """Render films of these heights and frame counts, as far as the results lack them."""
    runs: list[Run] = json.loads(results.read_text()) if results.exists() else []
    known = {(run["height"], run["frame_count"]) for run in runs}
    for height, frames in films:
        if (height, frames) in known:
            continue
        with TemporaryDirectory() as name:
            film = draw_film(Path(name), height, frames)
            size = LENGTH_SIZE if height == LENGTH_HEIGHT else None
            options = RenderOptions(preset="veryfast", size=size)
            whole = render_alone(film, film.with_name("out.mp4"), options)
        runs.append({"height": height, **asdict(whole)})
        results.write_text(json.dumps(runs, indent=2))
        print(runs[-1])


def draw_film(folder: Path, height: int, frames: int) -> Path:
    """Draw a film; a long one is its first minute again and again."""
    minute = draw_reel(folder / "minute.mp4", height=height, frame_count=min(frames, 60 * RATE))
    film = folder / "film.mp4"
    words = ["-nostdin", "-loglevel", "error", "-stream_loop", "-1", "-i", str(minute)]
    words += ["-c", "copy", "-frames:v", str(frames), str(film)]
    subprocess.run([find_ffmpeg(), *words], check=True)
    return film


def plot(runs: list[Run], picture: Path) -> None:
    """Draw CPU time a frame and memory, against the picture's size and the film's length."""
    sizes = sorted(
        (run for run in runs if run["height"] != LENGTH_HEIGHT), key=lambda run: run["height"]
    )
    lengths = sorted(
        (run for run in runs if run["height"] == LENGTH_HEIGHT), key=lambda run: run["frame_count"]
    )
    megapixels = [run["height"] ** 2 * 16 / 9 / 1e6 for run in sizes]
    minutes = [run["frame_count"] / RATE / 60 for run in lengths]
    columns = [
        ("megapixels of a frame", megapixels, sizes),
        (f"minutes of film, {LENGTH_HEIGHT}p", minutes, lengths),
    ]
    columns = [column for column in columns if column[2]]
    figure = Figure(figsize=(5 * len(columns), 6), layout="constrained")
    axes = figure.subplots(2, len(columns), sharex="col", squeeze=False)
    for column, (label, x, some) in enumerate(columns):
        cpu = [
            1000 * (run["cpu_seconds"] - run["start_cpu_seconds"]) / run["frame_count"]
            for run in some
        ]
        axes[0, column].plot(x, cpu, "o-")
        axes[1, column].plot(x, [run["peak_bytes"] / 2**20 for run in some], "o-")
        axes[1, column].set_xlabel(label)
        for axis in axes[:, column]:
            axis.set_xlim(0, 1.1 * axis.dataLim.xmax)
            axis.set_ylim(0, 1.1 * axis.dataLim.ymax)
            axis.grid(alpha=0.3)
    for run, x, y in zip(sizes, megapixels, axes[0, 0].lines[0].get_ydata(), strict=False):
        axes[0, 0].annotate(
            f"{run['height']}p", (x, y), xytext=(-6, -14), textcoords="offset points"
        )
    axes[0, 0].set_ylabel("CPU time a frame, ms")
    axes[1, 0].set_ylabel("peak memory, MiB")
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
