"""Long films: memory stays flat, and the work folder holds little more than the result does."""

import contextlib
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from tests.clips import draw_clip
from tests.faults import command, peak_kilobytes, repeat_film, start, tiny_model, work_folder

MINUTES = 30
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Measured:
    """What a render took."""

    peak_kilobytes: int
    """Most memory at once (resident)."""
    work_bytes: int
    """Most in the work folder at once."""
    result_bytes: int


def measure(film: Path, out: Path, model: str) -> Measured:
    """Render a film in a process of its own and watch it."""
    kilobytes = work_bytes = 0
    with start(command(film, out, model, "--preset", "ultrafast", "--quiet")) as process:
        while process.poll() is None:
            kilobytes = max(kilobytes, peak_kilobytes(process.pid))
            work_bytes = max(work_bytes, bytes_in(work_folder(out)))
            time.sleep(LOOK_SECONDS)
        assert process.returncode == 0
    return Measured(kilobytes, work_bytes, out.stat().st_size)


def bytes_in(folder: Path) -> int:
    """Return the size of a folder's files, of which some may vanish meanwhile."""
    total = 0
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_half_an_hour_takes_the_memory_of_a_minute(tmp_path):
    model = tiny_model(tmp_path / "model")
    minute = draw_clip(
        tmp_path / "minute.mp4",
        frames=24 * 60,
        rate=Fraction(24),
        cuts=tuple(range(100, 24 * 60, 100)),
        is_lossless=False,
        codec_options={"preset": "ultrafast"},
    )
    long = repeat_film(minute, MINUTES, tmp_path / "long.mp4")
    short_run = measure(minute, tmp_path / "short-out.mp4", model)
    long_run = measure(long, tmp_path / "long-out.mp4", model)
    assert long_run.result_bytes > 20 * short_run.result_bytes
    assert long_run.peak_kilobytes < 1.1 * short_run.peak_kilobytes
    # The segments, and at the end the result beside them.
    assert long_run.work_bytes < 2.2 * long_run.result_bytes
