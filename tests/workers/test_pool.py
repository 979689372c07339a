"""A pool of processes renders a film's segments; whatever dies, the film is that of one process."""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from tests.faults import draw_film_of_shots, names_in, picture_of, tiny_model
from tests.gates import Gate
from tests.pools import Watching
from tests.rendering.test_kill import done_frames
from tests.renders import render_lossless
from tests.stopping import interrupt, kill, stopped
from vidcolor.errors import ModelError, OptionsError, OutputError
from vidcolor.network.weights import WEIGHTS
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import read_journal
from vidcolor.rendering.workdir import folder_of
from vidcolor.workers.pool import AHEAD, TRIES, LocalPool

SHOTS = 6
FRAMES = 30 * SHOTS


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2) as pool:
        yield pool
    assert not active_children()


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    return draw_film_of_shots(folder / "film.mkv", shots=SHOTS, width=96, height=64)


@pytest.fixture(scope="module")
def whole(film, model) -> list:
    return picture_of(render_lossless(film, film.with_name("whole.mkv"), model).out)


def _cut_short(film: Path, out: Path, model: str, *, after: int, **more: Any) -> int:
    """Interrupt a render as soon as so many frames are done, and return how many are."""

    def stop(done: int) -> None:
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_lossless(film, out, model, on_frame=stop, **more)
    return done_frames(out)


def _workers() -> list[int]:
    """Return our processes, the workers among them; `active_children` would ask how they ended."""
    return _descendants(os.getpid())


def _descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they did."""
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            children += [int(word) for word in path.read_text().split()]
    return [*children, *(pid for child in children for pid in _descendants(child))]


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def gate(tmp_path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


@contextmanager
def _killing_whoever_waits_at(gate: Gate) -> Iterator[set[int]]:
    """Kill workers as they wait at a gate; yield their process numbers."""
    killed: set[int] = set()
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(0.01):
            found = gate.waiting(_workers()) - killed
            _kill(found)
            killed.update(found)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        is_over.set()
        thread.join()


def test_a_pool_gives_the_frames_of_one_process(film, whole, model, pool, tmp_path):
    counts: list[int] = []
    done = render_lossless(film, tmp_path / "out.mkv", model, pool=pool, on_frame=counts.append)
    assert picture_of(done.out) == whole
    assert (done.frame_count, done.shot_count, done.segment_count) == (FRAMES, SHOTS, SHOTS)
    assert names_in(tmp_path) == {"out.mkv"}
    assert counts == [30 * (number + 1) for number in range(SHOTS)]


def test_three_workers_that_the_options_hire_give_the_same(film, whole, model, tmp_path):
    before = {child.pid for child in active_children()}
    assert picture_of(render_lossless(film, tmp_path / "out.mkv", model, workers=3).out) == whole
    assert {child.pid for child in active_children()} == before


def test_parts_are_planned_only_as_workers_can_take_them(film, model, pool, gate, tmp_path):
    given: list[int] = []

    def look(taken: int) -> None:
        given.append(len(watching.given))
        if taken == 0:
            gate.shut()  # none is done before it is open
        elif taken == AHEAD * pool.size - 1:
            gate.open()

    watching = Watching(pool, look, gate)
    render_lossless(film, tmp_path / "out.mkv", model, pool=watching)
    assert watching.taken == list(range(SHOTS))
    assert given[: AHEAD * pool.size] == [0] * AHEAD * pool.size
    assert all(taken - done < AHEAD * pool.size for taken, done in enumerate(given))


def test_a_run_resumes_what_another_left_with_or_without_a_pool(film, whole, model, pool, tmp_path):
    out, resumed = tmp_path / "out.mkv", []
    for after, workers in ((30, pool), (61, None), (120, pool)):
        resumed.append(_cut_short(film, out, model, after=after, pool=workers))
    assert resumed == [30, 60, 120]
    assert render_lossless(film, out, model).resumed_frame_count == 120
    assert picture_of(out) == whole


@pytest.mark.parametrize("by", ["pool", "this process"])
def test_only_what_is_missing_in_between_is_rendered(film, whole, model, pool, tmp_path, by):
    out = tmp_path / "out.mkv"
    done = _cut_short(film, out, model, after=FRAMES)
    assert done == FRAMES - 30
    missing = {0, 2} if by == "pool" else {1, 3}
    record = read_journal(folder_of(out) / "journal.jsonl")
    assert record is not None
    kept = {}
    for segment in record.segments:
        path = folder_of(out) / segment.name
        if segment.number in missing:
            path.unlink()
        else:
            kept[path] = path.stat().st_ino
    watching = Watching(pool)
    inodes: dict[Path, int] = {}
    ended = render_lossless(
        film, out, model, pool=watching if by == "pool" else None,
        on_frame=lambda done: inodes.update({path: path.stat().st_ino for path in kept}),
    )  # fmt: skip
    assert ended.resumed_frame_count == done - 30 * len(missing)
    assert inodes == kept
    assert watching.taken == ([*sorted(missing), SHOTS - 1] if by == "pool" else [])
    assert picture_of(out) == whole


def test_a_killed_workers_part_is_rendered_again(film, whole, model, pool, gate, tmp_path, caplog):
    def kill_those_at_the_first_two(taken: int) -> None:
        if taken == 0:
            gate.shut()
        elif taken == 2:
            _kill(gate.wait_for(2, _workers))
            gate.open()

    watched = Watching(pool, kill_those_at_the_first_two, gate)
    done = render_lossless(film, tmp_path / "out.mkv", model, pool=watched)
    assert caplog.text.count("its worker ended with signal 9") == 2
    assert picture_of(done.out) == whole


def test_a_part_that_kills_its_workers_fails_the_film_and_keeps_the_rest(
    film, whole, model, gate, tmp_path, caplog
):
    out = tmp_path / "out.mkv"
    done = _cut_short(film, out, model, after=FRAMES)
    with LocalPool(1) as pool:
        watched = Watching(pool, lambda _: gate.shut(), gate)
        with (
            _killing_whoever_waits_at(gate) as killed,
            pytest.raises(
                OutputError, match=rf"died {TRIES} times \(its worker ended with signal 9\)"
            ),
        ):
            render_lossless(film, out, model, pool=watched)
        gate.open()
        assert len(killed) == caplog.text.count("its worker ended with signal 9") == TRIES
        assert done_frames(out) == done == FRAMES - 30
        ended = render_lossless(film, out, model, pool=pool)
    assert ended.resumed_frame_count == done
    assert picture_of(out) == whole


def test_what_a_part_fails_with_is_what_the_film_fails_with(film, tmp_path, pool):
    model = Path(tiny_model(tmp_path / "model"))
    (model / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(ModelError, match="model"):
        render_lossless(film, tmp_path / "out.mkv", str(model), pool=pool)
    assert names_in(tmp_path) == {"model"}


def test_a_bug_in_a_worker_is_told_with_its_traceback(pool):
    with pytest.raises(RuntimeError, match="in a worker: Traceback"):
        next(pool.render_tasks("no job", ["no part"]))


def test_when_a_call_ends_early_nothing_of_it_writes_any_more(film, model, pool, tmp_path):
    out = tmp_path / "out.mkv"
    _cut_short(film, out, model, after=30, pool=pool)
    before = {path: path.stat().st_mtime_ns for path in folder_of(out).iterdir()}
    assert {path.suffix for path in before} <= {".nut", ".jsonl", ""}
    time.sleep(0.5)
    assert {path: path.stat().st_mtime_ns for path in folder_of(out).iterdir()} == before


def test_several_films_share_a_pool(film, whole, model, pool, tmp_path):
    outs = [tmp_path / f"{number}.mkv" for number in range(3)]
    threads = [
        threading.Thread(target=render_lossless, args=(film, out, model), kwargs={"pool": pool})
        for out in outs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [picture_of(out) for out in outs] == [whole] * 3


def test_a_pool_that_is_dismissed_ends_its_calls(film, model, tmp_path):
    errors: list[Exception] = []
    begun, is_dismissed = threading.Event(), threading.Event()

    def wait(_done: int) -> None:
        begun.set()
        is_dismissed.wait()

    def work(pool: LocalPool) -> None:
        try:
            render_lossless(film, tmp_path / "out.mkv", model, pool=pool, on_frame=wait)
        except Exception as error:  # noqa: BLE001  whatever it is
            errors.append(error)

    with LocalPool(1) as pool:
        thread = threading.Thread(target=work, args=(pool,))
        thread.start()
        assert begun.wait(60)
    is_dismissed.set()
    thread.join(10)
    assert [type(error) for error in errors] == [CancelledError]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_one_that_drives_them(film, whole, model, tmp_path, signum):
    out = tmp_path / "out.mkv"
    words = ["--device", "cpu", "--model", model, "--codec", "ffv1", "--workers", "2"]
    process = stopped("append", 2, "*/journal.jsonl", ["render", *words, str(film), str(out)])
    started = _descendants(process.pid)
    assert len(started) >= 3
    messages = {signal.SIGKILL: kill, signal.SIGINT: interrupt}[signum](process)
    assert process.returncode == (-9 if signum == signal.SIGKILL else 130)
    assert "Traceback" not in messages
    end = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in started):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert render_lossless(film, out, model).resumed_frame_count == 30
    assert picture_of(out) == whole


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_that_cannot_be_meant_is_refused(workers):
    with pytest.raises(OptionsError, match=rf"--workers {workers}: must be 1 or more, or auto"):
        RenderOptions(workers=workers)
