"""Where the CPU time of a render goes, by thread and by function: py-spy over a real render.

    pip install py-spy
    python benchmarks/profile_render.py --height 1080 --frames 240

Prints shares of the samples in which a thread was at work: by thread, and by the innermost function
of this package, whatever it called counted with it. py-spy sees Python's threads only. What x264,
FFmpeg and torch do in threads of their own is missing: the last line tells how much.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from vidcolor.demo.drawn_film import draw_reel

HERTZ = 100
"""Samples of each thread a second."""
ROWS = 20
"""Of a table."""
RENDER = """
import sys
from pathlib import Path
from vidcolor.bench.bench import render_here
from vidcolor.options.render import RenderOptions
_, film, out, preset = sys.argv
print(render_here(Path(film), Path(out), RenderOptions(preset=preset)).cpu_seconds)
"""
"""What is profiled: a render that says at the end what it took."""
WAITING = ("(threading.py", "(queue.py", "(concurrent/futures/thread.py")
"""Where threads wait for one another; py-spy cannot always tell that from work."""

Stack = tuple[str, ...]
"""The thread, then its functions, outermost first."""


def main() -> None:
    """Profile a render and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--preset", default="veryfast")
    asked = parser.parse_args()
    with TemporaryDirectory() as name:
        film = draw_reel(Path(name, "film.mp4"), height=asked.height, frame_count=asked.frames)
        stacks = Path(name, "stacks.txt")
        spy = ["py-spy", "record", "--rate", str(HERTZ), "--threads", "--format", "raw"]
        render = [sys.executable, "-c", RENDER, str(film), f"{name}/out.mp4", asked.preset]
        done = subprocess.run(
            [*spy, "--output", str(stacks), "--", *render], capture_output=True, text=True
        )
        cpu_seconds = float(re.findall(r"^[\d.]+$", done.stdout, re.MULTILINE)[0])
        samples = read_stacks(stacks)
    show("thread", counted(samples, thread_of))
    show("function", counted(samples, own_function))
    print(
        f"{sum(samples.values()) / HERTZ:.1f} s of Python's threads; "
        f"{cpu_seconds:.1f} s of CPU time of the whole process"
    )


def read_stacks(path: Path) -> Counter[Stack]:
    """Return how often each stack was seen at work."""
    samples: Counter[Stack] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        calls = tuple(stack.split(";"))
        if not any(place in calls[-1] for place in WAITING):
            samples[calls] += int(count)
    return samples


def counted(samples: Counter[Stack], name_of: Callable[[Stack], str]) -> Counter[str]:
    """Return the samples of each name."""
    found: Counter[str] = Counter()
    for stack, count in samples.items():
        found[name_of(stack)] += count
    return found


def thread_of(stack: Stack) -> str:
    """Return the thread's name, without its number among others of its kind."""
    return re.sub(r"^thread \([^)]*\)(: )?|_\d+$", "", stack[0]) or "not named yet"


def own_function(stack: Stack) -> str:
    """Return the innermost function of this package, or what imports and the like are."""
    own = [call for call in stack if "(vidcolor/" in call]
    if any("importlib" in call for call in stack):
        return "imports"
    return re.sub(r":\d+\)", ")", own[-1]) if own else "outside vidcolor"


def show(what: str, samples: Counter[str]) -> None:
    """Print the names with the largest shares as a table in Markdown."""
    total = sum(samples.values())
    print(f"| {what} | share |\n|---|---|")
    for name, count in samples.most_common(ROWS):
        print(f"| `{name}` | {count / total:.1%} |")
    print()


if __name__ == "__main__":
    main()
