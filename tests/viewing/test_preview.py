"""A preview shows frames as the render would show them, and reads little for that."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vidcolor.viewing.preview as preview_module
from tests.clips import draw_clip
from tests.faults import tiny_model
from tests.models import RESTLESS, RESTLESS_FAMILY
from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.guidance.open_guidance import open_given
from vidcolor.images.display import shown_picture
from vidcolor.media.decode import read_frames, unit_chroma, unit_luma
from vidcolor.media.probe import probe
from vidcolor.network.families import FAMILIES
from vidcolor.network.family import Family
from vidcolor.network.weights import save_model
from vidcolor.options.preview import PreviewOptions
from vidcolor.options.render import RenderOptions
from vidcolor.options.values import seconds_from_text
from vidcolor.pipeline.colorize import load_colorizer
from vidcolor.pipeline.resolved_job import resolve_job
from vidcolor.rendering.render import render
from vidcolor.viewing.preview import (
    LEAD_FRAMES,
    PreviewFrame,
    caption_of,
    preview,
    show_at,
    strips_of,
)

RATE = 25
FRAMES = 130
CUT = 70
ROUNDING = 2
"""Codes of RGB: chroma is rounded in a film, not in a preview."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Iterator[str]:
    """Save a model whose colors tell which neighbours it was shown."""
    folder, families = tmp_path_factory.mktemp("model"), cast(dict[str, Family], FAMILIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families, RESTLESS.family, RESTLESS_FAMILY)
        save_model(RESTLESS, RESTLESS.build_network(), folder)
        yield str(folder)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Draw a film of two shots, longer than what is read for a frame of it."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return draw_clip(path, frames=FRAMES, cuts=(CUT,), codec="ffv1", codec_options={"g": "12"})


@pytest.fixture(scope="module")
def rendered(film, model) -> list[np.ndarray]:
    """Return the frames of the whole film in color, as they are shown."""
    out = film.with_name("out.mkv")
    render(film, out, RenderOptions(model=model, device="cpu", codec="ffv1"))
    found = probe(out)
    return [shown_picture(unit_luma(f), unit_chroma(f), found) for f in read_frames(found)]


def show(film: Path, moment: Fraction, **options):
    job = resolve_job(film, PreviewOptions(device="cpu", **options))
    masks, given = job.guidance.open_masks(job.film), open_given(job.film, job.guidance)
    return show_at(job, moment, load_colorizer(job.options), masks, given)


def test_a_preview_shows_the_colors_that_are_given(film, model, tmp_path):
    hints = tmp_path / "hints.toml"
    hints.write_text('[[hint]]\ntime = 0.5\nbox = [0, 0, 60, 40]\ncolor = "#c03020"')
    out = tmp_path / "hinted.mkv"
    render(film, out, RenderOptions(model=model, device="cpu", codec="ffv1", hints=hints))
    found, moment = probe(out), Fraction("0.6")
    frame = next(read_frames(found, start=moment))
    shown = show(film, moment, model=model, hints=hints).colored
    wanted = shown_picture(unit_luma(frame), unit_chroma(frame), found)
    # Half a code of rounding, times 1.8, and the colors of it rounded.
    assert np.abs(shown.astype(int) - wanted).max() <= 3
    plain = show(film, moment, model=model).colored
    assert np.abs(plain.astype(int) - wanted).mean() > 3


def sheet_of(film: Path, folder: Path, options: PreviewOptions) -> np.ndarray:
    preview(film, folder / "sheet.png", options)
    return np.asarray(cv2.imread(str(folder / "sheet.png")))[:, :, ::-1]


def place_of(picture: np.ndarray, sheet: np.ndarray) -> tuple[int, int] | None:
    """Return the row and column at which a picture stands on a sheet, within the rounding."""
    found = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
    _, _, (left, top), _ = cv2.minMaxLoc(found)
    height, width = picture.shape[:2]
    there = sheet[top : top + height, left : left + width].astype(int)
    return (top, left) if np.abs(there - picture).max() <= ROUNDING else None


@pytest.mark.parametrize("number", [0, 30, CUT - 1, CUT, CUT + 1, FRAMES - 1])
def test_a_frame_has_the_color_that_the_whole_film_gives_it(film, model, rendered, number):
    shown = show(film, Fraction(number, RATE), model=model)
    assert shown is not None
    assert shown.seconds == Fraction(number, RATE)
    assert np.abs(shown.colored.astype(int) - rendered[number]).max() <= ROUNDING
    assert np.abs(shown.colored.astype(int) - shown.grey).max() > 5 * ROUNDING
    assert (shown.grey[..., 0] == shown.grey[..., 2]).all()


def test_the_frame_of_a_moment_is_the_one_that_is_shown_then(film, model):
    moment = Fraction(30, RATE) + Fraction(39, 1000)
    assert show(film, moment, model=model).seconds == Fraction(30, RATE)


def test_moments_count_from_the_start_of_a_film_whose_clock_is_late(draw, model):
    late = draw("late.mkv", frames=30, first_seconds=7, codec="ffv1")
    assert show(late, Fraction(20, RATE), model=model).seconds == Fraction(20, RATE)


def test_only_the_surroundings_of_a_frame_are_read(film, model, monkeypatch):
    drawn = []

    def counted(*args, **kwargs):
        for frame in read_frames(*args, **kwargs):
            drawn.append(frame.seconds)
            yield frame

    monkeypatch.setattr(preview_module, "read_frames", counted)
    moment = Fraction(100, RATE)
    show(film, moment, model=model)
    assert moment - Fraction(LEAD_FRAMES, RATE) <= drawn[0] < moment < drawn[-1] < moment + 2


def test_saturation_and_mask_color_a_preview_as_they_color_a_film(film, model):
    shown = show(film, Fraction(1), model=model, mask="half:left", mask_feather=0)
    half = shown.grey.shape[1] // 2 + 1  # a player's chroma fades over a pixel
    assert (shown.colored[:, half:] == shown.grey[:, half:]).all()
    assert (shown.colored[:, :half] != shown.grey[:, :half]).any()
    grey = show(film, Fraction(1), model=model, saturation=0.0)
    assert (grey.colored == grey.grey).all()


def test_six_frames_spread_over_the_film_stand_in_order(film, model, rendered, tmp_path):
    sheet = sheet_of(film, tmp_path, PreviewOptions(model=model, device="cpu", cell=0))
    numbers = [(2 * n + 1) * FRAMES // 12 for n in range(6)]
    places = [place_of(rendered[number], sheet) for number in numbers]
    tops = [place[0] for place in places if place is not None]
    assert len(tops) == 6
    assert tops == sorted(set(tops))


def test_models_stand_side_by_side_in_the_order_they_were_named(film, model, tmp_path):
    names = [tiny_model(tmp_path / "other"), model]
    options = PreviewOptions(compare=tuple(names), at=("1",), device="cpu", cell=0)
    sheet = sheet_of(film, tmp_path, options)
    shown = [show(film, Fraction(1), model=name) for name in names]
    places = [place_of(p, sheet) for p in (shown[0].grey, *(s.colored for s in shown))]
    assert None not in places
    lefts = [place[1] for place in places if place is not None]
    assert lefts == sorted(set(lefts))


def test_split_shows_grey_and_color_in_one_picture(film, model, tmp_path):
    options = PreviewOptions(model=model, at=("1",), device="cpu", split=True, cell=0)
    sheet = sheet_of(film, tmp_path, options)
    shown = show(film, Fraction(1), model=model)
    half = shown.grey.shape[1] // 2
    both = np.concatenate([shown.grey[:, :half], shown.colored[:, half:]], axis=1)
    assert place_of(both, sheet) is not None
    assert sheet.shape[1] < 2 * both.shape[1]


@given(count=st.integers(1, 5), width=st.integers(5, 90))
def test_every_column_of_strips_is_where_it_was(count, width):
    pictures = [np.full((2, width, 3), number, np.uint8) for number in range(count)]
    for picture in pictures:
        picture[1] = np.arange(width)[:, None]
    strips = strips_of(pictures)
    assert (strips[1] == pictures[0][1]).all()
    assert (np.diff(strips[0, :, 0].astype(int)) >= 0).all()
    widths = np.bincount(strips[0, :, 0], minlength=count)
    assert widths.max() - widths.min() <= 1


@given(st.fractions(0, 10**6))
def test_a_caption_is_a_moment_within_the_frame(seconds):
    nothing = np.zeros((1, 1, 3), np.uint8)
    told = seconds_from_text(caption_of(PreviewFrame(seconds, nothing, nothing)), option="--at")
    assert 0 <= told - seconds < Fraction(1, 1000)


@pytest.mark.parametrize("signs", list(product((1, -1), repeat=2)), ids=str)
@pytest.mark.parametrize("is_turned", [False, True])
def test_pictures_are_turned_and_mirrored_as_the_film_says(draw, is_turned, signs):
    one, two = (sign * 65536 for sign in signs)
    matrix = (0, one, 0, two, 0, 0, 0, 0, 1 << 30) if is_turned else (
        one, 0, 0, 0, two, 0, 0, 0, 1 << 30
    )  # fmt: skip
    film = probe(draw(frames=1, display_matrix=matrix))
    luma = (np.arange(48 * 64) / (48 * 64)).astype(np.float32).reshape(48, 64)
    shown = shown_picture(luma, np.zeros((2, 48, 64), np.float32), film)[..., 0]
    a, b, _, c, d = np.sign((film.display_matrix or matrix)[:5]).tolist()
    expected = np.empty((64, 48) if is_turned else (48, 64), np.uint8)
    top, left = min(0, 63 * b, 47 * d), min(0, 63 * a, 47 * c)
    codes = (luma * 255).round().astype(np.uint8)
    for y, x in product(range(48), range(64)):
        expected[b * x + d * y - top, a * x + c * y - left] = codes[y, x]
    np.testing.assert_array_equal(shown, expected)


def test_pictures_have_square_pixels(draw):
    film = probe(draw(frames=1, sample_aspect_ratio=Fraction(4, 3)))
    planes = np.zeros((48, 64), np.float32), np.zeros((2, 24, 32), np.float32)
    assert shown_picture(*planes, film).shape == (48, 85, 3)


def test_a_film_of_one_frame_is_shown(draw, model, tmp_path):
    options = PreviewOptions(model=model, device="cpu")
    preview(draw(frames=1), tmp_path / "p.png", options)
    assert (tmp_path / "p.png").is_file()


def test_every_begins_at_the_start_and_goes_on_to_the_end(film, model, tmp_path, monkeypatch):
    moments = []

    def noted(*args):
        moments.append(args[1])
        return show_at(*args)

    monkeypatch.setattr(preview_module, "show_at", noted)
    options = PreviewOptions(model=model, device="cpu", every="2s")
    preview(film, tmp_path / "p.png", options)
    assert moments == [0, 2, 4]


def test_a_moment_after_the_end_is_named(film, model, tmp_path):
    options = PreviewOptions(model=model, device="cpu", at=("1", "9:00"))
    with pytest.raises(InputError, match=r"540\.00 s.*--at"):
        preview(film, tmp_path / "p.png", options)
    assert not list(tmp_path.iterdir())


def test_too_many_moments_are_refused_before_anything_is_colored(
    film, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("vidcolor.viewing.preview.load_colorizer", None)
    with pytest.raises(OptionsError, match=r"520 times.*--every"):
        preview(film, tmp_path / "p.png", PreviewOptions(model=model, every="0.01"))


def test_a_picture_of_the_film_is_not_replaced_by_the_sheet(model, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((48, 64), np.uint8))
    before = paths[0].read_bytes()
    with pytest.raises(OutputError, match="is the film itself"):
        preview(tmp_path, paths[0], PreviewOptions(model=model))
    assert paths[0].read_bytes() == before


def test_a_sheet_that_is_no_png_is_refused(film, tmp_path):
    with pytest.raises(OutputError, match=r"a name that ends in \.png"):
        preview(film, tmp_path / "sheet.jpg", PreviewOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": ("soon",)}, "--at 'soon'"),
        ({"at": ("1",), "every": "2"}, "--at and --every exclude each other"),
        ({"every": "0"}, "--every 0: must be above 0"),
        ({"cell": -1}, "--cell -1"),
        ({"saturation": 5.0}, "--saturation 5"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(OptionsError, match=message):
        PreviewOptions(**options)
