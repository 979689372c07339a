"""Frames come out with the decoder's own luma, at their own times, from any start."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from tests.clips import luma_of, times_of
from vidcolor.errors import InputError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames, unit_chroma, unit_luma
from vidcolor.media.probe import probe


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"pix_fmt": "yuv420p10le", "codec": "ffv1"}),
        ("a.mkv", {"pix_fmt": "gray", "codec": "ffv1"}),
        ("a.mkv", {"pix_fmt": "yuv422p12le", "codec": "ffv1"}),
        ("a.mp4", {"pix_fmt": "yuv444p", "width": 61, "height": 47}),
        ("a.mp4", {"full_range": True}),
    ],
)
def test_luma_is_the_decoders_own(draw, name, wanted):
    path = draw(name, frames=4, **wanted)
    film = probe(path)
    found = [frame.luma for frame in read_frames(film)]
    assert len(found) == 4
    for luma, truth in zip(found, luma_of(path), strict=True):
        assert luma.dtype == truth.dtype
        np.testing.assert_array_equal(luma, truth)


def test_luma_cannot_be_written_to(draw):
    frame = next(read_frames(probe(draw(frames=2))))
    with pytest.raises(ValueError, match="read-only"):
        frame.luma[0, 0] = 1


def test_variable_times_and_late_starts_are_kept(draw):
    times = tuple(Fraction(t, 1000) for t in (0, 40, 41, 200, 333, 900))
    path = draw("vfr.mp4", times=times, first_seconds=Fraction(1, 2), time_base=Fraction(1, 90000))
    found = [frame.seconds for frame in read_frames(probe(path))]
    assert found == [Fraction(1, 2) + time for time in times] == times_of(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_part_holds_the_frames_of_its_span(draw, name):
    wanted = {"codec": "mpeg4", "is_lossless": False} if name == "a.avi" else {}
    path = draw(name, frames=75, codec_options={"g": "10"}, **wanted)
    film = probe(path)
    whole = [(frame.pts, frame.luma.copy()) for frame in read_frames(film)]
    start, end = Fraction(8, 5), Fraction(2)
    part = [(f.pts, f.luma.copy()) for f in read_frames(film, start=start, end=end)]
    moments = [pts * film.time_base - film.start_seconds for pts, _ in whole]
    inside = [whole[n] for n, moment in enumerate(moments) if start <= moment < end]
    assert [pts for pts, _ in part] == [pts for pts, _ in inside]
    assert all((a == b).all() for (_, a), (_, b) in zip(part, inside, strict=True))


def test_reordered_frames_in_avi_are_evenly_spaced(draw, caplog):
    # AVI stores decoding times only; FFmpeg's guess of when frames are shown jumps back and forth.
    film = probe(draw("a.avi", frames=30, codec_options={"bf": "2"}))
    times = [frame.seconds for frame in read_frames(film)]
    assert {later - earlier for earlier, later in pairwise(times)} == {Fraction(1, 25)}
    assert not caplog.text


def test_a_start_after_the_end_gives_nothing(draw):
    assert not list(read_frames(probe(draw(frames=5)), start=Fraction(100)))


def test_unit_luma_spans_black_to_white_whatever_depth_and_range(draw):
    pictures = []
    for pix_fmt in ("yuv444p", "yuv444p10le", "yuv444p12le"):
        for full in (False, True):
            name = f"{pix_fmt}-{full}.mkv"
            path = draw(name, frames=1, codec="ffv1", pix_fmt=pix_fmt, full_range=full)
            pictures.append(unit_luma(next(read_frames(probe(path)))))
    for other in pictures[1:]:
        np.testing.assert_allclose(pictures[0], other, atol=0.006)


def test_a_color_films_chroma_and_a_grey_ones_zero(draw):
    colored = next(read_frames(probe(draw("c.mp4", frames=1, is_color=True))))
    grey = next(read_frames(probe(draw("g.mkv", frames=1, codec="ffv1", pix_fmt="gray"))))
    assert np.abs(unit_chroma(colored)).max() > 0.1
    assert unit_chroma(colored).shape == (2, 24, 32)
    assert grey.chroma() is None
    assert not unit_chroma(grey).any()


def test_rgb_films_are_read_as_limited_luma(draw):
    film = probe(draw("rgb.mkv", frames=1, codec="ffv1", pix_fmt="bgra", is_color=True))
    truth = probe(draw("yuv.mkv", frames=1, codec="ffv1", pix_fmt="yuv444p", is_color=True))
    assert (film.planar_format, film.full_range, film.subsampling) == ("yuv444p", False, "420")
    luma, wanted = (next(read_frames(f)).luma for f in (film, truth))
    np.testing.assert_allclose(luma, wanted, atol=1)


def test_a_cut_off_film_gives_its_frames_and_a_warning(draw, caplog):
    path = draw("cut.mkv", frames=75, codec_options={"g": "5"}, width=160, height=120)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count = sum(1 for _ in read_frames(probe(path)))
    assert 10 < count < 70
    assert "truncated" in caplog.text


def test_damaged_packets_are_passed_over_with_a_warning(draw, caplog):
    path = draw("hurt.mp4", frames=50, codec_options={"g": "5"}, width=160, height=120)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 3, len(data) * 2 // 3, 40):
        data[at] ^= 0xFF
    path.write_bytes(data)
    count = sum(1 for _ in read_frames(probe(path)))
    assert count > 20
    assert "damaged" in caplog.text


def _joined(draw, tmp_path):
    """Return a transport stream whose picture is 64x48, then 96x48, and its parts."""
    small, large = draw("s.ts", frames=5), draw("l.ts", frames=5, width=96, first_seconds=0.2)
    return _join(tmp_path / "joined.ts", small, large), small, large


def _join(joined, *parts):
    """Put transport streams together, their packets counted through, so that nothing is lost."""
    data = bytearray(b"".join(part.read_bytes() for part in parts))
    counters: dict[int, int] = {}
    for start in range(0, len(data), 188):
        pid = int.from_bytes(data[start + 1 : start + 3]) & 0x1FFF
        if data[start + 3] & 0x10:  # it has a payload
            data[start + 3] = data[start + 3] & 0xF0 | counters.setdefault(pid, 0)
            counters[pid] = (counters[pid] + 1) % 16
    joined.write_bytes(data)
    return joined


def test_a_picture_that_changes_size_is_scaled_to_the_first(draw, tmp_path):
    joined, small, large = _joined(draw, tmp_path)
    changes = Changes()
    frames = list(read_frames(probe(joined), changes=changes))
    assert [frame.luma.shape for frame in frames] == [(48, 64)] * 10
    assert any("to 96x48 yuv420p at frame 5" in said for said in changes.sentences)
    for frame, truth in zip(frames[:5], luma_of(small), strict=True):
        np.testing.assert_array_equal(frame.luma, truth)
    for frame, truth in zip(frames[5:], luma_of(large), strict=True):
        # Area means of the wide picture are those of the scaled one.
        np.testing.assert_allclose(frame.luma.mean(), truth.mean(), atol=1)


def test_a_picture_that_changes_size_is_an_error_where_nothing_may_change(draw, tmp_path):
    joined, _, _ = _joined(draw, tmp_path)
    with pytest.raises(InputError, match="to 96x48"):
        list(read_frames(probe(joined), changes=Changes(strict=True)))


def test_a_change_of_depth_and_range_keeps_what_luma_means(draw, tmp_path):
    first = draw("a.ts", frames=2, pix_fmt="yuv420p10le")
    later = draw("b.ts", frames=2, full_range=True, first_seconds=0.08)
    joined = _join(tmp_path / "joined.ts", first, later)
    found = [unit_luma(frame).copy() for frame in read_frames(probe(joined))]
    wanted = [unit_luma(frame).copy() for frame in read_frames(probe(later))]
    assert len(found) == 4
    for frame, truth in zip(found[2:], wanted, strict=True):
        np.testing.assert_allclose(frame, truth, atol=1.5 / 255)
