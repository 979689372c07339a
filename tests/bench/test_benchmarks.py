"""The scripts in benchmarks/: they load, and count and compare what they say."""

import json
import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.name for path in ROOT.glob("benchmarks/*.py"))


def load(name: str) -> dict:
    return runpy.run_path(str(ROOT / "benchmarks" / name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_loads_and_the_docs_name_it(name):
    assert callable(load(name)["main"])
    pages = [page.read_text() for page in ROOT.glob("docs/**/*.md")]
    assert any(f"python benchmarks/{name}" in page for page in pages)


def test_documented_scripts_are_there():
    page = (ROOT / "docs/explanation/performance.md").read_text()
    named = re.findall(r"python benchmarks/(\w+\.py)", page)
    assert set(named) <= set(SCRIPTS)


def test_the_originals_way_and_ours_give_the_same_colors(tmp_path):
    script = load("original_network.py")
    random = np.random.default_rng(1)
    frames = list(random.random((3, 64, 64), np.float32))
    torch.manual_seed(0)
    network, colorizer = script["networks"](tmp_path)
    colorizer.size = 64
    theirs = script["as_the_original"](network, frames)
    ours = script["as_vidcolor"](colorizer, frames)
    assert len(theirs) == len(ours) == 3
    assert np.abs(np.stack(theirs)).max() > 0.01
    code = 1 / 224  # weights on the disk are of half precision
    np.testing.assert_allclose(np.stack(ours), np.stack(theirs), atol=code, rtol=0)


def test_profile_counts_threads_and_the_innermost_function_of_ours(tmp_path):
    script = load("profile_render.py")
    stacks = tmp_path / "stacks.txt"
    stacks.write_text(
        "thread (7): MainThread;main (vidcolor/cli/app.py:3);write (vidcolor/media/encode.py:9) 5\n"
        "thread (8): each_0;work (vidcolor/pipeline/threads.py:2);"
        "resize (vidcolor/images/resize.py:4);x (y:1) 2\n"
        "thread (9): each_1;work (vidcolor/pipeline/threads.py:2);"
        "resize (vidcolor/images/resize.py:8) 1\n"
        "thread (7): MainThread;run (vidcolor/cli/app.py:3);"
        "_load (<frozen importlib._bootstrap>:1) 4\n"
        "thread (6);spawn (z.py:5) 1\n"
        "thread (7): MainThread;other (z.py:1) 1\n"
        "thread (7): MainThread;write (vidcolor/media/encode.py:9);wait (threading.py:3) 9\n"
    )
    samples = script["read_stacks"](stacks)
    threads = script["counted"](samples, script["thread_of"])
    functions = script["counted"](samples, script["own_function"])
    assert threads == {"MainThread": 10, "each": 3, "not named yet": 1}
    assert functions == {
        "write (vidcolor/media/encode.py)": 5,
        "resize (vidcolor/images/resize.py)": 3,
        "imports": 4,
        "outside vidcolor": 2,
    }


def test_scaling_measures_what_is_missing_and_draws_all_of_it(tmp_path, monkeypatch):
    script = load("scaling.py")
    results, picture = tmp_path / "scaling.json", tmp_path / "scaling.png"
    known = {
        "height": 480, "frame_count": 24, "cpu_seconds": 5.0, "start_cpu_seconds": 3.0,
        "peak_bytes": 2**29, "wall_seconds": 2.0, "gpu_bytes": 0,
    }  # fmt: skip
    results.write_text(json.dumps([known]))
    monkeypatch.setitem(script["measure"].__globals__, "render_alone", None)  # nothing is missing
    script["measure"]([(480, 24)], results)
    long = known | {"height": script["LENGTH_HEIGHT"], "frame_count": 1440}
    script["plot"]([known, long], picture)
    assert cv2.imread(str(picture)) is not None


def test_a_long_film_is_its_first_minute_again_and_again(tmp_path):
    from vidcolor.media.decode import read_frames
    from vidcolor.media.probe import probe

    script = load("scaling.py")
    script["draw_film"].__globals__["RATE"] = 1  # a minute of 60 frames
    film = script["draw_film"](tmp_path, 64, 130)
    frames = list(read_frames(probe(film)))
    assert len(frames) == 130
    assert (frames[0].luma == frames[60].luma).all()
    assert not (frames[0].luma == frames[30].luma).all()
