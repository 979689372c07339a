"""A render that is cut short goes on, and ends as one that was left alone."""

import errno
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.clips import HARD_TO_ENTER, audio_packets_of, times_of
from tests.models import TINY, Embedding
from tests.reels import draw_dissolves
from vidcolor.errors import ModelError, OutputError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.network.architectures.temporal_unet import TemporalUNet
from vidcolor.network.families import FAMILIES
from vidcolor.network.weights import save_model
from vidcolor.options.render import RenderOptions
from vidcolor.pipeline import segment_writer
from vidcolor.pipeline.stabilizer import reach
from vidcolor.rendering.render import Rendered, render
from vidcolor.rendering.workdir import folder_of

CUTS = (30, 70, 95)
FRAMES = 130


def _render(film: Path, name: str, model: str, on_frame=None, **changes) -> Rendered:
    options = {"model": model, "codec": "ffv1", "device": "cpu"} | changes
    return render(film, film.with_name(name), RenderOptions(**options), on_frame=on_frame)


def _cut_short(film: Path, name: str, model: str, at: int, **changes) -> None:
    def stop(done: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _render(film, name, model, stop, **changes)


def _pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [
            b"".join(bytes(plane) for plane in frame.planes) for frame in container.decode(video=0)
        ]


FILMS: dict[str, dict[str, Any]] = {
    "film.mp4": {"audio": 1},
    **HARD_TO_ENTER,
    "mpeg4.avi": {"codec": "mpeg4", "codec_options": {"bf": "2", "g": "15"}},
    "late.mkv": {"first_seconds": Fraction(3, 2), "codec": "ffv1"},
}


@pytest.mark.parametrize("name", FILMS)
def test_a_film_cut_short_anywhere_ends_as_if_it_had_not_been(draw, model, name):
    film = draw(name, frames=FRAMES, cuts=CUTS, **FILMS[name])
    whole = _render(film, "whole.mkv", model)
    assert whole.segment_count >= 4
    for at in (20, 41, 72, FRAMES):
        _cut_short(film, "out.mkv", model, at)
    resumed = _render(film, "out.mkv", model)
    assert 95 <= resumed.resumed_frame_count < FRAMES
    assert _pictures(resumed.out) == _pictures(whole.out)
    assert times_of(resumed.out) == times_of(whole.out)
    assert audio_packets_of(resumed.out) == audio_packets_of(whole.out)
    assert not folder_of(resumed.out).exists()


def test_where_a_run_went_on_cannot_be_seen_in_dissolves(tmp_path, model):
    film = draw_dissolves(tmp_path / "film.mkv")
    whole = _render(film, "whole.mkv", model)
    assert (whole.shot_count, whole.segment_count) == (4, 4)
    for at in (75, 115):
        _cut_short(film, "out.mkv", model, at)
    assert _pictures(_render(film, "out.mkv", model).out) == _pictures(whole.out)


def test_a_long_shot_is_divided_and_goes_on_within_itself(draw, model, caplog):
    film = draw("film.mkv", frames=260, codec="ffv1")
    whole = _render(film, "whole.mkv", model, batch=4)
    assert (whole.segment_count, whole.shot_count) == (2, 1)
    _cut_short(film, "out.mkv", model, 250, batch=4)
    resumed = _render(film, "out.mkv", model, batch=4)
    assert resumed.resumed_frame_count == 240
    assert "anew" not in caplog.text
    assert _pictures(resumed.out) == _pictures(whole.out)


def test_going_on_takes_the_network_no_more_than_the_neighbours_of_what_is_left(
    draw, model, monkeypatch
):
    embedding = replace(FAMILIES["temporal-unet"], network=Embedding)
    monkeypatch.setitem(FAMILIES, "temporal-unet", embedding)
    film = draw("film.mkv", frames=270, codec="ffv1")
    whole = _render(film, "whole.mkv", model, engine="torch")
    _cut_short(film, "out.mkv", model, 250, engine="torch")
    encode, calls = Embedding.encode, []

    def counted(network, *seen):
        calls.append(seen)
        return encode(network, *seen)

    monkeypatch.setattr(Embedding, "encode", counted)
    assert _pictures(_render(film, "out.mkv", model, engine="torch").out) == _pictures(whole.out)
    first_of_its_segment, left = 1, 30
    assert len(calls) == first_of_its_segment + reach(1) + left


def test_where_a_run_went_on_cannot_be_seen_in_batches_either(draw, model):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    whole = _render(film, "whole.mkv", model, batch=4)
    _cut_short(film, "out.mkv", model, 60, batch=4)
    assert _pictures(_render(film, "out.mkv", model, batch=4).out) == _pictures(whole.out)


@pytest.mark.parametrize(("begun", "chosen"), [("onnx", "torch"), ("torch", "onnx")])
def test_auto_goes_on_with_the_engine_that_the_render_was_begun_with(
    draw, model, monkeypatch, begun, chosen
):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    whole = _render(film, "whole.mkv", model, engine=begun)
    _cut_short(film, "out.mkv", model, 75, engine=begun)
    with pytest.raises(OutputError, match=rf"--engine {begun}, not {chosen}"):
        _render(film, "out.mkv", model, engine=chosen)
    monkeypatch.setattr("vidcolor.pipeline.resolved_job.choose_engine", lambda *of: chosen)
    done = _render(film, "out.mkv", model)
    assert done.resumed_frame_count == 70
    assert _pictures(done.out) == _pictures(whole.out)


def test_progress_goes_on_where_it_was(draw, model):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    _cut_short(film, "out.mkv", model, 60)
    done: list[int] = []
    _render(film, "out.mkv", model, done.append)
    assert done == list(range(31, FRAMES + 1))


def test_an_interruption_says_how_to_go_on(draw, model, caplog):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    _cut_short(film, "out.mkv", model, 75)
    assert "70 frames are done; run the same command again to resume" in caplog.text


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"saturation": 0.5}, "--saturation 1.0, not 0.5"),
        ({"start": "0.2"}, "--start None, not 0.2"),
        ({"stabilize": 0.0}, "--stabilize 1.0, not 0.0"),
    ],
)
def test_another_option_does_not_go_on_unless_told_to_begin_anew(draw, model, changed, difference):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    _cut_short(film, "out.mkv", model, 75)
    with pytest.raises(OutputError, match=f"{difference}.*--restart"):
        _render(film, "out.mkv", model, **changed)
    assert _render(film, "out.mkv", model, restart=True, **changed).resumed_frame_count == 0


def test_another_film_or_model_does_not_go_on(draw, model, tmp_path):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    _cut_short(film, "out.mkv", model, 75)
    save_model(TINY, TINY.build_network(), tmp_path / "other")
    with pytest.raises(OutputError, match="another model"):
        _render(film, "out.mkv", str(tmp_path / "other"))
    draw("film.mkv", frames=FRAMES - 1, cuts=CUTS, codec="ffv1")
    with pytest.raises(OutputError, match="another film"):
        _render(film, "out.mkv", model)


def test_a_film_that_decodes_otherwise_than_before_begins_anew(draw, model, monkeypatch, caplog):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    whole = _render(film, "whole.mkv", model)
    monkeypatch.setattr(segment_writer, "checksum", lambda frame: 5)
    _cut_short(film, "out.mkv", model, 75)
    monkeypatch.undo()
    resumed = _render(film, "out.mkv", model)
    assert "decodes differently than before" in caplog.text
    assert _pictures(resumed.out) == _pictures(whole.out)


class ShortOfMemory:
    """A machine that has too little memory for more than so much at a time."""

    def __init__(self, monkeypatch, *, fits, error):
        self.calls = 0
        decode = TemporalUNet.decode

        def checked(network, previous, current, next_):
            self.calls += 1
            if self.calls > 10 and not fits(current):
                raise error
            return decode(network, previous, current, next_)

        monkeypatch.setattr(TemporalUNet, "decode", checked)


CPU_ERROR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
CUDA_ERROR = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize("error", [CPU_ERROR, CUDA_ERROR, MemoryError()])
def test_smaller_batches_are_taken_when_memory_runs_out(draw, model, monkeypatch, caplog, error):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    whole = _render(film, "whole.mkv", model, engine="torch")
    ShortOfMemory(monkeypatch, fits=lambda features: len(features[0]) < 3, error=error)
    done = _render(film, "out.mkv", model, batch=4, engine="torch")
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        "out of memory: continuing with --batch 2 --size 64 --device cpu"
    ]
    assert done.resumed_frame_count == 0
    for wanted, found in zip(_pictures(whole.out), _pictures(done.out), strict=True):
        codes = [np.frombuffer(plane, np.uint8).astype(int) for plane in (wanted, found)]
        assert np.abs(codes[0] - codes[1]).max() <= 1


def test_the_working_size_shrinks_only_as_far_as_allowed(draw, model, monkeypatch, caplog):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    ShortOfMemory(monkeypatch, fits=lambda features: features[0].shape[-2] < 48, error=CPU_ERROR)
    with pytest.raises(ModelError, match=r"runs out of memory at a working size"):
        _render(film, "out.mkv", model, size=128, min_size=80, engine="torch")
    done = _render(film, "out.mkv", model, size=128, min_size=48, engine="torch")
    assert done.frame_count == FRAMES
    assert "continuing with --batch 1 --size 54 --device cpu" in caplog.text


def test_a_full_gpu_hands_over_to_the_cpu_last(model, monkeypatch):
    colorizer = Colorizer.load(model, "cpu", size=96)
    monkeypatch.setattr(colorizer.network, "to", lambda device: colorizer.network)
    colorizer.device, colorizer.batch = torch.device("cuda"), 2
    steps = []
    while colorizer.reduce_memory(64):
        steps.append((colorizer.device.type, colorizer.batch, colorizer.size))
    assert steps == [
        ("cuda", 1, 96),
        ("cuda", 1, 72),
        ("cuda", 1, 64),
        ("cpu", 1, 96),
        ("cpu", 1, 72),
        ("cpu", 1, 64),
    ]


def test_other_errors_are_no_lack_of_memory(draw, model, monkeypatch):
    film = draw("film.mkv", frames=30)
    ShortOfMemory(monkeypatch, fits=lambda features: False, error=RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        _render(film, "out.mkv", model, engine="torch")


@pytest.mark.parametrize("where", ["before the rename", "after the rename"])
def test_a_render_killed_at_its_last_step_ends_by_the_same_command(draw, model, monkeypatch, where):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")
    whole = _render(film, "whole.mkv", model)
    rename = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if Path(target).name == "out.mkv":
            if where == "after the rename":
                rename(path, target)
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            _render(film, "out.mkv", model)
    assert folder_of(film.with_name("out.mkv")).exists()
    done = _render(film, "out.mkv", model)
    assert done.resumed_frame_count == FRAMES
    assert _pictures(done.out) == _pictures(whole.out)
    assert not folder_of(done.out).exists()


def test_a_disk_that_fills_up_loses_nothing_that_is_done(draw, model, monkeypatch):
    film = draw("film.mkv", frames=FRAMES, cuts=CUTS, codec="ffv1")

    def full(done: int) -> None:
        if done == 75:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        _render(film, "out.mkv", model, full)
    assert _render(film, "out.mkv", model).resumed_frame_count == 70
