"""Segments on a Ray cluster of several machines (nodes of this one): the film is the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.clips import draw_clip
from tests.faults import ROOT, draw_film_of_shots, names_in, picture_of, tiny_model, work_folder
from tests.gates import Gate
from tests.pools import Watching
from tests.rendering.test_kill import done_frames
from tests.renders import render_lossless
from tests.stopping import go_on, interrupt, kill, stopped
from tests.stores import make_bucket, s3_server
from vidcolor.errors import OptionsError
from vidcolor.options.render import RenderOptions
from vidcolor.workers.ray_pool import _needs, _room, open_ray_pool

pytest.importorskip("ray")
pytest.importorskip("s3fs")

SHOTS = 8
FRAMES = 30 * SHOTS
GOOD_FILMS, BROKEN_FILMS = 6, 2
MEMORY = 80_000_000
"""Bytes of a node's own store: about the least that Ray takes."""
POLL_SECONDS = 0.01
WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return draw_film_of_shots(folder / "film.mkv", shots=SHOTS, width=192, height=128)


@pytest.fixture(scope="module")
def whole(film, model) -> list:
    return picture_of(render_lossless(film, film.with_name("whole.mkv"), model).out)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Any]:
    """Start a head without room for workers, and two nodes with room for two each.

    Their processes know of a store, and keep what they fetch in a folder of the tests.
    """
    from ray.cluster_utils import Cluster

    with s3_server(), pytest.MonkeyPatch.context() as here:
        here.setenv("VIDCOLOR_HOME", str(tmp_path_factory.mktemp("home")))
        here.setenv("PYTHONPATH", str(ROOT))
        cluster = Cluster()
        for cores in (0, 2, 2):
            _add_machine(cluster, num_cpus=cores)
        yield cluster
        cluster.shutdown()


def _add_machine(cluster: Any, **has: int) -> Any:
    """Add a machine; the first one is the head."""
    how = {"object_store_memory": MEMORY, "include_dashboard": False, **has}
    try:
        return cluster.add_node(**how)
    except Exception:  # noqa: BLE001  it was not up in the 30 s that Ray allows, others were busy
        return cluster.add_node(**how)


@pytest.fixture(scope="module")
def pool(cluster):
    with open_ray_pool(cluster.address, RenderOptions(device="cpu", workers=2)) as pool:
        yield pool


def test_a_cluster_gives_the_frames_of_one_process(film, whole, model, pool, tmp_path):
    done = render_lossless(film, tmp_path / "out.mkv", model, pool=pool)
    assert picture_of(done.out) == whole
    assert (done.frame_count, done.shot_count, done.segment_count) == (FRAMES, SHOTS, SHOTS)
    assert names_in(tmp_path) == {"out.mkv"}


def _actors(cluster: Any) -> dict[int, Any]:
    """Return the processes that are workers of the cluster, and the node of each."""
    found = {}
    for node in cluster.worker_nodes:
        raylet = node.all_processes["raylet"][0].process.pid
        for children in Path(f"/proc/{raylet}/task").glob("*/children"):
            for child in children.read_text().split():
                with suppress(OSError):  # it has just ended
                    if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::_Actor"):
                        found[int(child)] = node
    return found


def _both_of(cluster: Any) -> dict[int, Any]:
    """Return the two actors of the pool, once they are there, and alone."""
    end = time.monotonic() + WAIT_SECONDS
    while len(found := _actors(cluster)) != 2:
        assert time.monotonic() < end, f"there are {len(found)} actors"
        time.sleep(POLL_SECONDS)
    return found


def _words(cluster: Any, model: str) -> list[str]:
    """Return the words for two workers of the cluster."""
    return ["--ray", cluster.address, "--workers", "2", "--device", "cpu", "--codec", "ffv1",
            "--model", model]  # fmt: skip


def _begun(cluster: Any, film: Path, out: Path, model: str, *more: str) -> subprocess.Popen[str]:
    """Return a render as it stands before its second note; names count from where it is."""
    folder = Path(os.path.commonpath([film, out]))
    places = [str(path.relative_to(folder)) for path in (film, out)]
    words = ["render", *_words(cluster, model), *more, *places]
    return stopped("append", 2, "*/journal.jsonl", words, folder)


def _vidcolor(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vidcolor", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip


def test_an_interrupted_render_ends_its_workers_and_goes_on(
    film, whole, model, cluster, pool, tmp_path
):
    out, others = tmp_path / "out.mkv", _both_of(cluster)
    process = _begun(cluster, film, out, model)
    messages = interrupt(process)
    assert process.returncode == 130, messages
    assert "30 frames are done; run the same command again to resume" in messages
    assert "Traceback" not in messages
    assert names_in(tmp_path) == {work_folder(out).name}
    assert _both_of(cluster) == others
    assert done_frames(out) == 30
    assert render_lossless(film, out, model).resumed_frame_count == 30
    assert picture_of(out) == whole


def test_what_a_killed_driver_had_done_is_in_the_store_for_another(
    film, whole, model, cluster, pool, tmp_path
):
    import s3fs

    store, others = make_bucket("films") + "/reels", _both_of(cluster)
    files = s3fs.S3FileSystem(use_listings_cache=False)

    def notes() -> dict[str, bytes]:
        found = files.glob("films/reels/segments/*/*.json")
        return {name: files.cat_file(name) for name in found}

    kill(_begun(cluster, film, tmp_path / "first.mkv", model, "--store", store))
    assert _both_of(cluster) == others  # Ray ends those whose driver is gone
    before = notes()
    assert 2 <= len(before) < SHOTS  # it had taken two; no more than AHEAD * 2 others were begun

    more = ["--store", store, str(film), "second.mkv"]
    second = _vidcolor(["render", *_words(cluster, model), *more], tmp_path)
    messages = second.communicate(timeout=200)[1]
    assert second.returncode == 0, messages
    assert picture_of(tmp_path / "second.mkv") == whole
    assert before.items() <= notes().items()
    assert len(notes()) == SHOTS
    assert names_in(tmp_path) == {"second.mkv", work_folder(tmp_path / "first.mkv").name}


def test_workers_share_gpus_as_they_are_told(pool, cluster, caplog):
    node = _add_machine(cluster, num_cpus=8, num_gpus=2)
    for share, places in ((0.5, 4), (1.0, 2), (2.0, 1)):
        options = RenderOptions(device="cuda", worker_gpus=share, worker_cpus=2)
        assert _room(_needs(options)) == places
    assert _needs(RenderOptions(device="cpu")) == {"CPU": 1.0}
    if not torch.cuda.is_available():
        assert _needs(RenderOptions()) == {"CPU": 1.0}
        assert "add --device cuda to use them" in caplog.text
    cluster.remove_node(node)


def test_a_worker_with_another_vidcolor_is_refused(film, model, pool, tmp_path, monkeypatch):
    with monkeypatch.context() as here:
        here.setattr("vidcolor.workers.ray_pool.__version__", "0.0.1")
        for _ in range(pool.size):
            with pytest.raises(OptionsError, match=r"and this is 0\.0\.1; install the same"):
                render_lossless(film, tmp_path / "out.mkv", model, pool=pool)
            assert names_in(tmp_path) == set()
    render_lossless(film, tmp_path / "out.mkv", model, pool=pool)  # none is lost by it


@pytest.fixture
def gate(tmp_path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


def test_killed_workers_cost_another_try(film, whole, model, pool, cluster, gate, tmp_path, caplog):
    _both_of(cluster)

    def kill_those_at_the_first_two(taken: int) -> None:
        if taken == 0:
            gate.shut()
        elif taken == 2:
            for actor in gate.wait_for(2, lambda: _actors(cluster)):
                os.kill(actor, signal.SIGKILL)
            gate.open()

    watched = Watching(pool, kill_those_at_the_first_two, gate)
    done = render_lossless(film, tmp_path / "out.mkv", model, pool=watched)
    assert picture_of(done.out) == whole
    assert caplog.text.count("its worker is lost") == 2


def test_a_lost_machine_costs_no_film(film, whole, model, pool, cluster, gate, tmp_path, caplog):
    own = _both_of(cluster)
    lost: list[int] = []

    def lose_the_machine_of_the_first(taken: int) -> None:
        if taken == 0:
            gate.shut()
        elif taken == 1:
            (at_it,) = gate.wait_for(1, lambda: own)
            lost.extend(_lose(own[at_it], own, cluster))
            gate.open()

    watched = Watching(pool, lose_the_machine_of_the_first, gate)
    done = render_lossless(film, tmp_path / "out.mkv", model, pool=watched)
    _add_machine(cluster, num_cpus=2)
    assert picture_of(done.out) == whole
    assert caplog.text.count("its worker is lost") >= len(lost)  # Ray may put another one there


def _lose(machine: Any, actors: dict[int, Any], cluster: Any) -> list[int]:
    """Take a machine from the cluster and return those of some actors that are gone with it."""
    lost = [actor for actor, node in actors.items() if node is machine]
    cluster.remove_node(machine, allow_graceful=False)
    end = time.monotonic() + WAIT_SECONDS
    while any(_is_alive(actor) for actor in lost):
        assert time.monotonic() < end, "a worker outlives its machine"
        time.sleep(POLL_SECONDS)
    return lost


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_batch_that_loses_a_machine_does_every_film_that_can_be_done(
    model, cluster, pool, tmp_path
):
    # The pool may have one actor less since it lost a machine.
    films, out, others = tmp_path / "films", tmp_path / "colour", set(_actors(cluster))
    films.mkdir()
    for number in range(GOOD_FILMS):
        draw_clip(films / f"{number}.mkv", frames=50 + number, cuts=(25,))
    for number in range(BROKEN_FILMS):
        (films / f"broken{number}.mkv").write_bytes(b"no film at all")
    words = ["batch", *_words(cluster, model), "films", "colour"]

    process = stopped("append", 2, "*/.1.mkv.vidcolor/journal.jsonl", words, tmp_path)
    own = {actor: node for actor, node in _actors(cluster).items() if actor not in others}
    lost = _lose(next(iter(own.values())), own, cluster)
    _add_machine(cluster, num_cpus=2)
    messages = go_on(process)

    assert lost
    assert "its worker is lost" in messages  # and once more if Ray puts another on that machine
    assert process.returncode == 1, messages
    assert {path.stem for path in out.glob("*.mkv")} == {str(n) for n in range(GOOD_FILMS)}
    for number in (0, GOOD_FILMS - 1):
        alone = render_lossless(films / f"{number}.mkv", tmp_path / f"{number}.mkv", model).out
        assert picture_of(out / f"{number}.mkv") == picture_of(alone)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.mkv")}
    again = _vidcolor(words, tmp_path)
    assert f"{BROKEN_FILMS} of {GOOD_FILMS + BROKEN_FILMS} films failed" in again.communicate()[1]
    assert again.returncode == 1
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.mkv")} == times


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere", "localhost:99999999", "auto"])
def test_a_cluster_that_is_not_there_is_one_line(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with (
        pytest.raises(
            OptionsError, match=r"^--ray \S+: cannot connect to a cluster \(.+\); give the"
        ),
        open_ray_pool(address, RenderOptions()),
    ):
        pass


def test_ray_that_is_not_installed_is_answered_with_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(OptionsError, match=r"pip install 'vidcolor\[cluster\]'"),
        open_ray_pool("local", RenderOptions()),
    ):
        pass
