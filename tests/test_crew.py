"""A crew renders a film's segments in any order, and the film is the one of a single process."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import draw_film_of_shots, names_in, picture_of, tiny_model
from vidcolor.crew import LocalCrew
from vidcolor.options import RenderOptions
from vidcolor.rendering import Rendered, render

SHOTS = 5
FRAMES = 30 * SHOTS


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def crew():
    with LocalCrew(2) as crew:
        yield crew


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return draw_film_of_shots(folder / "film.mkv", shots=SHOTS, width=96, height=64)


@pytest.fixture(scope="module")
def whole(film, model) -> list:
    return picture_of(_render(film, film.with_name("whole.mkv"), model).out)


def _render(film: Path, out: Path, model: str, **more: Any) -> Rendered:
    how = {name: more.pop(name) for name in ("crew", "on_frame") if name in more}
    options = {"model": model, "device": "cpu", "codec": "ffv1"} | more
    return render(film, out, RenderOptions(**options), **how)


def test_a_crew_gives_the_frames_of_one_process(film, whole, model, crew, tmp_path):
    done = _render(film, tmp_path / "out.mkv", model, crew=crew)
    assert picture_of(done.out) == whole
    assert (done.frame_count, done.shot_count, done.segment_count) == (FRAMES, SHOTS, SHOTS)
    assert names_in(tmp_path) == {"out.mkv"}
