"""The demo's scenes as a film of any size and length: what `bench` colours if it is given none."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidcolor.demo.scenes import RATE, SHOTS, frames

SHORTEST_SHOT = 60
"""Frames that a shot lasts at the least: a shorter film shows its beginning."""
GRAIN_CODES = 2.0
"""Standard deviation of the grain, 8-bit codes. With it x264 takes as long as for scanned film
(about 100 ms of CPU to decode and encode a 1080p frame with the preset veryfast), without less."""
GRAIN_BLUR_PX = 0.8
"""Its softness: a grain covers more than a pixel of a scan."""
GRAIN_SLACK_PX = 64
"""The sheet of grain is so much larger than the picture, and lies otherwise on each frame."""
ENCODER = {"preset": "veryfast", "crf": "18", "x264-params": "mbtree=0"}
"""Fine enough that the grain stays; with mb-tree, the file would be another one each time."""
BLACK, WHITE = 16, 235
"""BT.709-6, 3.4, of 8 bits."""


def draw_reel(path: Path, *, height: int, frame_count: int) -> Path:
    """Write a drawn black-and-white film in grey, H.264 in MP4, 16:9, and return its path.

    Args:
        path: of the film, which is replaced.
        height: of its pictures, pixels, even.
        frame_count: how many there are, RATE a second.
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
