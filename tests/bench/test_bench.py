"""`vidcolor bench`: what it measures is the render's own work, and its ratios are what they say."""

import json
import sys
import threading
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter, process_time, thread_time

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import draw_clip
from vidcolor.bench.bench import Bench, Whole, bench
from vidcolor.bench.stages import HELD, replay
from vidcolor.bench.usage import Cost, peak_bytes, timed, timed_command
from vidcolor.cli import app
from vidcolor.demo import scenes
from vidcolor.demo.drawn_film import draw_reel
from vidcolor.demo.scenes import RATE
from vidcolor.errors import InputError, OptionsError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.ffmpeg import find_ffmpeg
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import probe
from vidcolor.network.architectures.temporal_unet import TemporalUNet
from vidcolor.options.bench import BenchOptions
from vidcolor.pipeline.resolved_job import resolve_job
from vidcolor.rendering.render import render

STAGES = [
    "decode", "shots", "luma resize", "encode features", "decode chroma", "around the network",
    "stabilise", "enlarge", "merge", "video encode",
]  # fmt: skip
FLOORS = ["decode alone", "transcode", "network alone"]

costs = st.builds(Cost, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))


def burn(seconds: float) -> None:
    """Keep a core busy for so much of this process's CPU time."""
    until = process_time() + seconds
    while process_time() < until:
        pass


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return draw_clip(tmp_path_factory.mktemp("film") / "film.mkv", frames=60, cuts=(25,))


@pytest.fixture(scope="module")
def measured(film, model):
    steps: list[tuple[int, int]] = []
    options = BenchOptions(
        model=model, device="cpu", engine="torch", frames=12, preset="ultrafast", start="0.4"
    )
    return bench(film, options, lambda *step: steps.append(step)), steps


def test_every_stage_and_floor_and_the_whole_render_are_measured(measured):
    found, _ = measured
    assert list(found.stages) == STAGES
    assert list(found.floors) == FLOORS
    assert all(cost.wall_seconds > 0 for cost in (*found.stages.values(), *found.floors.values()))
    assert 0 < found.whole.start_cpu_seconds < found.whole.cpu_seconds
    assert found.whole.peak_bytes > 100 * 2**20  # torch alone is as large


def test_the_render_has_as_many_frames_as_were_asked_for_from_start_on(measured):
    assert measured[0].whole.frame_count == 12


def test_progress_counts_to_the_last_step_but_one_while_that_is_done(measured):
    _, steps = measured
    assert [done for done, _ in steps] == list(range(len(steps)))
    assert {total for _, total in steps} == {len(steps)}


def test_json_begins_with_the_ratios_and_holds_everything(measured):
    found, _ = measured
    told = json.loads(found.to_json())
    assert list(told)[:2] == ["vidcolor", "ratios"]
    assert told["stages"]["shots"]["cpu_seconds"] == found.stages["shots"].cpu_seconds
    assert told["whole"]["peak_bytes"] == found.whole.peak_bytes


def test_tables_show_milliseconds_of_every_stage_floor_and_sum(measured):
    found, _ = measured
    rows = {row[0]: row[1:] for row in found.cost_table()[1]}
    expected = f"{1000 * found.stages['stabilise'].cpu_seconds:.1f}"
    assert rows["stabilise"][0] == expected
    assert {"all stages", "render", *(f"floor: {name}" for name in FLOORS)} < set(rows)


@given(st.lists(costs, min_size=3, max_size=3), costs, st.floats(0, 0.9), st.integers(1, 500))
def test_ratios_are_of_a_frame_without_the_start(some, whole, start_share, frames):
    decode, transcode, network = some
    found = Bench(
        film=None, width=64, height=36, network_size=(36, 64), codec="libx264", codec_options={},
        device="cpu", engine="torch", cores=2,
        stages={"one": decode, "two": network},
        floors={"decode alone": decode, "transcode": transcode, "network alone": network},
        whole=Whole(
            frames * whole.cpu_seconds / (1 - start_share), frames * whole.wall_seconds,
            frame_count=frames,
            start_cpu_seconds=frames * whole.cpu_seconds / (1 - start_share) * start_share,
        ),
    )  # fmt: skip
    ratios = found.ratios()
    both = ratios["render / transcode + network alone"]
    floor = transcode.cpu_seconds + network.cpu_seconds
    assert both.cpu_seconds == pytest.approx(whole.cpu_seconds / floor)
    wall = ratios["render / transcode"].wall_seconds
    assert wall == pytest.approx(whole.wall_seconds / transcode.wall_seconds)
    stages = ratios["render / its stages one by one"].cpu_seconds
    assert stages == pytest.approx(whole.cpu_seconds / (decode.cpu_seconds + network.cpu_seconds))


def test_replayed_stages_make_the_very_frames_of_a_render(film, model, tmp_path):
    options = BenchOptions(model=model, device="cpu", engine="torch", codec="ffv1", frames=HELD)
    job = resolve_job(film, options)
    plan = check_output(job.film, tmp_path / "out.mkv", options, Changes())
    replayed = replay(job, plan, options.frames, lambda _: None)
    render(film, plan.out, replace(options, end=str(replayed.end_seconds)))
    assert planes(tmp_path / plan.segment_name(0)) == planes(plan.out)


def planes(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


def test_network_is_asked_again_all_that_it_was_asked_and_then_no_more(
    film, model, tmp_path, monkeypatch
):
    asked: list[tuple[str, str]] = []
    stage = ["before"]

    def counting(name):
        true = getattr(TemporalUNet, name)

        def count(*inputs):
            asked.append((stage[0], name))
            return true(*inputs)

        return count

    for name in ("encode", "decode"):
        monkeypatch.setattr(TemporalUNet, name, counting(name))
    options = BenchOptions(model=model, device="cpu", engine="torch", frames=9)
    job = resolve_job(film, options)
    plan = check_output(job.film, tmp_path / "out.mkv", options, Changes())
    replay(job, plan, options.frames, lambda name: stage.insert(0, name))
    times = Counter(asked)
    assert times == {
        ("luma resize", "encode"): 9,
        ("luma resize", "decode"): 9,
        ("encode features", "encode"): 9,
        ("decode chroma", "decode"): 9,
    }


def test_stages_hold_the_first_frames_only_however_many_are_decoded(
    film, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("vidcolor.bench.stages.HELD", 5)
    options = BenchOptions(model=model, device="cpu", engine="torch", frames=20, codec="ffv1")
    job = resolve_job(film, options)
    plan = check_output(job.film, tmp_path / "out.mkv", options, Changes())
    monkeypatch.setattr("vidcolor.bench.stages.timed", lambda work: (work(), Cost(60, 120)))
    replayed = replay(job, plan, options.frames, lambda _: None)
    assert replayed.frame_count == 20
    assert replayed.stages["decode"] == Cost(3, 6)
    assert replayed.stages["merge"] == replayed.stages["shots"] == Cost(12, 24)
    assert replayed.network == Cost(24, 48)
    assert len(planes(tmp_path / plan.segment_name(0))) == 5


def test_floors_are_ffmpeg_with_the_renders_settings_on_the_same_frames(
    film, model, tmp_path, monkeypatch
):
    said, program = tmp_path / "said", tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\nexec {find_ffmpeg()} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("VIDCOLOR_FFMPEG", str(program))
    options = BenchOptions(
        model=model,
        device="cpu",
        engine="torch",
        frames=3,
        codec="libx265",
        crf=30,
        preset="fast",
        start="0.4",
    )
    bench(film, options)
    decode, transcode = said.read_text().splitlines()
    for words in (decode, transcode):
        assert " -ss 0.400000 " in words
        assert " -frames:v 3 " in words
    assert decode.endswith("-f null -")
    assert "-c:v libx265" in transcode
    assert "-preset fast -crf 30" in transcode


@pytest.mark.parametrize("count", [1, 7, 60])
def test_the_end_lies_between_the_last_frame_and_the_next(film, model, tmp_path, count):
    options = BenchOptions(model=model, device="cpu", engine="torch", frames=count)
    job = resolve_job(film, options)
    plan = check_output(job.film, tmp_path / "out.mkv", options, Changes())
    replayed = replay(job, plan, options.frames, lambda _: None)
    assert replayed.frame_count == count
    end = Fraction(replayed.end_seconds)
    assert len(list(read_frames(job.film, end=end))) == count


def test_a_film_without_a_frame_in_the_span_is_one_error(film, model):
    with pytest.raises(InputError, match=r"no frame between --start and --end; choose"):
        bench(film, BenchOptions(model=model, device="cpu", start="100"))


def test_without_ffmpeg_it_says_so_before_it_measures(monkeypatch):
    monkeypatch.setenv("VIDCOLOR_FFMPEG", "no-such-ffmpeg")
    monkeypatch.setattr("vidcolor.bench.bench.draw_reel", None)  # and draws no film
    with pytest.raises(InputError, match="is not a program; fix or unset VIDCOLOR_FFMPEG"):
        bench(None, BenchOptions())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "--frames 0: must be 1 or more"),
        ({"height": 62}, "--height 62: must be even, between 64"),
        ({"height": 65}, "--height 65: must be even"),
        ({"height": 4322}, "--height 4322: must be even, between 64 and 4320"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(OptionsError, match=message):
        BenchOptions(**wrong)


def test_command_prints_tables_or_json(monkeypatch, capsys, measured):
    monkeypatch.setattr("vidcolor.bench.bench.bench", lambda *_: measured[0])
    assert app.run(["bench"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("render / transcode") < shown.index("milliseconds per frame")
    assert "frames per second" in shown
    assert app.run(["bench", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cores"] == measured[0].cores


def test_cpu_time_counts_every_thread_and_no_sleep():
    own: list[float] = []

    def burn_own() -> None:
        while thread_time() < 0.2:
            pass
        own.append(thread_time())

    def work() -> None:
        threads = [threading.Thread(target=burn_own) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threading.Event().wait(0.3)

    _, cost = timed(work)
    assert sum(own) <= cost.cpu_seconds < sum(own) + 0.2
    assert cost.wall_seconds >= 0.3


def test_a_command_is_charged_with_its_own_cpu_time_alone():
    burn(0.3)
    timed_command([sys.executable, "-c", "sum(range(10**7))"])  # another one's is not counted
    begun = perf_counter()
    cost = timed_command([sys.executable, "-c", "while __import__('time').process_time() < .3: 0"])
    assert 0.3 <= cost.cpu_seconds < 0.3 + 0.2
    assert cost.wall_seconds <= perf_counter() - begun


def test_a_command_that_fails_is_an_error_with_its_last_line():
    with pytest.raises(InputError, match="failed: why; run it by hand"):
        timed_command(["sh", "-c", "echo what >&2; echo why >&2; exit 1"])


def test_peak_memory_stays_after_it_was_given_back():
    before = peak_bytes()
    held = np.ones(before + 2**26, np.uint8)
    del held
    assert peak_bytes() > before + 2**26


def test_drawn_film_has_the_size_and_length_asked_for_and_is_the_same_each_time(tmp_path):
    first, second = (
        draw_reel(tmp_path / name, height=90, frame_count=5) for name in ("a.mp4", "b.mp4")
    )
    film = probe(first)
    frames = list(read_frames(film))
    assert (film.width, film.height, film.rate, len(frames)) == (160, 90, Fraction(RATE), 5)
    assert planes(first) == planes(second)


def test_drawn_film_is_grainy_and_keeps_to_the_limited_range(tmp_path):
    film = draw_reel(tmp_path / "film.mp4", height=720, frame_count=1)
    luma_hw = next(read_frames(probe(film))).luma.astype(float)
    scene_hw = cv2.resize(next(scenes.frames(60)), (1280, 720), interpolation=cv2.INTER_CUBIC)
    assert 1.5 < (luma_hw - scene_hw).std() < 2.5
    assert luma_hw.min() >= 10
    assert luma_hw.max() <= 240
