"""The media layer's promises, with constant chroma: luma, time and company are untouched."""

import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import audio_packets_of, audio_start_of, luma_of, times_of
from tests.faults import files_no_larger_than, picture_of
from tests.render_media import BLUE_CHROMA_8BIT, render
from vidcolor.errors import OutputError
from vidcolor.media import mux
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import probe
from vidcolor.media.stream_copy import TrackCopier
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.workdir import work_on

LOSSLESS = [
    ("libx264", "out.mp4", {"crf": 0}),
    ("libx264", "out.mkv", {"crf": 0}),
    ("libx264", "out.mov", {"crf": 0}),
    ("libx265", "out.mp4", {"crf": 0}),
    ("ffv1", "out.mkv", {}),
]
ALL_CODECS = [*LOSSLESS, ("libsvtav1", "out.mp4", {}), ("prores_ks", "out.mov", {})]


def digest(path):
    return [hashlib.sha256(b"".join(track)).hexdigest() for track in audio_packets_of(path)]


@pytest.mark.parametrize(("codec", "name", "options"), LOSSLESS)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_luma_is_unchanged_by_rendering(draw, codec, name, options, pix_fmt):
    path = draw("a.mkv", frames=6, codec="ffv1", pix_fmt=pix_fmt)
    out = render(path, name, codec=codec, **options)
    for wanted, found in zip(luma_of(path), luma_of(out), strict=True):
        np.testing.assert_array_equal(wanted, found)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "yuv422p12le", "yuv444p"])
def test_luma_of_other_formats_is_unchanged_by_ffv1(draw, pix_fmt):
    path = draw("a.mkv", frames=3, codec="ffv1", pix_fmt=pix_fmt, width=63, height=47)
    out = render(path, "out.mkv", codec="ffv1")
    for wanted, found in zip(luma_of(path), luma_of(out), strict=True):
        np.testing.assert_array_equal(wanted, found)


def test_twelve_bits_of_luma_are_unchanged_by_x265(draw):
    path = draw("a.mkv", frames=3, codec="ffv1", pix_fmt="yuv420p12le")
    out = render(path, codec="libx265", crf=0)
    for wanted, found in zip(luma_of(path), luma_of(out), strict=True):
        np.testing.assert_array_equal(wanted, found)


def test_the_given_chroma_is_written(draw):
    out = render(draw("a.mkv", frames=2, codec="ffv1"), "out.mkv", codec="ffv1")
    frame = next(read_frames(probe(out)))
    chroma = frame.chroma()
    assert chroma is not None
    assert [np.unique(plane).tolist() for plane in chroma] == [[BLUE_CHROMA_8BIT], [128]]


@pytest.mark.parametrize(("codec", "name", "options"), ALL_CODECS)
@pytest.mark.parametrize("segments", [1, 3])
def test_variable_times_and_late_starts_are_kept(draw, codec, name, options, segments):
    ticks = (0, 3, 4, 9, 10, 11, 12, 90, 91, 99, 100, 101)
    times = tuple(Fraction(t, 100) for t in ticks)
    path = draw("a.mp4", times=times, first_seconds=Fraction(1, 50), time_base=Fraction(1, 100))
    out = render(path, name, codec=codec, segments=segments, **options)
    assert times_of(out) == [Fraction(1, 50) + time for time in times]


@pytest.mark.parametrize("name", ["a.avi", "a.ts", "a.mkv"])
def test_times_of_other_containers_are_kept(draw, name):
    wanted = {"codec": "mpeg4", "codec_options": {"bf": "2"}} if name == "a.avi" else {}
    path = draw(name, frames=20, audio=1, **wanted)
    film = probe(path)
    times = [frame.seconds for frame in read_frames(film)]
    assert times_of(render(path)) == times


def test_a_start_that_is_one_coarse_tick_late_is_kept(draw):
    path = draw("a.mp4", frames=20, time_base=Fraction(1, 25), first_seconds=Fraction(1, 25))
    assert times_of(render(path)) == [Fraction(n + 1, 25) for n in range(20)]


def test_x264_writes_the_same_frames_each_time(draw):
    path = draw("a.mp4", frames=240, width=96, height=64)
    first, *others = [picture_of(render(path, f"{number}.mp4")) for number in range(4)]
    assert others == [first] * 3


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_the_last_frame_is_shown_as_long_as_it_was(draw, codec):
    times = tuple(Fraction(t, 100) for t in (0, 3, 4, 9, 10, 11, 12, 90, 91, 99, 100, 137))
    path = draw("a.mp4", times=times, codec_options={"bf": "0"}, last_seconds=Fraction(2))
    film, out = probe(path), probe(render(path, codec=codec))
    assert out.duration_seconds == film.duration_seconds == Fraction(337, 100)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_all_sound_goes_over_packet_by_packet(draw, name):
    path = draw("a.mkv", frames=30, audio=3)
    out = render(path, name)
    assert digest(out) == digest(path)
    german = "ger" if name == "out.mov" else "deu"
    assert [t.language for t in probe(out).audio] == ["eng", "fra", german]


def test_a_language_that_the_container_does_not_know_is_said(draw, caplog):
    path = draw("a.mkv", frames=5, audio=1, languages=("nah",))
    render(path, "out.mov")
    assert "cannot store the language nah" in caplog.text


def test_a_sound_track_without_packets_is_no_failure(draw):
    path = draw("a.mkv", frames=50, audio=2, audio_seconds=0.5)
    assert not audio_packets_of(render(path, start="1"))


def test_sound_keeps_its_offset_to_the_picture(draw):
    path = draw("a.mp4", frames=30, audio=1, first_seconds=Fraction(3, 10))
    out = render(path)
    assert audio_start_of(out) == audio_start_of(path)
    assert times_of(path) == times_of(out)


def test_a_part_starts_at_zero_with_its_own_sound(draw):
    path = draw("a.mp4", frames=75, audio=1, rate=Fraction(25))
    out = render(path, start="1", end="2", crf=0)
    assert times_of(out) == [Fraction(n, 25) for n in range(25)]
    whole = luma_of(path)
    for wanted, found in zip(whole[25:50], luma_of(out), strict=True):
        np.testing.assert_array_equal(wanted, found)
    (part,), (track,) = audio_packets_of(out), audio_packets_of(path)
    assert part == track[track.index(part[0]) :][: len(part)]
    assert len(part) in (46, 47)
    assert 0 <= audio_start_of(out) < Fraction(1024, 48000)


def test_an_empty_part_is_an_error(draw):
    path = draw(frames=10)
    with pytest.raises(OutputError, match="no frame"):
        render(path, start="100")


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_shape_turn_and_color_tags_are_kept(draw, name):
    path = draw(
        "a.mp4",
        frames=3,
        matrix=1,
        full_range=True,
        sample_aspect_ratio=Fraction(16, 11),
        display_matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
    )
    film, out = probe(path), probe(render(path, name))
    for name in ("sample_aspect_ratio", "display_matrix", "color", "full_range", "rate"):
        assert getattr(out, name) == getattr(film, name)


def test_turn_and_color_tags_are_kept_by_ffv1(draw):
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    film = probe(draw("a.mp4", frames=3, matrix=1, full_range=True, display_matrix=turned))
    out = probe(render(film.path, "out.mkv", codec="ffv1"))
    for name in ("display_matrix", "color", "full_range", "rate"):
        assert getattr(out, name) == getattr(film, name)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_title_and_chapters_go_over(draw, name):
    chapters = ((0, 0.5, "One"), (0.5, 1, "Two"))
    path = draw("a.mkv", title="Metropolis", chapters=chapters)
    with av.open(str(render(path, name))) as container:
        assert container.metadata["title"] == "Metropolis"
        found = [
            (chapter["start"] * (chapter["time_base"] or Fraction(0)), chapter["metadata"]["title"])
            for chapter in container.chapters()
        ]
    assert found == [(0, "One"), (Fraction(1, 2), "Two")]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("codec", "name", "options"), ALL_CODECS)
def test_very_short_films_are_rendered(draw, count, codec, name, options):
    out = render(draw(frames=count), name, codec=codec, **options)
    assert times_of(out) == [Fraction(n, 25) for n in range(count)]


def test_a_result_with_a_frame_in_the_wrong_place_is_refused(draw, tmp_path, monkeypatch):
    true_packets = mux._picture_packets

    def late_packets(*args):
        for number, packet in enumerate(true_packets(*args)):
            packet.pts = (packet.pts or 0) + (number == 0)
            yield packet

    monkeypatch.setattr(mux, "_picture_packets", late_packets)
    path = draw(frames=5)
    with pytest.raises(OutputError, match="is at"):
        render(path)
    assert set(tmp_path.iterdir()) == {path}


def test_a_result_that_lacks_sound_is_refused(draw, tmp_path, monkeypatch):
    def unwritten_packets(copier, **_):
        copier.written[1].packet_count = 30
        copier.written[1].fingerprint.byte_count = 30
        return iter(())

    monkeypatch.setattr(TrackCopier, "packets", unwritten_packets)
    path = draw(frames=5, audio=1)
    with pytest.raises(OutputError, match="is incomplete"):
        render(path)
    assert set(tmp_path.iterdir()) == {path}


def test_nothing_is_left_behind_but_the_result(draw, tmp_path):
    path = draw(frames=3)
    out = render(path)
    assert set(tmp_path.iterdir()) == {path, out}


def test_a_failure_leaves_nothing_and_the_old_file_as_it_was(draw, tmp_path):
    path = draw(frames=3)
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    film = probe(path)
    plan = check_output(film, out, RenderOptions(overwrite=True), Changes())
    chroma = np.zeros(plan.chroma_shape, np.uint8)
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="broken"),
        work_on(out, {}) as work,
        SegmentWriter(work.folder / plan.segment_name(0), film, plan) as segment,
    ):
        segment.write(next(read_frames(film)), chroma)
        raise RuntimeError("broken")
    assert set(tmp_path.iterdir()) == {path, out}
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_full_disk_is_an_output_error_and_leaves_nothing(draw, tmp_path, share):
    path = draw("a.mkv", frames=20, audio=1)
    out = render(path, "whole.mkv", codec="ffv1")
    size = int(out.stat().st_size * share)
    out.unlink()
    with files_no_larger_than(size), pytest.raises(OutputError, match="disk"):
        render(path, "out.mkv", codec="ffv1")
    assert set(tmp_path.iterdir()) == {path}


def test_chroma_of_another_shape_or_type_is_refused(draw, tmp_path):
    film = probe(draw(frames=1))
    plan = check_output(film, tmp_path / "out.mp4", RenderOptions(), Changes())
    frame = next(read_frames(film))
    for chroma in (np.zeros((2, 48, 64), np.uint8), np.zeros(plan.chroma_shape, np.uint16)):
        with (
            pytest.raises(ValueError, match="chroma is"),
            SegmentWriter(tmp_path / "0.mov", film, plan) as segment,
        ):
            segment.write(frame, chroma)


CAPTION_SEI = b"\0\0\1\x06\x04\x0e\xb5\0\x31GA94\x03\x41\xff\xfc\x94\x2c\xff\x80"
"""H.264 user data (ATSC A/53 part 4, 6.2.3) with one pair of caption bytes."""


def film_with_captions(path):
    with av.open(str(path)) as film:
        packets = [bytes(packet) for packet in film.demux() if packet.size]
    path.write_bytes(b"".join(CAPTION_SEI + packet for packet in packets))
    return path


def test_closed_captions_inside_the_picture_are_said_to_be_lost(draw):
    path = film_with_captions(draw("a.h264", frames=5))
    changes = Changes()
    check_output(probe(path), path.with_name("out.mkv"), RenderOptions(), changes)
    (said,) = changes.sentences
    assert "closed captions" in said
    with pytest.raises(OutputError, match="leave out --strict"):
        check_output(probe(path), path.with_name("out.mkv"), RenderOptions(), Changes(strict=True))
