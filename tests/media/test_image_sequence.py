"""Folders and patterns of numbered pictures are films."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import times_of
from tests.render_media import render
from vidcolor.errors import InputError
from vidcolor.media.decode import read_frames
from vidcolor.media.probe import probe

ENCODERS = {"png": ("png", "gray"), "jpg": ("mjpeg", "yuvj420p"), "tif": ("tiff", "gray"),
            "bmp": ("bmp", "gray"), "webp": ("libwebp", "yuv420p")}  # fmt: skip


def _write(path: Path, code: int, width: int = 32) -> None:
    """Write a grey picture of one code (webp: of limited range)."""
    codec, pix_fmt = ENCODERS[path.suffix.lstrip(".").lower()]
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, 16, pix_fmt
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame(width, 16, pix_fmt)
    for index, plane in enumerate(frame.planes):
        np.frombuffer(memoryview(plane), np.uint8)[:] = 128 if index else code
    frame.pts = 0
    packets = encoder.encode(frame) + encoder.encode(None)
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


def _folder(folder: Path, names: list[str]) -> Path:
    """Write pictures whose codes are 40, 44, ... in the order of `names`."""
    folder.mkdir()
    for number, name in enumerate(names):
        _write(folder / name, 40 + 4 * number)
    return folder


def _read(kind: str, code: int) -> int:
    """Return the luma of a grey: BMP stores it as a palette of RGB, read in limited range."""
    return round(16 + code * 219 / 255) if kind == "bmp" else code


def _codes(path: Path, **options) -> list[int]:
    return [round(float(f.luma.mean())) for f in read_frames(probe(path, **options))]


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_folder_of_pictures_is_a_film(tmp_path, kind):
    folder = _folder(tmp_path / "frames", [f"{n:05d}.{kind}" for n in range(7, 12)])
    film = probe(folder)
    assert (film.rate, film.width, film.height) == (Fraction(24), 32, 16)
    np.testing.assert_allclose(_codes(folder), [_read(kind, 40 + 4 * n) for n in range(5)], atol=1)
    assert [f.seconds for f in read_frames(film)] == [Fraction(n, 24) for n in range(5)]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001), Fraction(1, 2)])
def test_pictures_are_shown_at_the_rate_that_is_wanted(tmp_path, rate):
    folder = _folder(tmp_path / "frames", ["1.png", "2.png", "3.png"])
    assert [f.seconds for f in read_frames(probe(folder, rate=rate))] == [
        n / rate for n in range(3)
    ]


def test_pictures_are_rendered_with_their_luma(tmp_path):
    folder = _folder(tmp_path / "frames", ["1.png", "2.png", "3.png"])
    out = render(folder, "out.mkv", codec="ffv1")
    assert _codes(out) == [40, 44, 48]
    out = render(folder, "out.mp4", crf=0)
    assert times_of(out) == [Fraction(n, 24) for n in range(3)]


@pytest.mark.parametrize("folder", ["a [1]", "b{x,y}", "c*?", "d%03d", "e\\n", "f'\" ü:", "-g"])
def test_names_of_folders_are_taken_literally(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _folder(Path(folder), ["1.png", "2.png"])
    assert _codes(Path(folder)) == [40, 44]
    assert _codes(Path(folder) / "%d.png") == [40, 44]
    assert _codes(Path(folder) / "2.png") == [44]


def test_names_that_do_not_sort_as_their_numbers_are_refused(tmp_path):
    folder = _folder(tmp_path / "frames", [f"a{n}.png" for n in range(1, 11)])
    with pytest.raises(InputError, match=r"a10.png comes before a2.png.*pad"):
        probe(folder)


def test_a_pattern_counts_numbers_that_are_not_padded(tmp_path):
    folder = _folder(tmp_path / "frames", [f"a{n}.png" for n in range(1, 13)])
    assert _codes(folder / "a%d.png") == [40 + 4 * n for n in range(12)]


def test_a_pattern_with_padding_runs_on_past_it(tmp_path):
    folder = _folder(tmp_path / "frames", ["08.png", "09.png", "10.png", "100.png"])
    (folder / "100.png").rename(folder / "11.png")
    assert _codes(folder / "%02d.png") == [40, 44, 48, 52]
    _folder(tmp_path / "more", ["98.png", "99.png", "100.png"])
    assert _codes(tmp_path / "more" / "%02d.png") == [40, 44, 48]


def test_a_pattern_takes_its_own_names_only(tmp_path):
    folder = _folder(tmp_path / "frames", ["a1.png", "a2.png", "b3.png", "a04.png", "a5x.png"])
    assert _codes(folder / "a%d.png") == [40, 44]


def test_a_number_that_is_missing_is_named(tmp_path):
    folder = _folder(tmp_path / "frames", ["1.png", "2.png", "4.png"])
    with pytest.raises(InputError, match="number 3 is missing between 1 and 4"):
        probe(folder / "%d.png")
    assert _codes(folder) == [40, 44, 48]


def test_a_file_of_that_literal_name_is_no_pattern(tmp_path):
    folder = _folder(tmp_path / "frames", ["1.png", "%d.png"])
    assert _codes(folder / "%d.png") == [44]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "has no pictures"),
        (["1.png", "2.jpg"], r"several types \(.jpg, .png\)"),
        (["1.png", "2.PNG"], "several types"),
    ],
)
def test_folders_without_a_clear_order_are_refused(tmp_path, names, words):
    folder = _folder(tmp_path / "frames", names)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("no picture")
    with pytest.raises(InputError, match=words):
        probe(folder)


def test_a_pattern_without_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file matches"):
        probe(tmp_path / "%05d.png")
    with pytest.raises(InputError, match="no file matches"):
        probe(tmp_path / "none" / "%05d.png")


def test_other_files_and_hidden_pictures_are_left_alone(tmp_path):
    folder = _folder(tmp_path / "frames", ["1.png", "2.png"])
    (folder / "notes.txt").write_text("no picture")
    (folder / ".1.png").write_text("no picture")
    assert _codes(folder) == [40, 44]


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_picture_is_a_film_of_one_frame(tmp_path, kind):
    path = tmp_path / f"one.{kind}"
    _write(path, 60)
    assert _codes(path, rate=Fraction(25)) == [_read(kind, 60)]
    assert times_of(render(path, "out.mp4")) == [0]


def test_an_empty_picture_is_damage_or_an_error(tmp_path):
    folder = _folder(tmp_path / "frames", ["1.png", "2.png", "3.png"])
    (folder / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        probe(folder)


def test_a_picture_of_another_size_is_scaled(tmp_path):
    folder = _folder(tmp_path / "frames", ["1.png", "2.png"])
    _write(folder / "3.png", 48, width=64)
    frames = list(read_frames(probe(folder)))
    assert [frame.luma.shape for frame in frames] == [(16, 32)] * 3
    assert _codes(folder) == [40, 44, 48]


def test_a_part_of_the_pictures_is_exact(tmp_path):
    folder = _folder(tmp_path / "frames", [f"{n:02d}.png" for n in range(30)])
    film = probe(folder)
    part = [round(float(f.luma.mean())) for f in read_frames(film, start=Fraction(1))]
    assert part == [40 + 4 * n for n in range(24, 30)]
