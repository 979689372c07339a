"""Segments on a Ray cluster of several machines (nodes of this one): the film is the same."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import draw_film_of_shots, names_in, picture_of, tiny_model
from vidcolor.options import RenderOptions
from vidcolor.ray_crew import ray_crew
from vidcolor.rendering import Rendered, render

ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402  after it is known to be there

SHOTS = 6
FRAMES = 30 * SHOTS
MEMORY = 80_000_000
"""Bytes of a node's own store: about the least that Ray takes."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return draw_film_of_shots(folder / "film.mkv", shots=SHOTS, width=96, height=64)


@pytest.fixture(scope="module")
def whole(film, model) -> list:
    return picture_of(_render(film, film.with_name("whole.mkv"), model).out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Start a head without room for workers, and two nodes with room for one each."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY},
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=MEMORY, wait=False)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def crew(cluster):
    with ray_crew(cluster.address, RenderOptions(device="cpu")) as crew:
        yield crew


def _render(film: Path, out: Path, model: str, **more: Any) -> Rendered:
    how = {name: more.pop(name) for name in ("crew", "on_frame") if name in more}
    options = {"model": model, "device": "cpu", "codec": "ffv1"} | more
    return render(film, out, RenderOptions(**options), **how)


def test_a_cluster_gives_the_frames_of_one_process(film, whole, model, crew, tmp_path):
    assert crew.size == 2
    done = _render(film, tmp_path / "out.mkv", model, crew=crew)
    assert picture_of(done.out) == whole
    assert (done.frame_count, done.shot_count, done.segment_count) == (FRAMES, SHOTS, SHOTS)
    assert names_in(tmp_path) == {"out.mkv"}


def _actors() -> list[int]:
    """Return the processes of this machine that are actors."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with_name = process / "cmdline"
        if with_name.exists() and with_name.read_bytes().startswith(b"ray::_Actor"):
            found.append(int(process.name))
    return found


def test_a_killed_worker_costs_one_more_try(film, whole, model, crew, tmp_path, caplog):
    killed: list[int] = []

    def kill_once(frames: int) -> None:
        if not killed:
            killed.append(_actors()[0])
            os.kill(killed[0], signal.SIGKILL)

    done = _render(film, tmp_path / "out.mkv", model, crew=crew, on_frame=kill_once)
    assert picture_of(done.out) == whole
    assert "its worker is lost" in caplog.text


def test_a_lost_machine_costs_no_film(film, whole, model, crew, cluster, tmp_path, caplog):
    lost = list(cluster.worker_nodes)[:1]

    def lose_once(frames: int) -> None:
        if lost:
            cluster.remove_node(lost.pop(), allow_graceful=False)

    done = _render(film, tmp_path / "out.mkv", model, crew=crew, on_frame=lose_once)
    assert picture_of(done.out) == whole
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
