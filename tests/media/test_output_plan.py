"""What cannot be written is refused before any work, with the option that solves it."""

from fractions import Fraction

import pytest

from vidcolor.errors import OptionsError, OutputError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import probe
from vidcolor.options.render import RenderOptions


def plan(path, name="out.mp4", **options):
    return check_output(probe(path), path.parent / name, RenderOptions(**options), Changes())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.mp4", {"codec": "ffv1"}, "mkv"),
        ("out.mp4", {"codec": "prores_ks"}, "mkv"),
        ("out.mov", {"codec": "libsvtav1"}, "mkv"),
        ("out.mkv", {"codec": "ffv1", "crf": 20}, "has no CRF"),
        ("out.mp4", {"crf": 52}, "between 0 and 51"),
        ("out.mp4", {"codec": "libsvtav1", "crf": 0}, "between 1 and 63"),
        ("out.mp4", {"preset": "quick"}, "ultrafast"),
        ("out.mkv", {"codec": "libsvtav1", "preset": "medium"}, "13"),
        ("out.mkv", {"codec": "ffv1", "preset": "medium"}, "leave it out"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(draw, name, options, words):
    path = draw(frames=1)
    with pytest.raises(OptionsError, match=words):
        plan(path, name, **options)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.webm", "use .mp4"),
        ("no/out.mp4", "mkdir"),
        ("film.mp4", "the film itself"),
        ("there.mp4", "--overwrite"),
        ("folder.mp4", "is a folder"),
    ],
)
def test_places_that_cannot_take_a_film_are_refused(draw, tmp_path, name, words):
    path = draw(frames=1)
    (tmp_path / "there.mp4").write_bytes(b"x")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=words):
        plan(path, name)


def test_a_link_to_the_film_is_the_film(draw, tmp_path):
    path = draw(frames=1)
    (tmp_path / "link.mp4").hardlink_to(path)
    with pytest.raises(OutputError, match="the film itself"):
        plan(path, "link.mp4", overwrite=True)


def test_sound_that_must_be_converted_is_said_with_the_way_out(draw, caplog):
    path = draw("film.mkv", frames=5, audio=1, audio_codec="flac")
    plan(path, "out.mov")
    assert "16-bit ALAC, lossless; .mkv keeps it" in caplog.text


def test_sound_that_must_be_converted_is_refused_where_nothing_may_change(draw):
    path = draw("film.mkv", frames=5, audio=1, audio_codec="flac")
    with pytest.raises(OutputError, match=r"\.mkv keeps it; leave out --strict"):
        check_output(probe(path), path.with_name("out.mov"), RenderOptions(), Changes(strict=True))


@pytest.mark.parametrize(
    ("film", "codec", "name", "pix_fmt", "shape"),
    [
        ({}, "libx264", "o.mp4", "yuv420p", (2, 24, 32)),
        ({"width": 63}, "libx264", "o.mp4", "yuv444p", (2, 48, 63)),
        ({"width": 63, "height": 47}, "ffv1", "o.mkv", "yuv420p", (2, 24, 32)),
        ({"pix_fmt": "yuv422p10le"}, "libx264", "o.mp4", "yuv422p10le", (2, 48, 32)),
        ({"pix_fmt": "yuv444p12le"}, "libx265", "o.mp4", "yuv444p12le", (2, 48, 64)),
        ({"pix_fmt": "yuv420p12le"}, "libx264", "o.mp4", "yuv420p10le", (2, 24, 32)),
        ({"pix_fmt": "yuv444p"}, "libsvtav1", "o.mp4", "yuv420p", (2, 24, 32)),
        ({}, "prores_ks", "o.mov", "yuv422p10le", (2, 48, 32)),
        ({"pix_fmt": "gray"}, "libx264", "o.mp4", "yuv420p", (2, 24, 32)),
        ({"pix_fmt": "gray", "width": 63}, "ffv1", "o.mkv", "yuv444p", (2, 48, 63)),
    ],
)
def test_the_format_is_the_nearest_that_the_codec_writes(draw, film, codec, name, pix_fmt, shape):
    # 4:2:0 of odd size exists in FFV1 but not in x264.
    film = {"codec": "ffv1", "pix_fmt": "yuv420p", **film}
    found = plan(draw("f.mkv", frames=1, **film), name, codec=codec)
    assert (found.pix_fmt, found.chroma_shape) == (pix_fmt, shape)


def test_changes_are_said(draw, caplog):
    plan(draw("a.mkv", frames=1, codec="ffv1", pix_fmt="yuv420p12le"))
    assert "rounded" in caplog.text
    plan(draw("b.mkv", frames=1, codec="ffv1", width=63))
    assert "4:4:4" in caplog.text


def test_full_range_is_not_squeezed_into_prores(draw):
    path = draw("a.mkv", frames=1, codec="ffv1", full_range=True)
    with pytest.raises(OutputError, match="full-range"):
        plan(path, "out.mov", codec="prores_ks")


def test_a_codec_without_room_for_the_pixels_shape_is_refused(draw):
    path = draw("a.mp4", frames=1, sample_aspect_ratio=Fraction(16, 11))
    with pytest.raises(OutputError, match="pixel aspect ratio"):
        plan(path, "out.mkv", codec="ffv1")


def test_a_size_that_the_encoder_refuses_is_an_output_error(draw):
    path = draw("a.mkv", frames=1, codec="ffv1", width=4, height=4)
    with pytest.raises(OutputError, match="cannot encode 4x4"):
        plan(path, "out.mov", codec="libx265")
