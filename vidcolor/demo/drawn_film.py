"""The demo's scenes as a film of any size and length, for `bench`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.demo.scenes import RATE, SHOTS, frames

SHORTEST_SHOT = 60
"""Least frames of a shot; a shorter film is cut off."""
GRAIN_CODES = 2.0
"""Standard deviation of the grain, 8-bit codes. With it, x264 takes as long as for scanned film
(about 100 ms of CPU to decode and encode a 1080p frame with preset veryfast); without it, less."""
GRAIN_BLUR_PX = 0.8
"""Blur of the grain: in a scan, a grain covers more than one pixel."""
GRAIN_SLACK_PX = 64
"""How much larger than the picture the grain is drawn; each frame shows another part of it."""
ENCODER = {"preset": "veryfast", "crf": "18", "x264-params": "mbtree=0"}
"""crf 18 keeps the grain; mb-tree is off because the file would vary from run to run."""
BLACK, WHITE = 16, 235
"""BT.709-6, 3.4, of 8 bits."""


def draw_reel(path: Path, *, height: int, frame_count: int) -> Path:
    """Write a drawn black-and-white film in grey, H.264 in MP4, 16:9, and return its path.

    Args:
        path: the film; replaced if it exists.
        height: of its frames, pixels, even.
        frame_count: number of frames, RATE per second.
    """
    width = 2 * round(height * 8 / 9)
    grey = np.full((height // 2, width), 128, np.uint8)
    with av.open(f"file:{path}", "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=RATE, options=dict(ENCODER))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for luma_hw in _grained(frame_count, height, width):
            picture = av.VideoFrame.from_ndarray(np.concatenate((luma_hw, grey)), format="yuv420p")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return path


def _grained(frame_count: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    size = height + GRAIN_SLACK_PX, width + GRAIN_SLACK_PX
    grain = random.standard_normal(size, dtype=np.float32)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), GRAIN_BLUR_PX), np.float32)
    codes = np.rint(grain * (GRAIN_CODES / grain.std())).astype(np.int16)
    frames_of_shot = max(SHORTEST_SHOT, -(-frame_count // len(SHOTS)))
    for drawn in islice(frames(frames_of_shot), frame_count):
        large = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
        down, right = random.integers(0, GRAIN_SLACK_PX, 2)
        lit = large + codes[down : down + height, right : right + width]
        yield np.clip(lit, BLACK, WHITE).astype(np.uint8)
