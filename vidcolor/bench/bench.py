"""The verb `bench`: what a render costs on this machine, stage by stage, and the least it can cost.

Three things are measured in one run. The stages one after the other (`replay`); a render of the
same frames in its own process, where stages overlap; and the floors, which no render can beat: the
time FFmpeg needs to decode the film, and to transcode it with the same encoder and settings, and
the time of the network alone. The speed of a machine varies, but ratios within a run vary little.
"""

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import torch

from vidcolor._version import __version__
from vidcolor.bench.stages import Replayed, replay
from vidcolor.bench.usage import Cost, peak_bytes, timed, timed_command
from vidcolor.demo.drawn_film import draw_reel
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.ffmpeg import find_ffmpeg
from vidcolor.media.output_plan import OutputPlan, check_output
from vidcolor.media.probe import Film
from vidcolor.options.bench import BenchOptions
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.colorize import load_colorizer
from vidcolor.pipeline.resolved_job import resolve_engine, resolve_job
from vidcolor.rendering.render import render

Table = tuple[list[str], list[list[str]]]
OnStep = Callable[[int, int], None]

DECODE_ALONE, TRANSCODE, NETWORK_ALONE = "decode alone", "transcode", "network alone"
STEPS = 12
"""Steps of the progress bar: the stages, two floors, the render."""


@dataclass(frozen=True)
class Whole(Cost):
    """A render in its own process.

    CPU time is that of the whole process; wall time starts after the model is loaded.
    """

    frame_count: int = 0
    start_cpu_seconds: float = 0.0
    """CPU time before the first frame: Python, torch and the model."""
    peak_bytes: int = 0
    """Peak resident memory."""
    gpu_bytes: int = 0
    """Peak GPU memory of torch; 0 without a GPU."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured."""

    film: Path | None
    """None: the drawn film."""
    width: int
    height: int
    network_size: tuple[int, int]
    """(h, w) of the network's input."""
    codec: str
    codec_options: dict[str, str]
    device: str
    engine: str
    """torch or onnx."""
    cores: int
    stages: dict[str, Cost]
    """Cost per frame of each stage, run alone."""
    floors: dict[str, Cost]
    """Cost per frame of what no render can avoid."""
    whole: Whole
    """The render of all frames."""

    @property
    def render(self) -> Cost:
        """Cost per frame of the render, without its start."""
        cpu_seconds = self.whole.cpu_seconds - self.whole.start_cpu_seconds
        return Cost(cpu_seconds, self.whole.wall_seconds) / self.whole.frame_count

    @property
    def all_stages(self) -> Cost:
        """Cost per frame of all stages, one after the other."""
        return sum(self.stages.values(), Cost())

    def ratios(self) -> dict[str, Cost]:
        """Return the cost of a render relative to other costs.

        Stages and floors start with everything loaded, so the render's start is not counted.
        """
        transcode, network = self.floors[TRANSCODE], self.floors[NETWORK_ALONE]
        floors = {
            "transcode + network alone": transcode + network,
            "transcode": transcode,
            "its stages one by one": self.all_stages,
        }
        return {f"render / {name}": _ratio(self.render, floor) for name, floor in floors.items()}

    def setting(self) -> str:
        """Return the settings of the measurement, in one line."""
        height, width = self.network_size
        return (
            f"{self.width}x{self.height}, network at {width}x{height} by {self.engine} on "
            f"{self.device}, {self.codec} {self.codec_options.get('preset', '')}"
        ).rstrip()

    def ratio_table(self) -> Table:
        """Return the ratios as a table."""
        rows = [
            [name, f"{ratio.cpu_seconds:.2f}", f"{ratio.wall_seconds:.2f}"]
            for name, ratio in self.ratios().items()
        ]
        return ["ratio", "CPU", "wall"], rows

    def cost_table(self) -> Table:
        """Return the cost of the stages, the render and the floors, milliseconds per frame."""
        floors = {f"floor: {name}": cost for name, cost in self.floors.items()}
        costs = {**self.stages, "all stages": self.all_stages, "render": self.render, **floors}
        rows = [
            [name, f"{1000 * cost.cpu_seconds:.1f}", f"{1000 * cost.wall_seconds:.1f}"]
            for name, cost in costs.items()
        ]
        return ["milliseconds per frame", "CPU", "wall"], rows

    def summary(self) -> str:
        """Return the speed and peak memory of the render, in one line."""
        whole = self.whole
        gpu = f", {whole.gpu_bytes / 2**20:.0f} MiB on the GPU" if whole.gpu_bytes else ""
        return (
            f"render: {whole.frame_count / whole.wall_seconds:.1f} frames per second, "
            f"{whole.peak_bytes / 2**20:.0f} MiB peak memory{gpu}; "
            f"{whole.start_cpu_seconds:.1f} s of CPU time before the first frame"
        )

    def to_json(self) -> str:
        """Return everything as JSON, the ratios first; times are seconds."""
        ratios = {
            name: {"cpu": ratio.cpu_seconds, "wall": ratio.wall_seconds}
            for name, ratio in self.ratios().items()
        }
        everything = {"vidcolor": __version__, "ratios": ratios, **asdict(self)}
        return json.dumps(everything, default=str)


def _ratio(cost: Cost, floor: Cost) -> Cost:
    return Cost(cost.cpu_seconds / floor.cpu_seconds, cost.wall_seconds / floor.wall_seconds)


def bench(film: Path | None, options: BenchOptions, on_step: OnStep = lambda *_: None) -> Bench:
    """Measure the cost of rendering the first frames of a film.

    Args:
        film: None: draw one.
        options: options of the render, and how much to measure.
        on_step: called with the number of steps done and of all steps.

    Raises:
        InputError: the film cannot be read, or there is no FFmpeg to compare with.
        OptionsError: codec and preset do not go together.
        ModelError: the model is missing or damaged.
    """
    find_ffmpeg()
    options = resolve_engine(options)
    done = iter(range(STEPS))
    with TemporaryDirectory(prefix="vidcolor-bench-") as name:
        folder = Path(name)
        path = film or draw_reel(
            folder / "drawn.mp4", height=options.height, frame_count=options.frames
        )
        job = resolve_job(path, options)
        found = job.film
        # Matroska can hold every codec and nearly every track.
        plan = check_output(found, folder / "out.mkv", options, Changes())
        replayed = replay(job, plan, options.frames, lambda _: on_step(next(done), STEPS))
        on_step(next(done), STEPS)
        floors = _floors(found, plan, replayed)
        on_step(next(done), STEPS)
        whole = render_alone(path, plan.out, replace(options, end=f"{replayed.end_seconds:.6f}"))
    return Bench(
        film=film,
        width=found.width,
        height=found.height,
        network_size=replayed.network_size,
        codec=plan.codec,
        codec_options=plan.codec_options,
        device=replayed.device,
        engine=options.engine,
        cores=os.cpu_count() or 1,
        stages=replayed.stages,
        floors=floors,
        whole=whole,
    )


def _floors(film: Film, plan: OutputPlan, replayed: Replayed) -> dict[str, Cost]:
    """Return the cost per frame of FFmpeg alone and of the network alone."""
    count, source = replayed.frame_count, film.source
    start = [] if plan.start is None else ["-ss", f"{float(plan.start):.6f}"]
    demuxer = ["-f", source.format] if source.format else []
    read = [find_ffmpeg(), "-nostdin", "-loglevel", "error", *start, *demuxer]
    read += [*_words(source.options), "-i", source.url]
    read += ["-map", f"0:{film.stream_index}", "-frames:v", str(count)]
    encode = ["-c:v", plan.codec, "-pix_fmt", plan.pix_fmt, *_words(plan.codec_options)]
    transcoded = str(plan.out.with_name("transcoded.mkv"))
    return {
        DECODE_ALONE: timed_command([*read, "-f", "null", "-"]) / count,
        TRANSCODE: timed_command([*read, *encode, transcoded]) / count,
        NETWORK_ALONE: replayed.network,
    }


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"-{name}", value)]


def render_alone(film: Path, out: Path, options: RenderOptions) -> Whole:
    """Render a film in a new process, and return its cost."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as processes:
        return processes.submit(render_here, film, out, options).result()


def render_here(film: Path, out: Path, options: RenderOptions) -> Whole:
    """Render a film in this process, which does nothing else, and return its cost."""
    load_colorizer(options)
    start = process_time()
    done, cost = timed(lambda: render(film, out, options))
    return Whole(
        cpu_seconds=process_time(),
        wall_seconds=cost.wall_seconds,
        frame_count=done.frame_count,
        start_cpu_seconds=start,
        peak_bytes=peak_bytes(),
        gpu_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    )
