"""The sidecar of a film, and lists of shots: what they say of a shot holds for it alone."""

import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import luma_of
from vidcolor.cli import app
from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.guidance.sidecar import ShotSettings, Sidecar, read_sidecar, write_sidecar
from vidcolor.options.render import ColorOptions, RenderOptions
from vidcolor.options.values import text_from_seconds
from vidcolor.pipeline.resolved_job import resolve_render_job
from vidcolor.rendering.render import render

CUT = 15


@pytest.fixture
def film(draw):
    return draw("film.mkv", frames=30, cuts=(CUT,), codec="ffv1", width=96, height=64)


def _render(film: Path, name: str, model: str, **changes):
    options: dict[str, Any] = {
        "model": model,
        "codec": "ffv1",
        "device": "cpu",
        "size": 48,
    } | changes
    return render(film, film.with_name(name), RenderOptions(**options))


def _chroma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="yuv444p")[1:] for f in container.decode(video=0)])


def _write(film: Path, text: str) -> Path:
    path = film.with_name("film.vidcolor.toml")
    path.write_text(text)
    return path


def test_each_shot_has_its_own_settings_and_no_luma_is_touched(film, model):
    plain = _chroma(_render(film, "plain.mkv", model).out)
    _write(film, '[[shot]]\nstart = "0"\nend = "0.6"\nskip = true\n'
           '[[shot]]\nstart = 0.6\nend = 2\nsaturation = 0.5\ntemperature = 40\n')  # fmt: skip
    out = _render(film, "out.mkv", model).out
    graded = _chroma(out)
    assert (graded[:CUT] == 128).all()
    assert (graded[CUT:] != plain[CUT:]).any()
    for before, after in zip(luma_of(film), luma_of(out), strict=True):
        np.testing.assert_array_equal(before, after)
    alike = _render(film, "alike.mkv", model, saturation=0.5, temperature=40, sidecar="none")
    np.testing.assert_array_equal(graded[CUT:], _chroma(alike.out)[CUT:])


def test_a_shot_can_have_a_mask_of_its_own_beside_the_sidecar(film, model):
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 255
    cv2.imwrite(str(film.with_name("right.png")), mask)
    _write(film, '[[shot]]\nstart = "0.6"\nend = "2"\nmask = "right.png"\n')
    chroma = _chroma(_render(film, "out.mkv", model, mask="half:left", mask_feather=0).out)
    left, right = chroma[..., :44], chroma[..., 52:]  # chroma at full size bleeds by a sample
    assert (right[:CUT] == 128).all()
    assert (left[CUT:] == 128).all()
    assert (left[:CUT] != 128).any()
    assert (right[CUT:] != 128).any()


def test_another_sidecar_is_another_render(film, model):
    path = _write(film, '[[shot]]\nstart = "0"\nend = "0.6"\nsaturation = 0.5\n')
    options = RenderOptions(model=model, codec="ffv1", device="cpu", size=48, sidecar=str(path))
    before = resolve_render_job(film, options, {}).fingerprint
    path.write_text(path.read_text().replace("0.5", "0.7"))
    after = resolve_render_job(film, options, {}).fingerprint
    assert {name for name in after if before[name] != after[name]} == {"sidecar"}


def test_a_sidecar_that_was_begun_says_nothing_yet_and_can_be_read(film, capsys):
    assert app.run(["shots", str(film), "--write-sidecar"]) == 0
    path = film.with_name("film.vidcolor.toml")
    shots = read_sidecar(path).shots
    assert shots == (
        ShotSettings(start=Fraction(0), end=Fraction(3, 5)),
        ShotSettings(start=Fraction(3, 5), end=Fraction(6, 5)),
    )
    options = ColorOptions(saturation=0.3)
    assert Sidecar(shots).options_at(Fraction(1), options) == options
    assert app.run(["shots", str(film), "--write-sidecar"]) == 4
    assert "already exists" in capsys.readouterr().err


spans = st.lists(st.integers(0, 10**7), min_size=2, max_size=12, unique=True).map(sorted)


@given(spans)
def test_what_is_written_is_what_is_read(milliseconds):
    moments = [Fraction(each, 1000) for each in milliseconds]
    written = list(pairwise(moments))
    with tempfile.TemporaryDirectory() as folder:
        path = write_sidecar(Path(folder) / "film.mp4", written)
        assert [(s.start, s.end) for s in read_sidecar(path).shots] == written
        with pytest.raises(OutputError, match="already exists"):
            write_sidecar(Path(folder) / "film.mp4", written)


@given(spans, st.integers(0, 10**7))
def test_settings_hold_from_the_start_of_a_shot_to_before_its_end(milliseconds, moment):
    pairs = list(zip(milliseconds[::2], milliseconds[1::2], strict=False))
    shots = [ShotSettings(start=Fraction(a), end=Fraction(b)) for a, b in pairs]
    held = [shot for shot in shots if shot.start <= moment < shot.end]
    assert Sidecar(tuple(shots)).at(Fraction(moment)) == (held[0] if held else None)
    if shots:
        assert Sidecar(tuple(shots)).at(shots[-1].end) is None


@given(st.fractions(0, 10**5))
def test_a_time_in_text_is_never_later_than_the_time(seconds):
    hours, minutes, rest = text_from_seconds(seconds).split(":")
    told = int(hours) * 3600 + int(minutes) * 60 + Fraction(rest)
    assert told <= seconds < told + Fraction(1, 1000)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("[[shot]\n", InputError, "is not valid TOML"),
        ("shots = 3\n", OptionsError, "more than shots"),
        ("shot = [3]\n", OptionsError, "more than shots"),
        ('[[shot]]\nstart = "0"\n', OptionsError, "end ''"),
        ('[[shot]]\nstart = "2"\nend = "1"\n', OptionsError, "ends before"),
        ('[[shot]]\nstart = "0"\nend = "1"\nhue = 3\n', OptionsError, "has no key 'hue'"),
        ('[[shot]]\nstart = "0"\nend = "1"\nsaturation = "x"\n', OptionsError, "not a number"),
        ('[[shot]]\nstart = "0"\nend = "1"\nsaturation = 9\n', OptionsError, "between 0"),
        ('[[shot]]\nstart = "0"\nend = "1"\ntint = 101\n', OptionsError, "between -100"),
        ('[[shot]]\nstart = "0"\nend = "1"\nskip = 1\n', OptionsError, "true or false"),
        ('[[shot]]\nstart = "0"\nend = "1"\nmask = 1\n', OptionsError, "not a path"),
        (
            '[[shot]]\nstart = "0"\nend = "2"\n[[shot]]\nstart = "1"\nend = "3"\n',
            OptionsError,
            "two shots contain 00:00:01.000",
        ),
    ],
)
def test_a_sidecar_that_cannot_be_meant_is_refused(tmp_path, text, error, says):
    path = tmp_path / "film.vidcolor.toml"
    path.write_text(text)
    with pytest.raises(error, match=says):
        read_sidecar(path)


def test_a_sidecar_that_is_not_there_is_refused(film, model):
    with pytest.raises(InputError, match="check --sidecar"):
        _render(film, "out.mkv", model, sidecar="nowhere.toml")


SCENES = """\
Timecode List:,00:00:00.200,00:00:00.600
Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame
1,1,00:00:00.000,0.000,5
2,6,00:00:00.200,0.200,15
3,16,00:00:00.600,0.600,30
"""


@pytest.mark.parametrize("text", [SCENES, "start\n0\n0.2\n0:00.6\n"])
def test_a_list_of_shots_takes_the_place_of_the_detector(film, model, text):
    (film.with_name("scenes.csv")).write_text(text)
    assert _render(film, "found.mkv", model).shot_count == 2
    listed = _render(film, "out.mkv", model, scenes=film.with_name("scenes.csv"))
    assert listed.shot_count == 3


@pytest.mark.parametrize(
    ("text", "error"), [("a,b\n1,2\n", InputError), ("start\nnever\n", OptionsError)]
)
def test_a_list_without_times_is_refused(film, model, text, error):
    (film.with_name("scenes.csv")).write_text(text)
    with pytest.raises(error, match=r"scenes\.csv"):
        _render(film, "out.mkv", model, scenes=film.with_name("scenes.csv"))
