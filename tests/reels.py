"""Reels of luma whose cuts, dissolves and fades are known, drawn to try the shot detector on.

    reel = Reel(seed=1)
    reel.shot(40, pan_px=3)
    reel.dissolve(16)
    reel.shot(30)
    frames, truth = reel.finish(grain=0.02)

A shot is a random picture, larger than the frame, over which a camera moves, with a shape that
moves on its own before it. Frames are (HEIGHT, WIDTH) float32 in [0, 1].
"""

from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 128, 72
MARGIN = 160
"""How far a camera may travel on each side, pixels."""


@dataclass
class Truth:
    """Where the shots of a reel meet."""

    cuts: list[int] = field(default_factory=list)
    """First frames after a cut."""
    dissolves: list[tuple[int, int]] = field(default_factory=list)
    """First and last frame that show two shots."""
    fade_outs: list[tuple[int, int]] = field(default_factory=list)
    fade_ins: list[tuple[int, int]] = field(default_factory=list)


class Reel:
    """A reel being drawn, shot after shot; two shots meet in a cut where nothing else is said."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._frames: list[np.ndarray] = []
        self._truth = Truth()
        self._join, self._length = "start", 0

    def shot(self, frames: int, *, pan_px: float = 0.3, zoom: float = 0, shape_px: float = 1):
        """Add a shot: pixels a frame that the camera and the shape move, growth a frame."""
        length = self._length if self._join in ("dissolve", "fade_in") else 0
        pictures = list(self._filmed(frames + length, pan_px, zoom, shape_px))
        first = len(self._frames)
        if self._join == "cut":
            self._truth.cuts.append(first)
        elif self._join == "dissolve":
            self._mix(pictures[:length])
            pictures = pictures[length:]
            self._truth.dissolves.append((first - length, first - 1))
        elif self._join == "fade_in":
            pictures = self._faded(pictures, length)
            self._truth.fade_ins.append((first, first + length - 1))
        self._frames += pictures
        self._join = "cut"
        return self

    def dissolve(self, frames: int):
        """Let the last frames of the shot before and the first of the next one be one picture."""
        self._join, self._length = "dissolve", frames
        return self

    def fade(self, frames: int, black: int = 6):
        """Let the last frames of the shot before go black, and the next one come out of it."""
        end = len(self._frames)
        self._frames[-frames:] = self._faded(self._frames[-frames:][::-1], frames)[::-1]
        self._truth.fade_outs.append((end - frames, end - 1))
        self._frames += [np.zeros((HEIGHT, WIDTH), np.float32)] * black
        self._join, self._length = "fade_in", frames
        return self

    def flash(self, frames: int, *, ago: int, level: float = 1.0):
        """Let frames of the last shot be white, the first of them so many before its end."""
        for number in range(len(self._frames) - ago, len(self._frames) - ago + frames):
            self._frames[number] = np.clip(self._frames[number] * (1 - level) + level, 0, 1)
        return self

    def finish(self, *, grain: float = 0.0, flicker: float = 0.0):
        """Return the frames, each with grain and its own brightness, and where shots meet."""
        gain = self._random.normal(1, flicker, len(self._frames))
        noise = self._random.standard_normal((len(self._frames), HEIGHT, WIDTH)) * grain
        frames = np.clip(np.stack(self._frames) * gain[:, None, None] + noise, 0, 1)
        return list(frames.astype(np.float32)), self._truth

    def _mix(self, coming: list[np.ndarray]) -> None:
        for number, picture in enumerate(coming):
            at = len(self._frames) - len(coming) + number
            share = np.float32((number + 1) / (len(coming) + 1))
            self._frames[at] = (1 - share) * self._frames[at] + share * picture

    def _faded(self, pictures: list[np.ndarray], length: int) -> list[np.ndarray]:
        shares = np.minimum(np.arange(1, len(pictures) + 1) / (length + 1), 1)
        return [p * np.float32(share) for p, share in zip(pictures, shares, strict=True)]

    def _filmed(self, frames: int, pan_px: float, zoom: float, shape_px: float):
        random = self._random
        sheet, shape = self._painted(), random.uniform(0, 1)
        angle = random.uniform(0, 2 * np.pi)
        across, down = pan_px * np.cos(angle), pan_px * np.sin(angle) / 2
        x, y = random.uniform(0.3, 0.7) * WIDTH, random.uniform(0.3, 0.7) * HEIGHT
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        for number in range(frames):
            since = number - frames / 2
            scale = 1 + zoom * number
            left, top = MARGIN + across * since, MARGIN / 2 + down * since
            place = np.array(((1 / scale, 0, left), (0, 1 / scale, top)))
            picture = cv2.warpAffine(
                sheet, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )  # fmt: skip
            far = (columns - x - shape_px * since) ** 2 + (rows - y) ** 2
            yield np.where(far < (HEIGHT / 6) ** 2, np.float32(shape), picture)

    def _painted(self) -> np.ndarray:
        """Return a sheet of clouds at three scales with boxes on it, of some brightness."""
        random, size = self._random, (WIDTH + 2 * MARGIN, HEIGHT + MARGIN)
        sheet = np.zeros(size[::-1], np.float32)
        for cells, weight in ((4, 1.0), (9, 0.7), (24, 0.4)):
            grid = random.standard_normal((cells, 2 * cells)).astype(np.float32)
            sheet += weight * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            left, top = random.integers(0, size[0]), random.integers(0, size[1])
            width, height = random.integers(8, 60, 2)
            sheet[top : top + height, left : left + width] += random.normal(0, 1.5)
        low, high = np.percentile(sheet, (2, 98))
        dark, light = sorted(random.uniform(0.05, 0.95, 2))
        light = min(0.95, max(light, dark + 0.3))
        return np.clip(dark + (sheet - low) / (high - low) * (light - dark), 0, 1)


def draw_dissolves(path: Path) -> Path:
    """Write a film of four shots that dissolve into each other."""
    reel = Reel(5).shot(40)
    for _ in range(3):
        reel.dissolve(20).shot(40)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "gray"
        for frame in reel.finish(grain=0.01)[0]:
            codes = (frame * 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(codes, format="gray")))
        container.mux(video.encode(None))
    return path
