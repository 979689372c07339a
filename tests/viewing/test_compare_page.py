"""A page shows two films in step; what a person does with it is done in Chromium, where it is."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.chromium import Chromium, chromium, needs_chromium
from tests.clips import draw_clip
from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.media.transcode import frame_times
from vidcolor.options.preview import PageOptions
from vidcolor.viewing.compare_page import Page, write_compare_page

TIMES = tuple(Fraction(n, 100) for n in (0, 4, 8, 20, 24, 28, 40, 44, 60, 64))
"""Of a film whose frames stay for different times."""
BLACK = 6
"""The frame by which a film is known to show the right one."""


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> tuple[Path, Path]:
    """Draw a grey film with sound and the same film in color; one frame of both is black."""
    folder = tmp_path_factory.mktemp("films")
    how: dict[str, Any] = {
        "times": TIMES,
        "black": (BLACK,),
        "width": 192,
        "height": 108,
        "audio": 1,
    }
    grey = draw_clip(folder / "grey.mp4", **how)
    return grey, draw_clip(folder / "color.mp4", is_color=True, **how)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def page(films, browser, tmp_path) -> Iterator[Chromium]:
    """Open a page of the two films."""
    put(films, tmp_path / "page.html")
    browser.complaints.clear()
    browser.open(tmp_path / "page.html")
    yield browser
    assert browser.complaints == []


def put(films: tuple[Path, Path], out: Path, **options: Any) -> Page:
    return write_compare_page(films[0], films[1], out, PageOptions(**options))


def window_of(page: Chromium) -> np.ndarray:
    """Return what the window shows, (H, W, 3) RGB."""
    png = np.frombuffer(page.picture(), np.uint8)
    return np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR))[:, :, ::-1].astype(int)


def stage_of(page: Chromium) -> list[int]:
    """Return where the films are in the window: left, top, width, height."""
    box: list[float] = page.run("Object.values(stage.getBoundingClientRect().toJSON())")
    return [round(px) for px in box[:4]]


def brightness_of(page: Chromium) -> list[float]:
    """Return the mean of what both films show, 0 to 255, once they show what they were told."""
    page.wait("[a, b].every(film => !film.seeking && film.readyState >= 2)")
    return page.run("""[a, b].map(film => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 16, height: 9});
        const context = canvas.getContext("2d");
        context.drawImage(film, 0, 0, 16, 9);
        return context.getImageData(0, 0, 16, 9).data.filter((_, n) => n % 4 < 3)
            .reduce((sum, code) => sum + code) / (16 * 9 * 3);
    })""")


def test_small_films_are_in_the_page_and_nothing_else_is_written(films, tmp_path):
    page = put(films, tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    text = (tmp_path / "page.html").read_text()
    assert text.count('src="data:video/mp4;base64,') == 2
    assert "http" not in text.replace("http-equiv", "")
    assert "{{" not in text
    assert (page.beside, page.frame_count) == ((), len(TIMES))


def test_larger_films_lie_beside_the_page_and_are_named(films, tmp_path):
    page = put(films, tmp_path / "page.html", embed=0)
    names = ["page-a.mp4", "page-b.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "page.html"]
    assert [path.name for path in page.beside] == names
    text = (tmp_path / "page.html").read_text()
    assert all(f'src="{name}"' in text for name in names)
    for path, sounds in zip(page.beside, (1, 0), strict=True):
        with av.open(str(path)) as copy:
            assert len(copy.streams.audio) == sounds


def test_every_frame_keeps_its_own_time(films, tmp_path):
    page = put(films, tmp_path / "page.html", embed=0)
    for path in page.beside:
        assert frame_times(path)[:-1] == pytest.approx([float(time) for time in TIMES], abs=1e-3)


def test_colors_do_not_depend_on_the_size_of_the_copy(tmp_path):
    large = draw_clip(
        tmp_path / "large.mp4", frames=1, width=1280, height=720, is_color=True, matrix=1
    )
    page = put((large, large), tmp_path / "page.html", embed=0, size=180)
    pictures = []
    for path in (large, page.beside[0]):
        with av.open(str(path)) as film:
            frame = next(film.decode(video=0))
            assert int(frame.colorspace) == 1
            rgb = frame.reformat(format="rgb24", src_colorspace=1, src_color_range=1).to_ndarray()
            pictures.append(cv2.resize(rgb, (320, 180), interpolation=cv2.INTER_AREA).astype(int))
    assert pictures[1].shape == (180, 320, 3)
    assert np.abs(pictures[0] - pictures[1]).mean() < 3


def test_a_part_of_a_film_is_shown_beside_what_it_is_of(draw, tmp_path):
    whole = draw("whole.mkv", frames=30, black=(20,), codec="ffv1")
    part = draw("part.mkv", frames=12, black=(10,), codec="ffv1")
    page = put((whole, part), tmp_path / "page.html", offset="0.4", start="0.6", embed=0)
    assert page.frame_count == 7
    for path in page.beside:
        with av.open(str(path)) as film:
            means = [frame.to_ndarray(format="gray").mean() for frame in film.decode(video=0)]
        assert np.argmin(means) == 5


def test_a_part_ends_where_it_was_told_to(films, tmp_path):
    assert put(films, tmp_path / "page.html", start="0.08", end="0.4").frame_count == 4


def test_what_a_film_says_of_itself_is_not_passed_on(draw, tmp_path):
    film = draw(frames=4, title="At home", chapters=((0, 0.1, "One"),))
    for path in put((film, film), tmp_path / "page.html", embed=0).beside:
        assert b"At home" not in path.read_bytes()
        with av.open(str(path)) as copy:
            assert [stream.type for stream in copy.streams] == ["video"]


def test_copies_are_upright_with_square_pixels_and_not_enlarged(draw, tmp_path):
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    film = draw(frames=1, width=65, height=49, pix_fmt="yuv444p", display_matrix=turned,
                sample_aspect_ratio=Fraction(2))  # fmt: skip
    page = put((film, film), tmp_path / "page.html", embed=0)
    for path in page.beside:
        with av.open(str(path)) as copy:
            stream = copy.streams.video[0]
            size = stream.codec_context.width, stream.codec_context.height
            assert size in ((48, 130), (50, 130))
    assert "aspect-ratio: 49 / 130" in (tmp_path / "page.html").read_text()


def test_films_of_different_length_end_together_and_it_is_said(draw, tmp_path, caplog):
    long, short = draw("long.mp4", frames=20), draw("short.mp4", frames=12)
    with caplog.at_level(logging.WARNING, logger="vidcolor"):
        page = put((long, short), tmp_path / "page.html")
    assert page.frame_count == 12
    assert "long.mp4 lasts 0.80 s" in caplog.text
    assert "--offset" in caplog.text


def test_a_name_cannot_write_into_the_page(draw, tmp_path):
    film = draw('"<script>alert(1)</script>&amp;.mp4'.replace("/", "\u2215"), frames=2)
    put((film, film), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<script>") == 1
    assert "&quot;&lt;script&gt;alert(1)" in text


def test_a_page_never_replaces_a_film(films, tmp_path):
    own = tmp_path / "page-a.mp4"
    own.write_bytes(films[0].read_bytes())
    with pytest.raises(OutputError, match=r"page-a\.mp4: is one of the films"):
        write_compare_page(own, films[1], tmp_path / "page.html", PageOptions())
    with pytest.raises(OutputError, match=r"a name that ends in \.html"):
        put(films, tmp_path / "page.mp4")
    assert own.read_bytes() == films[0].read_bytes()


def test_a_failed_page_leaves_nothing_behind(films, tmp_path):
    with pytest.raises(InputError, match="no frame from 50"):
        put(films, tmp_path / "page.html", start="50")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "2", "end": "1"}, "--end 1: is not after --start 2"),
        ({"offset": "now"}, "--offset 'now'"),
        ({"size": 4}, "--size 4"),
        ({"embed": -1}, "--embed -1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(OptionsError, match=message):
        PageOptions(**options)


def test_a_part_that_ends_before_b_begins_is_refused(films, tmp_path):
    with pytest.raises(OptionsError, match="--end 1: is not after"):
        put(films, tmp_path / "page.html", offset="2", end="1")


@needs_chromium
def test_both_films_step_frame_by_frame_in_step(page):
    for number in range(1, BLACK + 1):
        page.press(".")
        assert page.run("shown") == number
        is_black = [mean < 20 for mean in brightness_of(page)]
        assert is_black == [number == BLACK] * 2
    page.press(",")
    assert min(brightness_of(page)) > 40
    assert page.run("[shown, a.currentTime === b.currentTime]") == [BLACK - 1, True]


@needs_chromium
def test_steps_end_at_the_first_and_the_last_frame(page):
    page.press(",")
    assert page.run("shown") == 0
    page.run("show(last)")
    page.press(".")
    assert page.run("shown") == len(TIMES) - 1
    assert "9 of 9" in page.run("time.value")


@needs_chromium
def test_a_frame_can_be_sought(page):
    page.run(f"seek.value = {BLACK}; seek.dispatchEvent(new Event('input'))")
    assert max(brightness_of(page)) < 20


@needs_chromium
def test_the_line_parts_the_films_where_the_mouse_leaves_it(page):
    brightness_of(page)
    left, top, width, height = stage_of(page)
    middle = left + width // 2
    page.drag((middle, top + height // 2), (left + width // 4, top + height // 4))
    assert page.run("share") == pytest.approx(25, abs=0.2)
    assert page.run("split.getAttribute('aria-valuenow')") == "25"
    stage = window_of(page)[top + height // 2 + 30 : top + height, left : left + width]
    color = stage.max(axis=2) - stage.min(axis=2)
    line = width // 4
    assert color[:, 8 : line - 8].max() <= 6
    assert color[:, line + 8 : -8].mean() > 30


@needs_chromium
def test_the_keyboard_moves_the_line_and_reaches_every_control(page):
    for key, shift, share in (
        ("ArrowRight", False, 51), ("ArrowRight", True, 61), ("ArrowLeft", True, 51),
        ("ArrowLeft", False, 50), ("Home", False, 0), ("ArrowLeft", False, 0), ("End", False, 100),
    ):  # fmt: skip
        page.press(key, shift=shift)
        assert page.run("share") == share
    reached = []
    for _ in range(8):
        page.press("Tab")
        reached.append(page.run("document.activeElement.id"))
    assert reached == ["split", "play", "back", "next", "seek", "speed", "sound", "full"]
    names = page.run("[...document.querySelectorAll('button, select, input, [role=slider]')].map("
                     "e => e.getAttribute('aria-label') || e.textContent.trim())")  # fmt: skip
    assert all(names)


@needs_chromium
def test_films_play_together_and_stop_on_the_same_frame(page):
    page.run("speed.value = '0.1'; speed.dispatchEvent(new Event('change'))")
    page.press(" ")
    page.wait("shown >= 2")
    assert page.run("[a.paused, b.paused, play.textContent]") == [False, False, "Stop"]
    assert abs(page.run("a.currentTime - b.currentTime")) < 0.3
    page.press(" ")
    assert page.run("[a.paused, b.paused, play.textContent]") == [True, True, "Play"]
    assert page.run("[a.currentTime === b.currentTime, frameAt(a.currentTime) === shown]") == [
        True,
        True,
    ]


@needs_chromium
def test_playing_ends_with_the_film_and_begins_anew(page):
    page.run(f"show({len(TIMES) - 2})")
    page.press(" ")
    page.wait("!isPlaying")
    assert page.run("[a.paused, b.paused, play.textContent]") == [True, True, "Play"]
    page.run("show(last)")
    page.press(" ")
    page.wait("shown < last")
    page.press(" ")


@needs_chromium
def test_the_sound_of_one_film_is_heard_and_can_be_turned_off(page):
    assert page.run("[a.muted, b.muted, sound.textContent]") == [False, True, "Sound on"]
    page.press("m")
    assert page.run("[a.muted, b.muted, sound.textContent]") == [True, True, "Sound off"]


@needs_chromium
def test_films_without_sound_have_no_sound_to_turn_on(browser, draw, tmp_path):
    film = draw(frames=2)
    put((film, film), tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    browser.press("m")
    assert browser.run("[a.muted, b.muted, sound.disabled]") == [True, True, True]


@needs_chromium
def test_a_film_that_does_not_lie_beside_the_page_is_named(browser, films, tmp_path):
    put(films, tmp_path / "page.html", embed=0)
    browser.open(tmp_path / "page.html")
    assert browser.run("message.textContent") == ""
    (tmp_path / "page-b.mp4").unlink()
    browser.open(tmp_path / "page.html")
    browser.wait("message.textContent")
    assert "page-b.mp4" in browser.run("message.textContent")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_in_dark(page, scheme):
    page.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    colors = page.run("""["body", "#time", "p:last-of-type", "#play"].map(name => {
        const style = getComputedStyle(document.querySelector(name));
        const paper = name === "#time" ? "#player" : name === "#play" ? name : "body";
        return [style.color, getComputedStyle(document.querySelector(paper)).backgroundColor];
    })""")
    for ink, paper in colors:
        brighter, darker = sorted((_luminance(ink), _luminance(paper)), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5
    assert (_luminance(colors[0][1]) > 0.5) == (scheme == "light")


def _luminance(color: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)` (WCAG 2.2)."""
    codes = np.array([float(code) for code in color[4:-1].split(",")]) / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@needs_chromium
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (844, 390)])
def test_the_page_fits_the_window(page, width, height):
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    try:
        assert page.run("document.documentElement.scrollWidth") <= width
        left, _, wide, high = stage_of(page)
        assert 0 <= left < left + wide <= width
        controls_end = page.run("seek.parentNode.getBoundingClientRect().bottom")
        assert controls_end <= max(height, 600)
        assert wide / high == pytest.approx(16 / 9, rel=0.02)
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")
