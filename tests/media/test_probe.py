"""`probe` says what a film is, and why a file is none."""

from fractions import Fraction
from pathlib import Path

import pytest

from vidcolor.errors import InputError
from vidcolor.media.probe import probe


def test_a_film_is_described(draw):
    path = draw(
        "film.mp4",
        frames=10,
        audio=2,
        sample_aspect_ratio=Fraction(16, 11),
        matrix=1,
        first_seconds=Fraction(1, 5),
    )
    film = probe(path)
    assert (film.width, film.height, film.pix_fmt, film.depth) == (64, 48, "yuv420p", 8)
    assert (film.subsampling, film.matrix, film.full_range) == ("420", "bt709", False)
    assert film.rate == 25
    assert film.first_pts * film.time_base == Fraction(1, 5)
    assert film.duration_seconds == Fraction(10, 25)
    assert film.frame_count_from_header == 10
    assert film.sample_aspect_ratio == Fraction(16, 11)
    assert [(t.codec, t.language) for t in film.audio] == [("aac", "eng"), ("aac", "fra")]


@pytest.mark.parametrize(
    ("width", "height", "matrix"),
    [(64, 48, "bt601"), (720, 576, "bt601"), (1280, 720, "bt709"), (720, 578, "bt709")],
)
def test_an_untagged_films_matrix_follows_from_its_size(draw, width, height, matrix):
    assert probe(draw(frames=1, width=width, height=height)).matrix == matrix


@pytest.mark.parametrize(
    ("tag", "matrix"), [(1, "bt709"), (5, "bt601"), (6, "bt601"), (9, "bt2020")]
)
def test_a_tagged_films_matrix_is_its_tag(draw, tag, matrix):
    assert probe(draw(frames=1, matrix=tag)).matrix == matrix


@pytest.mark.parametrize(
    ("pix_fmt", "size", "planar", "depth", "subsampling"),
    [
        ("gray", (64, 48), "gray", 8, "420"),
        ("gray", (63, 48), "gray", 8, "444"),
        ("gray10le", (64, 48), "gray10le", 10, "420"),
        ("bgra", (64, 48), "yuv444p", 8, "420"),
        ("yuv422p10le", (64, 48), "yuv422p10le", 10, "422"),
        ("yuv444p12le", (63, 47), "yuv444p12le", 12, "444"),
        ("yuv411p", (64, 48), "yuv411p", 8, "420"),
        ("yuva420p", (64, 48), "yuva420p", 8, "420"),
    ],
)
def test_every_format_has_a_planar_one_with_luma(draw, pix_fmt, size, planar, depth, subsampling):
    width, height = size
    film = probe(draw("a.mkv", frames=1, codec="ffv1", pix_fmt=pix_fmt, width=width, height=height))
    assert (film.planar_format, film.depth, film.subsampling) == (planar, depth, subsampling)


def test_a_display_matrix_is_found(draw):
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    assert probe(draw(frames=2, display_matrix=turned)).display_matrix == turned


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"just some text, no film at all\n" * 9, "FFmpeg cannot read it"),
        (b"#EXTM3U\n#EXTINF:1,\nfilm.mp4\n", "FFmpeg cannot read it"),
        (b"ffconcat version 1.0\nfile 'film.mp4'\n", "FFmpeg cannot read it"),
    ],
)
def test_a_file_that_is_no_film_is_refused(draw, tmp_path, content, words):
    draw("film.mp4", frames=2)
    path = tmp_path / "other.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        probe(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="has no pictures"):
        probe(tmp_path)


def test_a_film_without_its_index_is_refused(draw):
    path = draw(frames=5)
    path.write_bytes(path.read_bytes()[:-1200])
    with pytest.raises(InputError, match="FFmpeg cannot read it"):
        probe(path)


@pytest.mark.parametrize("name", ["100%d.mp4", "a:b.mp4", "-dash.mp4", "quote'\" x.mp4", "ü.mkv"])
def test_names_are_taken_literally(draw, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw("plain" + Path(name).suffix, frames=2).rename(tmp_path / name)
    assert probe(Path(name)).width == 64
