"""Frames colored by hand: their colors go through their shots, and nowhere else."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clips import TURNED, draw_clip, luma_of, picture
from vidcolor.color import chroma_from_rgb
from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.guidance.exemplar import NEAR_SECONDS, Given, Known, Span
from vidcolor.guidance.feature_matching import Cells, cells_of, grid_of, match, sureness
from vidcolor.guidance.find_frames import find_shown
from vidcolor.guidance.reference_images import find_pictures
from vidcolor.media.decode import read_frames, unit_luma
from vidcolor.media.probe import probe
from vidcolor.network.families import FAMILIES
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import render
from vidcolor.shots.segments import divide

SIZE: dict[str, Any] = {"width": 96, "height": 64}


@pytest.fixture
def film(tmp_path) -> Path:
    """Two shots of ten frames, in grey."""
    return draw_clip(
        tmp_path / "film.mkv", frames=20, cuts=(10,), codec="ffv1", pix_fmt="yuv444p", **SIZE
    )


def _save(path: Path, rgb: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def _frame(path: Path, number: int, shot: int = 0) -> Path:
    return _save(path, picture(number, shot, **SIZE))


def _chroma(path: Path) -> np.ndarray:
    """Return the Cb, Cr codes of all frames (n, 2, h, w)."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="yuv444p")[1:] for f in container.decode(video=0)]
    return np.stack(frames).astype(int)


def _render(film: Path, name: str, model: str, *references: object, **changes) -> np.ndarray:
    words = tuple(str(reference) for reference in references)
    options = {"model": model, "codec": "ffv1", "device": "cpu", "reference": words} | changes
    out = film.with_name(name)
    render(film, out, RenderOptions(**options))
    return _chroma(out)


def _truth(film: Path, **clip) -> np.ndarray:
    wanted: dict[str, Any] = {
        "codec": "ffv1",
        "pix_fmt": "yuv444p",
        "is_color": True,
        **SIZE,
    } | clip
    return _chroma(draw_clip(film.with_name("truth.mkv"), **wanted))


def _errors(result: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the mean error of each frame, codes."""
    return np.abs(result - truth).mean(axis=(1, 2, 3))


def test_a_reference_brings_its_colors_to_its_whole_shot_back_and_forth(film, model):
    truth = _truth(film, frames=20, cuts=(10,))
    automatic = _errors(_render(film, "automatic.mkv", model), truth)
    reference = _frame(film.with_name("frame.png"), 5)
    referred = _errors(_render(film, "out.mkv", model, f"{reference}@0.2"), truth)
    assert referred[5] < 0.15 * automatic[5]
    assert (referred[:10] < 0.4 * automatic[:10]).all()


def test_no_given_color_crosses_a_cut(film, model):
    automatic = _render(film, "automatic.mkv", model)
    reference = _frame(film.with_name("frame.png"), 5)
    referred = _render(film, "out.mkv", model, f"{reference}@0.2")
    np.testing.assert_array_equal(referred[10:], automatic[10:])
    assert (referred[:10] != automatic[:10]).any(axis=(1, 2, 3)).all()
    second = _frame(film.with_name("second.png"), 19, shot=1)
    both = _render(film, "both.mkv", model, f"{reference}@0.2", f"{second}@0.76")
    np.testing.assert_array_equal(both[:10], referred[:10])
    np.testing.assert_array_equal(both[10:], _render(film, "2.mkv", model, f"{second}@0.76")[10:])


def test_a_picture_without_a_time_serves_all_shots_that_look_like_it(film, model):
    truth = _truth(film, frames=20, cuts=(10,))
    automatic = _errors(_render(film, "automatic.mkv", model), truth)
    references = [_frame(film.with_name(f"{shot}.png"), 12, shot) for shot in (0, 1)]
    referred = _errors(_render(film, "out.mkv", model, *references), truth)
    assert (referred < 0.6 * automatic).all()


def test_luma_is_unchanged_by_references(film, model):
    reference = _frame(film.with_name("frame.png"), 5)
    _render(film, "out.mkv", model, f"{reference}@0.2", saturation=3.0)
    for before, after in zip(luma_of(film), luma_of(film.with_name("out.mkv")), strict=True):
        np.testing.assert_array_equal(before, after)


def test_what_a_reference_does_not_show_keeps_the_networks_color(film):
    span = {"start": "0.2", "end": "0.28"}
    automatic = _render(film, "automatic.mkv", "default", **span)
    noise = np.random.default_rng(1).integers(0, 255, (8, 12, 3), np.uint8)
    reference = _save(film.with_name("noise.png"), noise.repeat(8, axis=0).repeat(8, axis=1))
    referred = _render(film, "out.mkv", "default", reference, **span)
    chroma = chroma_from_rgb(torch.from_numpy(noise.transpose(2, 0, 1) / 255), "bt601")
    strange = chroma.abs().mean().item() * 255
    assert np.abs(referred - automatic).mean() < 0.25 * strange


def test_a_resumed_render_with_references_equals_an_uninterrupted_one(tmp_path, model):
    film = draw_clip(tmp_path / "film.mkv", frames=75, cuts=(30,), codec="ffv1", **SIZE)
    reference = _frame(tmp_path / "frame.png", 20)
    other = _frame(tmp_path / "other.png", 30, shot=1)
    words = (f"{reference}@0.8", f"{other}@2.0")
    whole = _render(film, "whole.mkv", model, *words)

    def stop(done: int) -> None:
        if done == 50:
            raise KeyboardInterrupt

    options = {"model": model, "codec": "ffv1", "device": "cpu"}
    out = film.with_name("out.mkv")
    with pytest.raises(KeyboardInterrupt):
        render(film, out, RenderOptions(**options, reference=words), on_frame=stop)
    for wrong in ((), words[:1], (words[0], f"{other}@1.9"), (words[0], f"{reference}@2.0")):
        with pytest.raises(OutputError, match="another reference"):
            render(film, out, RenderOptions(**options, reference=wrong))
    reference.rename(tmp_path / "moved.png")
    words = (words[1], f"{tmp_path / 'moved.png'}@0.80")
    resumed = render(film, out, RenderOptions(**options, reference=words))
    assert resumed.resumed_frame_count == 30
    np.testing.assert_array_equal(_chroma(out), whole)


def test_a_folder_holds_frames_by_time_and_by_number(film):
    folder = film.with_name("frames")
    for name in ("shot-2@00-00-00.52.png", "00007.png", "3@1-02.5.png", "any.png"):
        _frame(folder / name, 5)
    found = {p.path.name: p.seconds for p in find_pictures([str(folder)], probe(film))}
    assert found == {
        "shot-2@00-00-00.52.png": Fraction("0.52"),
        "00007.png": Fraction(7, 25),
        "3@1-02.5.png": Fraction("62.5"),
        "any.png": None,
    }


def test_a_name_may_hold_an_at_sign_and_a_time_may_follow_it(film):
    reference = _frame(film.with_name("me@home.png"), 5)
    words = [str(reference), f"{reference}@1:02.5"]
    assert [p.seconds for p in find_pictures(words, probe(film))] == [None, Fraction("62.5")]


def test_a_folder_gives_each_shot_its_own_frame(film, model):
    folder = film.with_name("frames")
    _frame(folder / "0005.png", 5)
    _frame(folder / "b@00-00.6.png", 15, shot=1)
    by_folder = _render(film, "folder.mkv", model, folder)
    words = (f"{folder / '0005.png'}@0.2", f"{folder / 'b@00-00.6.png'}@0.6")
    np.testing.assert_array_equal(by_folder, _render(film, "words.mkv", model, *words))


def test_frames_that_wait_for_their_colors_are_left_out_and_said(film, model, caplog):
    grey = picture(5, 0, **SIZE).mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    reference = _save(film.with_name("grey.png"), grey)
    automatic = _render(film, "automatic.mkv", model)
    np.testing.assert_array_equal(_render(film, "o.mkv", model, f"{reference}@0.2"), automatic)
    assert "has no color and was ignored" in caplog.text


def test_a_time_that_is_not_rendered_is_said(film, model, caplog):
    reference = _frame(film.with_name("frame.png"), 5)
    automatic = _render(film, "automatic.mkv", model)
    for seconds in ("0.8", "100"):
        out = _render(film, f"{seconds}.mkv", model, f"{reference}@{seconds}")
        np.testing.assert_array_equal(out, automatic)
    assert "the reference or hint at 0.800 s" in caplog.text
    assert "the reference or hint at 100.000 s" in caplog.text


def test_bad_references_are_told_before_anything_is_rendered(film, model):
    reference = _frame(film.with_name("frame.png"), 5)
    bad = film.with_name("bad.png")
    bad.write_bytes(b"no picture")
    empty = film.with_name("empty")
    empty.mkdir()
    for word, kind, message in (
        ("nobody.png@3", InputError, "no such picture or folder"),
        ("nobody.png", InputError, "no such picture or folder"),
        (f"{reference}@noon", OptionsError, "not a time"),
        (empty, InputError, "has no pictures"),
        (bad, InputError, "not a picture"),
    ):
        with pytest.raises(kind, match=message) as failure:
            _render(film, "out.mkv", model, word)
        assert "\n" not in str(failure.value)
    assert not film.with_name("out.mkv").exists()


def test_a_reference_is_meant_as_the_film_is_shown(tmp_path, model):
    clip: dict[str, Any] = {"frames": 3, "codec": "ffv1", "pix_fmt": "yuv444p", **SIZE}
    plain = draw_clip(tmp_path / "plain.mkv", **clip)
    turned = draw_clip(tmp_path / "turned.mkv", **clip, display_matrix=TURNED)
    reference = _frame(tmp_path / "frame.png", 1)
    shown = _save(tmp_path / "shown.png", np.rot90(picture(1, 0, **SIZE), -1))
    np.testing.assert_array_equal(
        _render(turned, "turned-out.mkv", model, f"{shown}@0.04"),
        _render(plain, "plain-out.mkv", model, f"{reference}@0.04"),
    )


def test_a_sidecar_gives_a_shot_its_references(film, model):
    _frame(film.with_name("frames") / "any.png", 5)
    sidecar = film.with_name("film.vidcolor.toml")
    sidecar.write_text('[[shot]]\nstart = 0\nend = 0.4\nreference = "frames/any.png"')
    by_sidecar = _render(film, "sidecar.mkv", model)
    assert (by_sidecar[10:] == _render(film, "a.mkv", model, sidecar="none")[10:]).all()
    words = [film.with_name("frames") / "any.png"]
    by_option = _render(film, "option.mkv", model, *words, sidecar="none")
    np.testing.assert_array_equal(by_sidecar[:10], by_option[:10])


def _shown(path: Path, *moments: str) -> dict[float, tuple[float, float, float | None]]:
    film = probe(path)
    places = divide(read_frames(film), luma=unit_luma)
    found = find_shown(places, map(Fraction, moments), half_frame=Fraction(1, 50))
    return {
        float(moment): (
            round(float(shown.seconds), 3),
            round(float(shown.shot.first), 3),
            None if shown.shot.end is None else round(float(shown.shot.end), 3),
        )
        for moment, shown in found.items()
    }


def test_a_moment_means_the_frame_that_is_shown_then_to_half_a_frame(film):
    assert _shown(film, "0.2", "0.219", "0.221", "0.36", "0.4", "0.78") == {
        0.2: (0.2, 0, 0.4),
        0.219: (0.2, 0, 0.4),
        0.221: (0.24, 0, 0.4),
        0.36: (0.36, 0, 0.4),
        0.4: (0.4, 0.4, None),
        0.78: (0.76, 0.4, None),
    }


def test_the_film_is_looked_through_no_further_than_to_the_end_of_the_last_shot_meant(film):
    drawn = []
    places = divide(read_frames(probe(film)), luma=unit_luma)
    watched = (drawn.append(place) or place for place in places)  # type: ignore[func-returns-value]
    find_shown(watched, [Fraction("0.2")], Fraction(1, 50))
    assert len(drawn) == 11


seconds = st.fractions(0, 1000, max_denominator=1000)


@given(seconds, seconds, seconds)
def test_the_nearer_known_frame_counts_more(own, first, second):
    first_given, second_given = (Given(_nothing, moment) for moment in (first, second))
    timeless = Given(_nothing)
    nearness = [g.nearness(own) for g in (first_given, second_given, timeless)]
    assert (nearness[0] >= nearness[1]) == (abs(own - first) <= abs(own - second))
    assert 0 < nearness[2] < min(nearness[:2])
    assert max(nearness) <= NEAR_SECONDS**-2


@given(seconds, seconds, st.none() | seconds)
def test_a_known_frame_counts_in_its_shot_alone(own, first, end):
    known = Given(_nothing, first, Span(first, end))
    assert (known.nearness(own) > 0) == (first <= own and (end is None or own < end))


def _nothing(height: int, width: int) -> Known:
    raise AssertionError("it is not read before it is needed")


looks = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.randn(6, 20, generator=torch.Generator().manual_seed(seed))
)


@settings(deadline=None)
@given(looks, looks, st.floats(0.1, 1e4))
def test_cells_find_values_that_lie_between_those_there_are(own, other, scale):
    frame, reference = (
        Cells((4, 5), torch.nn.functional.normalize(x * scale, dim=0)) for x in (own, other)
    )
    values = torch.rand(2, 20)
    found, alike = match(frame, reference, values)
    sure = sureness(alike)
    assert (found <= values.amax(1, keepdim=True) + 1e-5).all()
    assert (found >= values.amin(1, keepdim=True) - 1e-5).all()
    assert ((sure >= 0) & (sure <= 1)).all()
    assert (sureness(match(frame, frame, values)[1]) == 1).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_finds_a_shifted_picture_again(name):
    torch.manual_seed(0)
    network = FAMILIES[name].network(FAMILIES[name].config()).eval()
    wide = torch.nn.functional.interpolate(torch.rand(1, 1, 24, 40), size=(96, 160))
    pictures = [wide[..., :128], wide[..., 16:144]]
    grid = grid_of(96, 128)
    with torch.inference_mode():
        first, second = (
            cells_of(network.encode(network.frame(p), network.embed(p)), p, grid) for p in pictures
        )
    columns = torch.arange(grid[1]).float().expand(grid).flatten()[None]
    found, alike = match(second, first, columns)
    inner = (columns[0] < grid[1] * 0.7) & (columns[0] > 2)
    moved = (found - columns)[0, inner]
    assert (moved - 16 * grid[1] / 128).abs().median() < 1
    assert sureness(alike).mean() > 0.5


@pytest.mark.parametrize("luma", [0.0, 0.5])
def test_an_empty_picture_finds_nothing_and_breaks_nothing(luma):
    network = FAMILIES["temporal-unet"].network(FAMILIES["temporal-unet"].config()).eval()
    empty, full = torch.full((1, 1, 96, 128), luma), torch.rand(1, 1, 96, 128)
    with torch.inference_mode():
        own, other = (cells_of(network.encode(p), p, grid_of(96, 128)) for p in (empty, full))
    found, alike = match(own, other, torch.rand(3, other.looks_CN.shape[1]))
    assert torch.isfinite(found).all()
    assert sureness(alike).max() < 0.5
