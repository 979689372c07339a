"""Reading from any start gives the very frames that reading from the beginning does."""

from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest

from tests.clips import draw_clip
from vidcolor.media.decode import read_frames
from vidcolor.media.probe import probe

FRAMES = 120
UNEVEN = tuple(
    Fraction(int(tick), 100)
    for tick in np.cumsum(np.random.default_rng(5).integers(1, 12, FRAMES)) - 1
)
H264 = {"codec": "libx264"}
X264 = "x264-params"
TICK = Fraction(1, 25)
PARTS = {"codec": "mpeg2video", "time_base": TICK}
HEVC = {
    "codec": "libx265",
    "codec_options": {"x265-params": "open-gop=1:keyint=25:log-level=none"},
    "is_lossless": False,
}
FILMS: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {**H264, "codec_options": {"g": "40", "bf": "3"}},
    "b-frames.mkv": {**H264, "codec_options": {"g": "40", "bf": "3"}},
    "b-frames.ts": {**H264, "codec_options": {"g": "40", "bf": "3"}},
    "b-frames.avi": {**H264, "codec_options": {"g": "40", "bf": "2"}},
    "b-frames.flv": {**H264, "codec_options": {"g": "40", "bf": "3"}},
    "b-frames.nut": {**H264, "codec_options": {"g": "40", "bf": "3"}},
    "one-key.mp4": {**H264, "codec_options": {"g": "999", "sc_threshold": "0"}},
    "open-gop.mp4": {**H264, "codec_options": {X264: "open-gop=1:keyint=20:bframes=3"}},
    "open-gop.ts": {**H264, "codec_options": {X264: "open-gop=1:keyint=20:bframes=3"}},
    "open-gop.mkv": {**H264, "codec_options": {X264: "open-gop=1:keyint=20:bframes=3"}},
    "refresh.mp4": {**H264, "codec_options": {X264: "intra-refresh=1:keyint=50"}},
    "refresh.ts": {**H264, "codec_options": {X264: "intra-refresh=1:keyint=50"}},
    "refresh.mkv": {**H264, "codec_options": {X264: "intra-refresh=1:keyint=50"}},
    "uneven.mp4": {**H264, "times": UNEVEN, "time_base": Fraction(1, 90000)},
    "uneven.mkv": {**H264, "times": UNEVEN},
    "late.ts": {**H264, "first_seconds": 3, "codec_options": {"g": "15"}, "audio": 1},
    "hevc.mp4": HEVC,
    "hevc.ts": HEVC,
    "mpeg2.ts": {**PARTS, "codec_options": {"g": "15", "bf": "2"}},
    "mpeg4.ts": {"codec": "mpeg4", "codec_options": {"g": "75", "bf": "2"}, "time_base": TICK},
    "mpeg2.mpg": {**PARTS, "codec_options": {"g": "15", "bf": "2"}},
    "mpeg2.mkv": {**PARTS, "codec_options": {"g": "60", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "codec_options": {"g": "30", "bf": "2"}},
    "mpeg4.mp4": {"codec": "mpeg4", "codec_options": {"g": "30", "bf": "2"}, "time_base": TICK},
    "msmpeg4.avi": {"codec": "msmpeg4v3", "codec_options": {"g": "30"}},
    "wmv2.asf": {"codec": "wmv2", "codec_options": {"g": "30"}},
    "vp8.webm": {"codec": "libvpx", "codec_options": {"g": "30", "lag-in-frames": "16"}},
    "vp9.webm": {"codec": "libvpx-vp9", "codec_options": {"g": "30", "cpu-used": "8"}},
    "av1.mp4": {"codec": "libsvtav1", "codec_options": {"g": "30", "preset": "12"}},
    "ffv1.mkv": {"codec": "ffv1"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "gif.gif": {"codec": "gif", "pix_fmt": "rgb8", "time_base": Fraction(1, 100)},
    "raw.h264": {**H264, "codec_options": {"g": "20", "bf": "2"}},
}  # fmt: skip
"""What makes seeking hard: order, references across keyframes, none at all, uneven or no times."""


@pytest.fixture(scope="module", params=FILMS)
def film_and_frames(request, tmp_path_factory):
    """Return a film and its frames' times and luma, read from the beginning."""
    folder = tmp_path_factory.mktemp("seek")
    path = draw_clip(folder / request.param, frames=FRAMES, cuts=(33, 70), **FILMS[request.param])
    film = probe(path)
    return film, [(frame.pts, frame.luma.tobytes()) for frame in read_frames(film)]


def test_a_part_is_what_reading_from_the_beginning_gives(film_and_frames):
    film, whole = film_and_frames
    assert len(whole) >= FRAMES - 1
    for number in (*range(1, len(whole), 29), len(whole) - 1):
        for ticks_early in (0, 1):
            tick = max(whole[number][0] - ticks_early, whole[number - 1][0] + 1)
            start = tick * film.time_base - film.start_seconds
            part = islice(read_frames(film, start=start), 10)
            found = [(frame.pts, frame.luma.tobytes()) for frame in part]
            assert found == whole[number : number + 10], f"from frame {number}"
