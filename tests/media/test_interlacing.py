"""Interlaced films: their fields stay and are marked, or become whole pictures where asked for."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import luma_of, times_of
from tests.faults import tiny_model
from tests.render_media import render
from vidcolor.batch.batch import batch
from vidcolor.cli.metrics_server import Monitor
from vidcolor.errors import OutputError
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.interlacing import FieldMarker, deinterlace
from vidcolor.media.output_plan import check_output
from vidcolor.media.probe import probe
from vidcolor.options.batch import BatchOptions
from vidcolor.options.render import RenderOptions

TICK = Fraction(1, 12800)


def _interlaced(path, order, *, pix_fmt="yuv420p", frames=8, width=64, height=48):
    """Write a bar that moves between the fields, so that lines of one frame differ."""
    mark = FieldMarker(order, width, height, pix_fmt, TICK)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = TICK
        stream.codec_context.field_order = {"tff": 2, "bff": 3}[order]
        for number in range(frames):
            frame = _frame_of_fields(number, order, pix_fmt, width, height)
            frame.pts, frame.time_base = number * 512, TICK
            container.mux(stream.encode(mark(frame)))
        container.mux(stream.encode(None))
    return path


def _frame_of_fields(number, order, pix_fmt, width, height):
    frame = av.VideoFrame(width, height, pix_fmt)
    depth = frame.format.components[0].bits
    for plane in frame.planes:
        np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)[:] = 1 << (
            depth - 1
        )
    plane = frame.planes[0]
    samples = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)
    lines = samples.reshape(height, -1)
    for field in (0, 1):
        is_second = field == (1 if order == "tff" else 0)
        at = (4 * number + 2 * is_second) % (width - 8)
        lines[field::2] = 60 << (depth - 8)
        lines[field::2, at : at + 8] = 200 << (depth - 8)
    return frame


def _fields_of(path):
    """Return the order that the container names and, frame by frame, whether fields are marked."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        marks = [frame.interlaced_frame for frame in container.decode(stream)]
        return stream.codec_context.field_order, marks


def _first_field_of(path):
    """Return the lines that FFmpeg shows first, going by the mark of the first frame alone."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=TICK
    )
    separate, sink = graph.add("separatefields"), graph.add("buffersink")
    source.link_to(separate)
    separate.link_to(sink)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    field: Any = graph.pull()
    depth = frame.format.components[0].bits
    samples = np.frombuffer(memoryview(field.planes[0]), np.uint8 if depth == 8 else np.uint16)
    return samples.reshape(field.height, -1)[:, : field.width]


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.mkv", {"codec": "ffv1"}),
        ("out.mov", {"codec": "prores_ks"}),
        ("out.mkv", {"codec": "prores_ks"}),
        ("out.mp4", {"codec": "libx264", "crf": 1}),
        ("out.mov", {"codec": "libx264", "crf": 1}),
        ("out.mkv", {"codec": "libx264", "crf": 1}),
    ],
)
def test_fields_are_kept_and_marked(tmp_path, order, name, options):
    film = _interlaced(tmp_path / "film.mkv", order)
    out = render(film, name, **options)
    assert _fields_of(out) == ({"tff": 2, "bff": 3}[order], [True] * 8)
    found = _first_field_of(out).astype(int)
    lines = luma_of(out)[0]
    np.testing.assert_array_equal(found, lines[0 if order == "tff" else 1 :: 2])
    assert probe(out).field_order == order


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_luma_of_an_interlaced_film_is_unchanged(tmp_path, order):
    film = _interlaced(tmp_path / "film.mkv", order)
    for name, options in (("a.mkv", {"codec": "ffv1"}), ("b.mp4", {"codec": "libx264", "crf": 0})):
        for wanted, found in zip(
            luma_of(film), luma_of(render(film, name, **options)), strict=True
        ):
            np.testing.assert_array_equal(wanted, found)


@pytest.mark.parametrize("options", [{"codec": "libx265"}, {"codec": "libx264", "crf": 0}])
def test_a_codec_that_does_not_mark_fields_is_said_or_refused(tmp_path, options):
    film = probe(_interlaced(tmp_path / "film.mkv", "tff"))
    changes = Changes()
    check_output(film, tmp_path / "out.mp4", RenderOptions(**options), changes)
    assert any("is interlaced" in said for said in changes.sentences)
    with pytest.raises(OutputError, match="is interlaced"):
        check_output(film, tmp_path / "o.mp4", RenderOptions(**options), Changes(strict=True))


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    "pix_fmt",
    ["yuv420p", "yuv422p10le", "gray", "gray10le", "gray12le", "gray16le", "yuv444p12le"],
)
def test_deinterlacing_keeps_the_first_field_the_count_and_the_times(tmp_path, order, pix_fmt):
    path = _interlaced(tmp_path / "film.mkv", order, pix_fmt=pix_fmt)
    film = probe(path, deinterlace=True)
    frames = [(frame.seconds, frame.luma.copy()) for frame in read_frames(film)]
    assert film.field_order == "progressive"
    assert [seconds for seconds, _ in frames] == times_of(path)
    for (_, luma), woven in zip(frames, luma_of(path), strict=True):
        assert luma.dtype == woven.dtype
        assert luma.max() < 1 << film.depth
        kept = slice(0 if order == "tff" else 1, None, 2)
        np.testing.assert_array_equal(luma[kept], woven[kept])
        # The other field's lines jump 2 pixels against their neighbours until interpolated.
        step = np.abs(np.diff(luma.astype(int), axis=0)).mean()
        assert step < np.abs(np.diff(woven.astype(int), axis=0)).mean() / 2


def test_new_lines_stay_within_the_codes_of_the_depth(draw):
    # Lines that alternate sharply make bwdif overshoot.
    film = probe(draw("a.mkv", frames=3, codec="ffv1", pix_fmt="gray10le"))
    film = replace(film, deinterlaced="tff")
    frames = []
    for number, frame in enumerate(read_frames(replace(film, deinterlaced=None))):
        codes = np.random.default_rng(number).integers(0, 2, frame.luma.shape) * 1023
        frames.append(replace(frame, luma=codes.astype(np.uint16)))
    assert max(int(frame.luma.max()) for frame in deinterlace(frames, film)) == 1023


def test_deinterlaced_frames_are_the_same_from_any_start(tmp_path):
    film = probe(_interlaced(tmp_path / "film.mkv", "tff", frames=60), deinterlace=True)
    whole = {frame.pts: frame.luma.copy() for frame in read_frames(film)}
    for number in (1, 20, 40, 59):
        start = Fraction(number, 25)
        part = {f.pts: f.luma.copy() for f in read_frames(film, start=start)}
        assert len(part) == 60 - number
        assert all((luma == whole[pts]).all() for pts, luma in part.items())


def test_a_deinterlaced_result_is_progressive(tmp_path):
    film = probe(_interlaced(tmp_path / "film.mkv", "tff"), deinterlace=True)
    changes = Changes(strict=True)
    plan = check_output(film, tmp_path / "out.mp4", RenderOptions(crf=0), changes)
    assert plan.codec_options["qp"] == "0"
    assert not changes.sentences


def test_a_progressive_film_has_no_fields_to_make_whole(draw, caplog):
    film = probe(draw(frames=3), deinterlace=True)
    assert film.deinterlaced is None
    assert "is not interlaced" in caplog.text


def test_a_film_of_a_batch_is_looked_at_once(draw, tmp_path, caplog):
    options = BatchOptions(
        films=(draw(frames=3),), out=tmp_path / "out", model=tiny_model(tmp_path / "model"),
        device="cpu", deinterlace=True,
    )  # fmt: skip
    assert batch(options, watching=Monitor().film).count("done") == 1
    assert caplog.text.count("is not interlaced") == 1
