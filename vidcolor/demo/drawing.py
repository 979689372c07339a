"""Drawing in grey: sheets to paint on, and a camera that moves over several of them.

    sheet = Sheet(seed=1)
    sheet.ellipse((320, 180), (60, 80), 0.7, soft_px=1)
    picture = photograph([sheet.layer(nearness=1.0)], Camera(right=10, down=0, zoom=1.0))

A sheet is painted once, at twice the size. When the camera moves, near sheets move further than
distant ones. Grey values are in [0, 1]; positions are pixels of the picture, including margins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 360
MARGIN = 100
"""Pixels on each side of the picture that the camera can move into."""
FINENESS = 2
"""Layers are painted this many times larger and then shrunk, which smooths edges."""

Grey = NDArray[np.float32]
Point = tuple[float, float]


@dataclass(frozen=True)
class SceneLayer:
    """A painted sheet: what it shows, where it is opaque, how much it moves with the camera."""

    tone: Grey
    cover: Grey
    nearness: float


class Sheet:
    """A layer to paint on; positions are pixels of the picture, including margins."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.shape = (
            (HEIGHT + 2 * MARGIN) * FINENESS,
            (WIDTH + 2 * MARGIN) * FINENESS,
        )
        self.tone = np.zeros(self.shape, np.float32)
        self.cover = np.zeros(self.shape, np.float32)
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        self.x, self.y = columns / FINENESS - MARGIN, rows / FINENESS - MARGIN

    def noise(self, cell_px: float, *, stretch: float = 1, octaves: int = 4) -> Grey:
        """Return cloudy noise around 0, about -1 to 1; the largest cells measure `cell_px`."""
        height, width = self.shape
        total = np.zeros(self.shape, np.float32)
        for octave in range(octaves):
            cell = max(cell_px * FINENESS / 2**octave, 1)
            rows, columns = int(height / cell) + 2, int(width / (cell * stretch)) + 2
            grid = self.random.standard_normal((rows, columns)).astype(np.float32)
            grown = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
            total += np.asarray(grown, np.float32) * 0.5**octave / 2
        return total

    def ground(self, edge_y: Grey | float, tone: Grey) -> None:
        """Paint everything below a line."""
        mask = np.clip((self.y - edge_y) * FINENESS + 0.5, 0, 1).astype(np.float32)
        self._paint(mask, tone, np.s_[:, :])

    def polygon(self, points: Sequence[Point], tone: Grey | float, *, soft_px: float = 0) -> None:
        """Paint a polygon."""
        corners = ((np.array(points) + MARGIN) * FINENESS).round().astype(np.int32)
        box = self._box(corners.min(0), corners.max(0), soft_px)
        mask = np.zeros(self.tone[box].shape, np.float32)
        cv2.fillPoly(mask, [corners - (box[1].start, box[0].start)], 1.0)
        self._paint(blurred(mask, soft_px), tone, box)

    def ellipse(
        self, centre: Point, radii: Point, tone: Grey | float, *, soft_px: float = 0
    ) -> None:
        """Paint an ellipse."""
        middle, reach = np.array(centre) + MARGIN, np.array(radii)
        box = self._box((middle - reach) * FINENESS, (middle + reach) * FINENESS, soft_px)
        across, down = (self.x[box] - centre[0]) / radii[0], (self.y[box] - centre[1]) / radii[1]
        inside = (1 - np.hypot(across, down)) * min(radii) * FINENESS
        mask = np.clip(inside + 0.5, 0, 1).astype(np.float32)
        self._paint(blurred(mask, soft_px), tone, box)

    def _box(
        self, low: NDArray[np.float64], high: NDArray[np.float64], soft_px: float
    ) -> tuple[slice, slice]:
        """Return the rows and columns that a shape and its blur touch."""
        reach = 2 + 3 * soft_px * FINENESS
        left, top = np.maximum(low - reach, 0).astype(int)
        right, bottom = np.maximum(high + reach, 0).astype(int)
        return slice(top, bottom + 1), slice(left, right + 1)

    def _paint(self, mask: Grey, tone: Grey | float, box: tuple[slice, slice]) -> None:
        new_tone = tone[box] if isinstance(tone, np.ndarray) else tone
        self.tone[box] += mask * (new_tone - self.tone[box])
        self.cover[box] = np.maximum(self.cover[box], mask)

    def layer(self, nearness: float) -> SceneLayer:
        """Return the painted layer, at the picture's scale."""
        size = self.shape[1] // FINENESS, self.shape[0] // FINENESS
        tone = cv2.resize(self.tone * self.cover, size, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(self.cover, size, interpolation=cv2.INTER_AREA)
        return SceneLayer(np.asarray(tone, np.float32), np.asarray(cover, np.float32), nearness)


def blurred(mask: Grey, soft_px: float) -> Grey:
    """Return the mask with edges as soft as `soft_px`."""
    if not soft_px:
        return mask
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft_px * FINENESS), np.float32)


@dataclass(frozen=True)
class Camera:
    """The camera's position: pixels to the right and down, and zoom factor."""

    right: float
    down: float
    zoom: float


def photograph(layers: list[SceneLayer], camera: Camera) -> Grey:
    """Return (HEIGHT, WIDTH) grey in [0, 1]: the layers seen by the camera."""
    picture = np.zeros((HEIGHT, WIDTH), np.float32)
    for layer in layers:
        zoom = 1 + (camera.zoom - 1) * layer.nearness
        across = WIDTH / 2 - zoom * (WIDTH / 2 + MARGIN + camera.right * layer.nearness)
        down = HEIGHT / 2 - zoom * (HEIGHT / 2 + MARGIN + camera.down * layer.nearness)
        place = np.array(((zoom, 0, across), (0, zoom, down)))
        tone, cover = (
            cv2.warpAffine(sheet, place, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
            for sheet in (layer.tone, layer.cover)
        )
        picture += tone - cover * picture
    return picture
