"""The straight line, with a real network of few channels: the promises of `render`."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.clips import audio_packets_of, draw_clip, luma_of, times_of
from tests.models import NOISY, NOISY_FAMILY
from vidcolor.color import rgb_from_ycbcr
from vidcolor.errors import InputError, ModelError, OutputError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.network.families import FAMILIES
from vidcolor.network.weights import save_model
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import render


def _render(film: Path, name: str, model: str, **changes) -> Path:
    options = {"model": model, "codec": "ffv1", "device": "cpu"} | changes
    out = film.with_name(name)
    render(film, out, RenderOptions(**options))
    return out


def _chroma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="yuv444p")[1:] for f in container.decode(video=0)]


def _exact_chroma(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(f.planes[1]) + bytes(f.planes[2]) for f in container.decode(video=0)]


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (160, 90)])
def test_luma_is_unchanged_by_rendering_and_color_is_added(draw, model, size):
    film = draw("film.mkv", frames=5, width=size[0], height=size[1], codec="ffv1",
                pix_fmt="yuv420p" if size[0] % 2 == 0 else "gray")  # fmt: skip
    out = _render(film, "out.mkv", model)
    for before, after in zip(luma_of(film), luma_of(out), strict=True):
        np.testing.assert_array_equal(before, after)
    assert max(np.abs(c.astype(int) - 128).max() for c in _chroma(out)) > 4


def test_times_and_sound_are_those_of_the_film(draw, model):
    film = draw("film.mp4", frames=12, audio=2, first_seconds=0.5)
    out = _render(film, "out.mp4", model, codec="libx264", preset="ultrafast")
    assert times_of(out) == times_of(film)
    assert audio_packets_of(out) == audio_packets_of(film)


def test_a_film_of_two_shots_is_colored_as_its_halves_are(tmp_path, model):
    whole = draw_clip(
        tmp_path / "whole.mkv", frames=12, cuts=(6,), codec="ffv1", width=96, height=64
    )
    together = _exact_chroma(_render(whole, "together.mkv", model))
    halves = [
        _exact_chroma(_render(whole, f"{start}.mkv", model, start=start, end=end))
        for start, end in (("0", "0.24"), ("0.24", "0.48"))
    ]
    assert [len(half) for half in halves] == [6, 6]
    assert together == halves[0] + halves[1]


def test_colors_are_held_steady_unless_told_otherwise(draw, model, monkeypatch):
    colorize = Colorizer.colorize

    def trembling(*seen, **how):
        for number, colored in enumerate(colorize(*seen, **how)):
            yield replace(colored, chroma_2hw=colored.chroma_2hw + np.float32(0.03 * (number % 2)))

    monkeypatch.setattr(Colorizer, "colorize", trembling)
    film = draw("film.mkv", frames=8, codec="ffv1")
    changes = []
    for stabilize in (0.0, 0.5, 1.0):
        chroma = np.stack(_chroma(_render(film, f"{stabilize}.mkv", model, stabilize=stabilize)))
        changes.append(np.abs(np.diff(chroma.astype(int), axis=0)).mean())
    assert changes[0] > 2 * changes[1] > 2 * changes[2]
    steadied = _exact_chroma(film.with_name("1.0.mkv"))
    assert _exact_chroma(_render(film, "as-it-is.mkv", model)) == steadied


def test_saturation_zero_is_the_grey_film(draw, model):
    film = draw("film.mkv", frames=3, codec="ffv1")
    out = _render(film, "out.mkv", model, saturation=0.0)
    assert all((chroma == 128).all() for chroma in _chroma(out))


def test_more_saturation_never_leaves_the_gamut(draw, model):
    film = draw("film.mkv", frames=2, codec="ffv1", pix_fmt="yuv444p", matrix=6)
    out = _render(film, "out.mkv", model, saturation=4.0)
    with av.open(str(out)) as container:
        for frame in container.decode(video=0):
            planes = frame.to_ndarray().astype(np.float32)
            luma = torch.from_numpy((planes[:1] - 16) / 219).clamp(0, 1)
            rgb = rgb_from_ycbcr(luma, torch.from_numpy((planes[1:] - 128) / 224), "bt601")
            # Half a code of rounding, times 1.772, the largest factor in BT.601.
            assert rgb.min() > -0.005
            assert rgb.max() < 1.005


def test_progress_counts_every_frame_once(draw, model):
    film = draw("film.mp4", frames=40)
    done: list[int] = []
    render(
        film,
        film.with_name("out.mp4"),
        RenderOptions(model=model, device="cpu", preset="ultrafast"),
        on_frame=done.append,
    )
    assert done == list(range(1, 41))


def test_a_failure_leaves_neither_result_nor_leftovers(draw, model, monkeypatch):
    film = draw("film.mp4", frames=8)

    def stop(frame_count: int) -> None:
        if frame_count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(film, film.with_name("out.mp4"), RenderOptions(model=model), on_frame=stop)
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


def test_bad_input_output_and_model_are_told_apart(draw, model):
    film = draw("film.mp4", frames=3)
    with pytest.raises(InputError, match="no such file"):
        render(film.with_name("none.mp4"), film.with_name("o.mp4"), RenderOptions(model=model))
    with pytest.raises(OutputError, match="film itself"):
        render(film, film, RenderOptions(model=model))
    with pytest.raises(ModelError, match="not found"):
        render(film, film.with_name("o.mp4"), RenderOptions(model="nobody"))
    with pytest.raises(InputError, match="no frame between --start 50"):
        render(film, film.with_name("o.mp4"), RenderOptions(model=model, start="50"))


def test_a_film_with_colors_of_its_own_is_said_to_lose_them(draw, model, caplog):
    caplog.set_level("INFO", "vidcolor")
    _render(draw("grey.mp4", frames=30), "grey-out.mkv", model)
    assert "its own colors" not in caplog.text
    film = draw("color.mp4", frames=50, is_color=True)
    _render(film, "color-out.mkv", model)
    assert caplog.text.count(f"{film}: its own colors are replaced") == 1


def test_the_same_seed_gives_the_same_film_and_another_one_another(draw, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, NOISY.family, NOISY_FAMILY)
    save_model(NOISY, NOISY.build_network(), tmp_path / "noisy")
    film = draw(frames=5)
    first, again, other = (
        _exact_chroma(_render(film, f"{name}.mkv", str(tmp_path / "noisy"), seed=seed))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))
