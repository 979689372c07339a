"""The numbers of a run, as Prometheus gets them: by real requests while films are under way."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults import command
from vidcolor.cli.app import run
from vidcolor.cli.metrics_server import Monitor, Numbers, monitored
from vidcolor.errors import InputError, OptionsError
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline.journal import Segment
from vidcolor.rendering.render import render


def scraped(url: str) -> dict[tuple[str, ...], float]:
    """Return what a scrape finds, by the name of the metric and the values of its labels."""
    with urlopen(url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def segment(frame_count: int, **seconds: float) -> Segment:
    return Segment(
        number=0, name="a", sha256="", frame_count=frame_count, shot_count=1, first_pts=0,
        first_luma=0, last_pts=0, changes=(), stage_seconds=seconds,
    )  # fmt: skip


@pytest.fixture
def served(caplog):
    """Serve a monitor, and return it with the address that was logged."""
    caplog.set_level("INFO", "vidcolor")
    with monitored(0) as monitor:
        yield monitor, re.search(r"http://\S+", caplog.text)[0]  # type: ignore[index]


def test_a_scrape_finds_what_was_counted_by_then(served):
    monitor, url = served
    with monitor.film(Path("a.mp4"), 240) as watch:
        watch.frame(100)
        watch.segment(segment(60, decode=1.5, encode=2.0))
        watch.segment(segment(40, decode=0.5))
        found = scraped(url)
        assert found["vidcolor_film_frames", "a.mp4"] == 100
        assert found["vidcolor_film_frames_expected", "a.mp4"] == 240
        assert found["vidcolor_frames_total",] == 100
        assert found["vidcolor_segments_total",] == 2
        assert found["vidcolor_stage_seconds_total", "decode"] == 2.0
        assert found["vidcolor_stage_seconds_total", "encode"] == 2.0
        assert found["vidcolor_films_total", "done"] == 0
        assert found["process_resident_memory_bytes",] > 1e6
    assert scraped(url)["vidcolor_films_total", "done"] == 1


def test_a_film_is_named_only_while_it_is_under_way(served):
    monitor, url = served
    with monitor.film(Path("a.mp4"), 240), monitor.film(Path("b.mp4"), None):
        found = scraped(url)
        assert found["vidcolor_film_frames", "b.mp4"] == 0
        assert ("vidcolor_film_frames_expected", "b.mp4") not in found
    assert not [name for name, *labels in scraped(url) if {"a.mp4", "b.mp4"} & set(labels)]


@pytest.mark.parametrize(
    ("error", "outcome"), [(InputError("x"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_film_that_ends_otherwise_is_counted_as_that(served, error, outcome):
    monitor, url = served
    with pytest.raises(type(error)), monitor.film(Path("a.mp4"), 240):
        raise error
    found = scraped(url)
    counts = {
        labels[0]: n for (name, *labels), n in found.items() if name == "vidcolor_films_total"
    }
    assert counts == dict.fromkeys(("done", "failed", "interrupted", "skipped"), 0) | {outcome: 1}
    assert found.get(("vidcolor_errors_total", "InputError"), 0) == (outcome == "failed")
    assert ("vidcolor_film_frames", "a.mp4") not in found


@pytest.mark.parametrize("name", ["a\nb.mp4", '"q"\\.mp4', "漢字.mp4", "\udcff.mp4"])
def test_any_name_of_a_film_can_be_scraped(served, name):
    monitor, url = served
    with monitor.film(Path(name), 1):
        labels = {key[1] for key in scraped(url) if key[0] == "vidcolor_film_frames"}
    assert labels == {name.encode("utf-8", "backslashreplace").decode()}


def test_threads_lose_no_count():
    numbers = Numbers("n", "help", label="l")
    with ThreadPoolExecutor(8) as threads:
        for _ in range(40_000):
            threads.submit(numbers.add, 1, "x")
    assert numbers.now() == {"x": 40000}


def test_a_port_that_is_taken_is_refused(served):
    _, url = served
    port = int(url.split(":")[2].split("/")[0])
    with pytest.raises(OptionsError, match=f"--metrics-port {port}: .*use another"):
        monitored(port).__enter__()


def test_nobody_answers_after_the_run(caplog):
    caplog.set_level("INFO", "vidcolor")
    with monitored(0):
        url = re.search(r"http://\S+", caplog.text)[0]  # type: ignore[index]
    with pytest.raises(URLError):
        scraped(url)


def test_nobody_needs_prometheus_who_does_not_ask_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with monitored(None) as monitor, monitor.film(Path("a"), 1):
        pass
    assert monitor.films.now()["done"] == 1
    with pytest.raises(OptionsError, match=r"vidcolor\[metrics\]"), monitored(0):
        pass


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_what_is_no_port_is_refused(port, capsys):
    assert run(["render", "a.mp4", "b.mp4", f"--metrics-port={port}"]) == 2
    assert f"--metrics-port {port}: is not a port" in capsys.readouterr().err


def test_a_port_that_is_taken_ends_the_command_before_it_renders(draw, tmp_path, model, capsys):
    film, out = draw("film.mkv", frames=3), tmp_path / "out.mkv"
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = command(film, out, model, f"--metrics-port={port}")[3:]
        assert run(words) == 2
    assert not out.exists()


def test_a_render_counts_each_frame_once_and_only_its_own(draw, tmp_path, model):
    film = draw("film.mkv", frames=120, cuts=(40, 80))
    options = RenderOptions(model=model, device="cpu", codec="ffv1", stabilize=0)
    first, second = Monitor(), Monitor()

    def stop(done: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), first.film(film, 120) as watch:
        render(film, tmp_path / "o.mkv", options, on_frame=stop, on_segment=watch.segment)
    with second.film(film, 120) as watch:
        render(film, tmp_path / "o.mkv", options, on_frame=watch.frame, on_segment=watch.segment)
        assert second.frames_done.now()[str(film)] == 120
    assert first.frames.now()[""] == 40
    assert second.frames.now()[""] == 80
    assert second.segments.now()[""] == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_every_stage_is_counted_whoever_works(draw, tmp_path, model, workers):
    film, monitor = draw("film.mkv", frames=80, cuts=(40,)), Monitor()
    options = RenderOptions(
        model=model, device="cpu", codec="ffv1", workers=workers, report=tmp_path / "report.json"
    )
    with monitor.film(film, 80) as watch:
        done = render(film, tmp_path / "out.mkv", options, on_segment=watch.segment)
    counted = monitor.seconds.now()
    planned = {"plan: decode"} if workers > 1 else set()
    assert counted.keys() == planned | {
        "decode", "shots", "network", "stabilise", "merge", "encode"
    }  # fmt: skip
    assert all(seconds > 0 for seconds in counted.values())
    assert done.stage_seconds == pytest.approx(counted)
    assert json.loads((tmp_path / "report.json").read_text())["stage_seconds"] == done.stage_seconds


def test_a_command_can_be_scraped_while_it_renders_and_says_where(draw, tmp_path, model):
    film = draw("film.mkv", frames=400, width=320, height=240)
    words = command(film, tmp_path / "out.mkv", model, "--metrics-port", "0")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(m[0] for line in process.stderr if (m := re.search(r"http://\S+", line)))
        done, until = 0.0, time.monotonic() + 60
        while not done and time.monotonic() < until:
            found = scraped(url)
            done = found.get(("vidcolor_film_frames", str(film)), 0)
        assert 0 < done < 400
        assert found["vidcolor_film_frames_expected", str(film)] == 400
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 143
    with pytest.raises(URLError):
        scraped(url)
