"""Hints: a color at a place spreads to what belongs to it, and goes with it through the shot."""

import heapq
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.clips import TURNED, draw_clip, luma_of
from vidcolor.color import chroma_from_rgb
from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.guidance import hint_spreading
from vidcolor.guidance.hint_spreading import spread_hints
from vidcolor.guidance.hints import read_hints
from vidcolor.media.probe import probe
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import render

SIZE: dict[str, Any] = {"width": 96, "height": 64}
RED, BLUE = "#c03020", "#2030c0"


@pytest.fixture
def film(tmp_path) -> Path:
    """Two shots of ten grey frames: a light disc moves to the right over a dark ground."""
    return _discs(tmp_path / "film.mkv")


def _discs(path: Path, **clip) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv444p"
        if "display_matrix" in clip:
            video.set_display_matrix(clip["display_matrix"])
        for number in range(20):
            planes = np.full((3, 64, 96), 128, np.uint8)
            planes[0] = _disc(number)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def _is_disc(number: int) -> np.ndarray:
    y, x = np.mgrid[:64, :96]
    return np.hypot(x - 30 - 2 * (number % 10), y - 32) < 14


def _disc(number: int) -> np.ndarray:
    y, x = np.mgrid[:64, :96]
    random = np.random.default_rng(number)
    ground = np.where(number < 10, 60 + 4 * np.sin(x / 7) * np.sin(y / 5), 110 + x / 3)
    luma = np.where(_is_disc(number), 125 + 4 * np.sin(x / 3), ground)
    return (luma + random.normal(0, 1, luma.shape)).round().astype(np.uint8)


def _write(path: Path, *hints: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"hint": hints}))
    return path


def _render(film: Path, name: str, model: str, **changes) -> np.ndarray:
    options = {"model": model, "codec": "ffv1", "device": "cpu"} | changes
    out = film.with_name(name)
    render(film, out, RenderOptions(**options))
    with av.open(str(out)) as container:
        frames = [f.to_ndarray(format="yuv444p")[1:] for f in container.decode(video=0)]
    return np.stack(frames).astype(int) - 128


def _codes(color: str) -> np.ndarray:
    rgb = torch.tensor(list(bytes.fromhex(color[1:])))[:, None, None] / 255
    return chroma_from_rgb(rgb, "bt601").flatten().numpy() * 224


def test_a_hint_colors_its_object_through_the_shot_and_nothing_else(film, model):
    automatic = _render(film, "automatic.mkv", model)
    hints = _write(film.with_name("hints.json"), {"time": 0.2, "point": [40, 32], "color": RED})
    hinted = _render(film, "out.mkv", model, hints=hints)
    for number in range(10):
        inside = hinted[number][:, _is_disc(number)].mean(axis=1)
        np.testing.assert_allclose(inside, _codes(RED), atol=0.25 * np.abs(_codes(RED)).max())
        far = ~_is_disc(number) & ~_is_disc(number - 1) & ~_is_disc(number + 1)
        change = np.abs(hinted[number] - automatic[number])[:, far].mean()
        assert change < 0.1 * np.abs(_codes(RED)).max()
    np.testing.assert_array_equal(hinted[10:], automatic[10:])


def test_each_hint_colors_its_own(film, model):
    hints = _write(
        film.with_name("hints.json"),
        {"time": "0:00.2", "point": [40, 32], "color": RED},
        {"time": 0.2, "box": [2, 2, 80, 8], "color": BLUE},
        {"time": 0.36, "box": [2, 50, 80, 8], "color": BLUE},
    )
    hinted = _render(film, "out.mkv", model, hints=hints)
    for number in (0, 5, 9):
        disc, ground = _is_disc(number), ~_is_disc(number)
        assert np.abs(hinted[number][:, disc].mean(axis=1) - _codes(RED)).max() < 16
        ground[:, 80:] = False
        assert np.abs(hinted[number][:, ground].mean(axis=1) - _codes(BLUE)).max() < 25


def test_no_hint_of_a_shot_is_forgotten_for_later_ones(film, model):
    disc = {"time": 0.0, "point": [30, 32], "color": RED}
    ground = [{"time": n / 25, "point": [88, 60], "color": BLUE} for n in range(3, 9)]
    hints = _write(film.with_name("hints.json"), disc, *ground)
    hinted = _render(film, "out.mkv", model, hints=hints)
    assert np.abs(hinted[9][:, _is_disc(9)].mean(axis=1) - _codes(RED)).max() < 16


def test_hints_go_over_references_and_luma_stays(film, model):
    from cv2 import imwrite

    green = np.zeros((64, 96, 3), np.uint8) + np.array([30, 150, 40], np.uint8)
    luma = (_disc(5)[..., None].astype(float) - 16) / 219 * 255
    picture = np.clip(luma + green - green.mean(), 0, 255).astype(np.uint8)
    imwrite(str(film.with_name("frame.png")), picture[..., ::-1])
    reference = (f"{film.with_name('frame.png')}@0.2",)
    hints = _write(film.with_name("hints.json"), {"time": 0.2, "point": [40, 32], "color": RED})
    referred = _render(film, "referred.mkv", model, reference=reference)
    both = _render(film, "both.mkv", model, reference=reference, hints=hints)
    disc, far = _is_disc(5), np.s_[:, :, :16]
    assert np.abs(both[5][:, disc].mean(axis=1) - _codes(RED)).max() < 16
    np.testing.assert_allclose(both[5][far], referred[5][far], atol=4)
    for before, after in zip(luma_of(film), luma_of(film.with_name("both.mkv")), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_point_is_meant_as_the_film_is_shown(tmp_path, model):
    plain, turned = _discs(tmp_path / "a.mkv"), _discs(tmp_path / "b.mkv", display_matrix=TURNED)
    hint = {"time": 0.2, "box": [35, 20, 10, 6], "color": RED}
    shown = {"time": 0.2, "box": [64 - 20 - 6, 35, 6, 10], "color": RED}
    first, second = (
        _render(path, f"{path.stem}-out.mkv", model, hints=_write(path.with_suffix(".json"), box))
        for path, box in ((plain, hint), (turned, shown))
    )
    np.testing.assert_array_equal(first, second)


def test_toml_and_json_say_the_same(film, tmp_path):
    as_json = _write(
        tmp_path / "hints.json",
        {"time": 1.1, "point": [1, 2.5], "color": RED},
        {"time": "0:01.1", "box": [3, 4, 5, 6], "color": BLUE},
    )
    as_toml = tmp_path / "hints.toml"
    as_toml.write_text(
        f'[[hint]]\ntime = 1.1\npoint = [1, 2.5]\ncolor = "{RED}"\n\n'
        f'[[hint]]\ntime = "0:01.1"\nbox = [3, 4, 5, 6]\ncolor = "{BLUE}"\n'
    )
    found = read_hints(as_json, probe(film)).by_time()
    assert found == read_hints(as_toml, probe(film)).by_time()
    assert list(found) == [Fraction("1.1")]
    assert [hint.box for hint in found[Fraction("1.1")]] == [(1, 2.5, 0, 0), (3, 4, 5, 6)]


GOOD = {"time": 1, "point": [1, 2], "color": RED}


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (GOOD | {"colour": RED}, "unknown 'colour'"),
        (GOOD | {"color": "red"}, "'red' is not a color"),
        (GOOD | {"color": 3}, "3 is not a color"),
        (GOOD | {"time": "noon"}, "not a time"),
        (GOOD | {"point": [96, 2]}, "96x64 pixels"),
        (GOOD | {"point": [-1, 2]}, "outside the picture"),
        (GOOD | {"point": [1]}, "point = "),
        (GOOD | {"point": ["a", 1]}, "point = "),
        (GOOD | {"point": "1,2"}, "point = "),
        (GOOD | {"box": [1, 2, 3, 4]}, "either point or box"),
        ({"time": 1, "color": RED}, "either point or box"),
        ({"time": 1, "box": [1, 2, 0, 4], "color": RED}, "box = "),
        ({"point": [1, 2], "color": RED}, "time, color"),
        (3, "unknown 3"),
    ],
)
def test_a_hint_that_cannot_be_meant_is_named_by_its_number(film, tmp_path, hint, message):
    path = _write(tmp_path / "hints.json", GOOD, hint)
    with pytest.raises(OptionsError, match="hint 2: ") as failure:
        read_hints(path, probe(film))
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("none.toml", None, InputError, "No such file"),
        ("bad.toml", "[[hint", InputError, "is not valid TOML"),
        ("bad.json", "{", InputError, "is not valid JSON"),
        ("bytes.toml", "\udcff", InputError, "not UTF-8 text"),
        ("empty.toml", "", OptionsError, "must contain hints only"),
        ("other.json", "[1]", OptionsError, "must contain hints only"),
        ("more.json", '{"hint": [{}], "x": 1}', OptionsError, "must contain hints only"),
    ],
)
def test_a_file_that_holds_no_hints_is_refused(film, model, name, text, kind, message):
    path = film.with_name(name)
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(kind, match=message) as failure:
        _render(film, "out.mkv", model, hints=path)
    assert "\n" not in str(failure.value)
    assert not film.with_name("out.mkv").exists()


def test_a_render_goes_on_with_the_same_hints_alone(tmp_path, model):
    film = draw_clip(tmp_path / "film.mkv", frames=60, cuts=(30,), codec="ffv1", **SIZE)
    hints = _write(tmp_path / "hints.json", {"time": 1.4, "point": [40, 32], "color": RED})
    whole = _render(film, "whole.mkv", model, hints=hints)

    def stop(done: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"model": model, "codec": "ffv1", "device": "cpu"}
    out = tmp_path / "out.mkv"
    with pytest.raises(KeyboardInterrupt):
        render(film, out, RenderOptions(**options, hints=hints), on_frame=stop)
    other = _write(tmp_path / "other.json", {"time": 1.4, "point": [41, 32], "color": RED})
    for wrong in (None, other):
        with pytest.raises(OutputError, match="hints"):
            render(film, out, RenderOptions(**options, hints=wrong))
    np.testing.assert_array_equal(_render(film, "out.mkv", model, hints=hints), whole)


sides = st.integers(1, 7)
lumas = arrays(np.float32, st.tuples(sides, sides), elements=st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(lumas, st.data())
def test_ways_are_the_shortest_there_are(luma_hw, data):
    place_hw = np.zeros(luma_hw.shape, bool)
    place_hw[tuple(data.draw(st.integers(0, n - 1)) for n in luma_hw.shape)] = True
    found = hint_spreading._ways(luma_hw.astype(float), place_hw)
    np.testing.assert_allclose(found, _dijkstra(luma_hw.astype(float), place_hw), atol=0.01)


def _dijkstra(luma_hw: np.ndarray, place_hw: np.ndarray) -> np.ndarray:
    """Return the same, pixel by pixel."""
    step = 1 / (hint_spreading.EVEN_REACH * min(luma_hw.shape))
    ways_hw = np.where(place_hw, 0.0, np.inf)
    heap = [(0.0, int(y), int(x)) for y, x in np.argwhere(place_hw)]
    while heap:
        way, y, x = heapq.heappop(heap)
        for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= near[0] < luma_hw.shape[0] and 0 <= near[1] < luma_hw.shape[1]:
                longer = way + step + abs(luma_hw[near] - luma_hw[y, x]) / hint_spreading.CONTRAST
                if longer < ways_hw[near]:
                    ways_hw[near] = longer
                    heapq.heappush(heap, (longer, *near))
    return ways_hw


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_spread_color_lies_between_the_hints_and_is_known_where_they_are(seed, count):
    random = np.random.default_rng(seed)
    luma_hw = random.random((12, 17), dtype=np.float32)
    places = np.zeros((count, 12, 17), bool)
    for place_hw in places:
        place_hw[random.integers(12), random.integers(17)] = True
    chroma = [tuple(pair) for pair in random.uniform(-0.5, 0.5, (count, 2))]
    chroma_2hw, weight_hw = spread_hints(luma_hw, list(places), chroma)
    assert (weight_hw[places.any(axis=0)] == 1).all()
    assert ((weight_hw >= 0) & (weight_hw <= 1)).all()
    for plane_hw, values in zip(chroma_2hw, zip(*chroma, strict=True), strict=True):
        assert plane_hw.min() >= min(values) - 1e-5
        assert plane_hw.max() <= max(values) + 1e-5


def test_color_fills_an_even_region_and_stops_at_its_edge():
    luma_hw = np.full((40, 60), 0.3, np.float32)
    luma_hw[:, 30:] = 0.6
    luma_hw += np.random.default_rng(0).normal(0, 0.01, luma_hw.shape).astype(np.float32)
    place_hw = np.zeros(luma_hw.shape, bool)
    place_hw[20, 10] = True
    _, weight_hw = spread_hints(luma_hw, [place_hw], [(0.1, 0.2)])
    assert weight_hw[:, :28].min() > 0.3
    assert weight_hw[:, :28].mean() > 0.6
    assert weight_hw[:, 32:].max() < 0.01
