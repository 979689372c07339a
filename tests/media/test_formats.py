"""Every way in which FFmpeg stores samples can be rendered; luma is exact wherever there is any."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from tests.render_media import render
from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.frame import plane_of
from vidcolor.media.pixel_format import picture_format
from vidcolor.media.probe import probe
from vidcolor.media.quantization import unit_from_luma
from vidcolor.media.to_planar import planar

TICK = Fraction(1, 1000)
WITH_LUMA = {
    "gray": 8,
    "gray9le": 9,
    "gray10le": 10,
    "gray12le": 12,
    "gray14le": 14,
    "gray16le": 16,
    **{f"yuv{chroma}p": 8 for chroma in ("410", "411", "420", "422", "440", "444")},
    **{
        f"yuv{chroma}p{depth}le": depth
        for chroma in ("420", "422", "444")
        for depth in (9, 10, 12, 14, 16)
    },
    "yuv440p10le": 10,
    "yuv440p12le": 12,
    "yuva420p": 8,
    "yuva422p10le": 10,
    "yuva444p12le": 12,
}
"""Formats whose first plane is luma, and its bits; FFV1 stores them all."""
OTHER_ORDER = {
    "nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p",
    "yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p",
    "vuya": "yuv444p", "vuyx": "yuv444p", "ayuv": "yuv444p", "uyva": "yuv444p", "vyu444": "yuv444p",
    "p010le": "yuv420p10le", "p010be": "yuv420p10le", "p016le": "yuv420p16le",
    "p210le": "yuv422p10le", "p410le": "yuv444p10le", "nv20le": "yuv422p10le",
    "y210le": "yuv422p10le", "y212le": "yuv422p12le", "v30xle": "yuv444p10le",
    "xv30le": "yuv444p10le", "xv36le": "yuv444p12le", "ayuv64le": "yuv444p16le",
    "yuv420p10be": "yuv420p10le", "yuv444p12be": "yuv444p12le", "yuv444p10msble": "yuv444p10le",
    "yuv440p10be": "yuv440p10le", "yuva420p10be": "yuva420p10le",
    "gray9be": "gray9le", "gray10be": "gray10le", "gray14be": "gray14le", "gray16be": "gray16le",
    "ya8": "gray", "ya16le": "gray16le",
}  # fmt: skip
"""Formats in which the same samples stand in another order, and those in which tests write them."""
STORED_RAW = ("nv12", "yuyv422", "uyvy422", "gray10be", "gray16be", "ya8", "yuv420p10be")
"""Some of them, which rawvideo in NUT stores."""
WITHOUT_LUMA = (
    *("rgb24", "bgr24", "rgba", "bgra", "0rgb", "rgb565le", "rgb8", "monob", "monow"),
    *("gbrp", "gbrp10le", "gbrp12le", "gbrp16le", "rgb48le", "rgba64le", "x2rgb10le"),
)
CODECS = (
    *(("png", "a.mov", pix_fmt) for pix_fmt in ("rgb24", "rgba", "rgb48be", "gray16be", "monob")),
    *(("qtrle", "a.mov", pix_fmt) for pix_fmt in ("rgb24", "gray")),
    *(("ffv1", "a.mkv", pix_fmt) for pix_fmt in ("gbrp12le", "bgra")),
    *(("huffyuv", "a.avi", "yuv422p"), ("utvideo", "a.avi", "gbrp")),
    *(("gif", "a.gif", "rgb8"), ("apng", "a.apng", "rgba"), ("mjpeg", "a.mov", "yuvj422p")),
    *(("v210", "a.mov", "yuv422p10le"), ("jpeg2000", "a.mkv", "yuv420p12le")),
    *((codec, "a.mpg", "yuv420p") for codec in ("mpeg1video", "mpeg2video")),
    *(("libvpx-vp9", "a.webm", "yuv420p"), ("flv", "a.flv", "yuv420p")),
    *(("wmv2", "a.asf", "yuv420p"), ("msmpeg4v3", "a.avi", "yuv420p")),
    *(("snow", "a.nut", "yuv420p"), ("rawvideo", "a.nut", "rgb565le")),
)
"""Codec, file and format of films that PyAV can write."""


def _luma(depth, width, height, number=0):
    """Return codes that use every bit and stay within limited range."""
    random = np.random.default_rng(number)
    step = 1 << (depth - 8)
    codes = random.integers(16 * step, 235 * step, (height, width), endpoint=True)
    return codes.astype(np.uint8 if depth == 8 else np.uint16)


def _write(path, codec, frames):
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"strict": "experimental"})
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = frames[0].format.name
        stream.codec_context.time_base = TICK
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number * 40, TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _planar(pix_fmt, depth, width=64, height=48, number=0):
    """Return a picture with known luma and neutral chroma."""
    frame = av.VideoFrame(width, height, pix_fmt)
    for index, plane in enumerate(frame.planes):
        samples = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)
        samples[:] = (1 << depth) - 1 if index == 3 else 1 << (depth - 1)
        if index == 0:
            lines = samples.reshape(plane.height, -1)
            lines[:, :width] = _luma(depth, width, height, number)
    return frame


def _check_exact(path, depth, width=64, height=48, name="out.mkv"):
    film = probe(path)
    out = probe(render(path, name, codec="ffv1"))
    assert (film.depth, out.depth) == (depth, depth)
    for frames in (read_frames(film), read_frames(out)):
        for number, frame in enumerate(frames):
            np.testing.assert_array_equal(frame.luma, _luma(depth, width, height, number))


@pytest.mark.parametrize(("pix_fmt", "depth"), WITH_LUMA.items())
def test_a_luma_plane_is_exact_at_every_depth_and_subsampling(tmp_path, pix_fmt, depth):
    pictures = [_planar(pix_fmt, depth, number=number) for number in range(2)]
    _check_exact(_write(tmp_path / "film.mkv", "ffv1", pictures), depth)


@pytest.mark.parametrize("pix_fmt", ["gray", "yuv420p", "yuv422p10le", "yuv444p12le", "yuv411p"])
@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48), (16, 2), (1, 1)])
def test_odd_sizes_are_exact(tmp_path, pix_fmt, size):
    depth = WITH_LUMA[pix_fmt]
    path = _write(tmp_path / "film.mkv", "ffv1", [_planar(pix_fmt, depth, *size)])
    _check_exact(path, depth, *size)


def _other_order(pix_fmt, number=0):
    """Return a picture with known luma in such a format, and the luma's bits."""
    near = OTHER_ORDER[pix_fmt]
    depth = av.VideoFormat(near).components[0].bits
    frame = _planar(near, depth, number=number)
    return frame.reformat(format=pix_fmt, src_color_range=2, dst_color_range=2), depth


@pytest.mark.parametrize("pix_fmt", OTHER_ORDER)
def test_luma_among_other_samples_is_exact(draw, pix_fmt):
    frame, depth = _other_order(pix_fmt)
    film = replace(probe(draw(frames=1)), **vars(picture_format(frame)))
    assert film.depth == depth
    assert not film.is_rgb
    np.testing.assert_array_equal(plane_of(planar(film, frame), 0, depth), _luma(depth, 64, 48))


@pytest.mark.parametrize("pix_fmt", STORED_RAW)
def test_films_with_luma_among_other_samples_are_rendered_exactly(tmp_path, pix_fmt):
    pictures = [_other_order(pix_fmt, number)[0] for number in range(2)]
    _check_exact(_write(tmp_path / "film.nut", "rawvideo", pictures), _other_order(pix_fmt)[1])


@pytest.mark.parametrize("pix_fmt", WITHOUT_LUMA)
def test_rgb_becomes_luma_of_its_depth(draw, pix_fmt):
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    frame = av.VideoFrame.from_ndarray(ramp, format="rgb24").reformat(format=pix_fmt)
    film = replace(probe(draw(frames=1)), **vars(picture_format(frame)))
    assert film.depth == {"gbrp10le": 10, "x2rgb10le": 10, "gbrp12le": 12}.get(
        pix_fmt, 16 if "16" in pix_fmt or "48" in pix_fmt or "64" in pix_fmt else 8
    )
    luma = unit_from_luma(plane_of(planar(film, frame), 0, film.depth), depth=film.depth,
                          full_range=False)  # fmt: skip
    steps = {"rgb565le": 1 / 31, "rgb8": 1 / 3, "monob": 1, "monow": 1}
    wanted = ramp[:, :, 0].astype(np.float32) / 255
    np.testing.assert_allclose(luma, wanted, atol=steps.get(pix_fmt, 1 / 219))


@pytest.mark.parametrize(
    ("pix_fmt", "planar_format"),
    [("grayf32le", "gray16le"), ("grayf16le", "gray16le"), ("gbrpf32le", "yuv444p16le")],
)
def test_floating_samples_are_read_with_16_bits(pix_fmt, planar_format):
    assert picture_format(av.VideoFrame(64, 48, pix_fmt)).planar_format == planar_format


@pytest.mark.parametrize(("codec", "name", "pix_fmt"), CODECS)
def test_films_of_many_codecs_are_rendered(draw, codec, name, pix_fmt):
    base = Fraction(1, 100) if name == "a.gif" else Fraction(1, 25)
    path = draw(name, frames=3, codec=codec, pix_fmt=pix_fmt, is_lossless=False, time_base=base)
    film = probe(path)
    before = [frame.luma.copy() for frame in read_frames(film)]
    out = probe(render(path, "out.mkv", codec="ffv1"))
    after = [frame.luma.copy() for frame in read_frames(out)]
    assert len(before) == len(after) == 3
    for wanted_luma, found in zip(before, after, strict=True):
        np.testing.assert_array_equal(wanted_luma, found)


def test_transparency_is_said_where_something_shines_through(tmp_path):
    opaque = _write(tmp_path / "opaque.mkv", "ffv1", [_planar("yuva420p", 8)])
    changes = Changes()
    list(read_frames(probe(opaque), changes=changes))
    assert not changes.sentences
    clear = _planar("yuva420p", 8)
    np.frombuffer(memoryview(clear.planes[3]), np.uint8)[:64] = 0
    list(read_frames(probe(_write(tmp_path / "clear.mkv", "ffv1", [clear])), changes=changes))
    assert ["transparency (yuva420p), which is left out" in said for said in changes.sentences] == [
        True
    ]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
def test_range_and_matrix_are_those_of_the_film(draw, full_range, matrix):
    film = probe(draw("a.mkv", frames=2, codec="ffv1", full_range=full_range, matrix=matrix))
    out = probe(render(film.path, "out.mkv", codec="ffv1"))
    assert (out.full_range, out.matrix, out.color) == (full_range, film.matrix, film.color)
    assert out.color.matrix == matrix


@pytest.mark.parametrize(("tag", "written"), [(8, 6), (7, 6), (10, 9), (14, 6)])
def test_a_matrix_that_is_not_written_is_not_named_either(draw, tag, written):
    # Chroma is made by another matrix than these, so the result must name that one.
    film = probe(draw("a.mkv", frames=1, codec="ffv1", matrix=tag))
    assert film.color.matrix == written
