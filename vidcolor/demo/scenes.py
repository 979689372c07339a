"""The demo's film: two black-and-white shots, a house on a meadow and a man in a garden."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from vidcolor.demo.drawing import (
    HEIGHT,
    MARGIN,
    WIDTH,
    Camera,
    Grey,
    Point,
    SceneLayer,
    Sheet,
    blurred,
    photograph,
)


def landscape() -> list[SceneLayer]:
    """Paint sky, far hills, woods, a house on a meadow and the trees next to it."""
    return [_sky(), _hills(), _woods(), _meadow(), _nearest_trees()]


def _sky() -> SceneLayer:
    sheet = Sheet(1)
    clouds = np.clip(sheet.noise(90, stretch=2.5) * 1.4 + 0.1, 0, 1)
    height = np.clip(sheet.y / 210, 0, 1)
    sheet.ground(-MARGIN, (0.52 + 0.30 * height + 0.34 * clouds * (1 - 0.5 * height)))
    return sheet.layer(0.1)


def _hills() -> SceneLayer:
    sheet = Sheet(2)
    ridge = 172 + 26 * sheet.noise(150)[0] + 10 * np.sin(sheet.x[0] / 70)
    sheet.ground(ridge, 0.57 + 0.03 * sheet.noise(40) - 0.0006 * (sheet.y - 170))
    return sheet.layer(0.25)


def _woods() -> SceneLayer:
    sheet = Sheet(3)
    ridge = 203 + 8 * sheet.noise(60)[0] + 5 * sheet.noise(9)[1]
    sheet.ground(ridge, 0.33 + 0.09 * sheet.noise(9, octaves=3))
    return sheet.layer(0.4)


def _meadow() -> SceneLayer:
    sheet = Sheet(4)
    depth = np.clip((sheet.y - 222) / 140, 0, 1)
    grass = sheet.noise(14, stretch=3) * 0.06 + sheet.noise(3, octaves=2) * 0.07 * (0.3 + depth)
    sheet.ground(224 + 4 * np.sin(sheet.x[0] / 110), 0.50 - 0.10 * depth + grass)
    path = [(330, 262), (352, 262), (470, 470), (270, 470)]
    sheet.polygon(path, 0.70 + 0.05 * sheet.noise(5), soft_px=2)
    _house(sheet)
    _tree(sheet, (150, 258), 118)
    _tree(sheet, (545, 246), 84)
    return sheet.layer(0.6)


def _house(sheet: Sheet) -> None:
    planks = 0.02 * np.sign(np.sin(sheet.y * 1.05)) + 0.015 * sheet.noise(12)
    tiles = 0.03 * np.sign(np.sin(sheet.y * 1.6)) + 0.05 * sheet.noise(3, octaves=2)
    sheet.ellipse((330, 266), (115, 9), 0.30, soft_px=4)
    sheet.polygon([(255, 190), (385, 190), (385, 264), (255, 264)], 0.80 + planks)
    sheet.polygon([(385, 190), (412, 166), (438, 190), (438, 262), (385, 264)], 0.62 + planks)
    sheet.polygon([(293, 122), (312, 122), (312, 160), (293, 160)], 0.40 + tiles)
    sheet.polygon([(243, 193), (277, 143), (412, 143), (386, 193)], 0.34 + tiles)
    sheet.polygon([(386, 193), (412, 143), (446, 192), (438, 194), (412, 160)], 0.28 + tiles)
    for left in (268, 356):
        _window(sheet, left, 208, 20)
    _window(sheet, 402, 206, 16)
    sheet.polygon([(315, 212), (341, 212), (341, 264), (315, 264)], 0.90)
    sheet.polygon([(318, 215), (338, 215), (338, 264), (318, 264)], 0.27 + 0.03 * sheet.noise(6))


def _window(sheet: Sheet, left: float, top: float, width: float) -> None:
    def pane(inset: float, tone: Grey | float) -> None:
        right, bottom = left + width - inset, top + 1.3 * width - inset
        x, y = left + inset, top + inset
        sheet.polygon([(x, y), (right, y), (right, bottom), (x, bottom)], tone)

    pane(-2.5, 0.92)
    pane(0, 0.17 + 0.15 * np.clip((sheet.x - left) / width, 0, 1))
    middle, foot = left + width / 2, top + 1.3 * width
    sheet.polygon(
        [(middle - 1, top), (middle + 1, top), (middle + 1, foot), (middle - 1, foot)], 0.9
    )


def _tree(sheet: Sheet, foot: Point, height: float) -> None:
    """Paint a trunk and a crown of leaf clumps that are lit from the upper left."""
    x, y = foot
    trunk, crown = height * 0.05, y - height * 0.66
    sheet.ellipse((x + 6, y), (height * 0.36, 6), 0.26, soft_px=3)
    bark = 0.24 + 0.05 * sheet.noise(4)
    sheet.polygon(
        [(x - trunk, y), (x - trunk / 2, crown), (x + trunk / 2, crown), (x + trunk, y)], bark
    )
    leaves = 0.09 * sheet.noise(4, octaves=3)
    for _ in range(46):
        angle, distance = sheet.random.uniform(0, 2 * np.pi), np.sqrt(sheet.random.uniform())
        dx, dy = distance * np.cos(angle), distance * np.sin(angle)
        centre = (x + dx * height * 0.32, crown + dy * height * 0.30)
        radius = height * sheet.random.uniform(0.06, 0.12)
        lit = 0.33 - 0.10 * dx * 0.6 - 0.12 * dy + sheet.random.uniform(-0.04, 0.04)
        sheet.ellipse(centre, (radius * 1.2, radius), lit + leaves, soft_px=0.6)


def _nearest_trees() -> SceneLayer:
    sheet = Sheet(5)
    _tree(sheet, (-20, 400), 330)
    edge = 338 + 7 * sheet.noise(30)[0] + 9 * np.abs(sheet.noise(3, octaves=2)[3])
    sheet.ground(edge, 0.27 + 0.08 * sheet.noise(4, octaves=2))
    return sheet.layer(1.0)


def portrait() -> list[SceneLayer]:
    """Paint a man in a coat in front of a garden out of focus."""
    return [_garden(), _man()]


def _garden() -> SceneLayer:
    sheet = Sheet(6)
    light = np.clip(1 - np.hypot(sheet.x - 120, sheet.y - 30) / 520, 0, 1)
    foliage = blurred(sheet.noise(34, octaves=3), 2.5)
    sheet.ground(-MARGIN, 0.24 + 0.24 * light + 0.11 * foliage)
    for _ in range(46):
        centre = sheet.random.uniform(-60, 700), sheet.random.uniform(-40, 240)
        radius = sheet.random.uniform(5, 15)
        sheet.ellipse(centre, (radius, radius), sheet.tone + 0.10, soft_px=2)
    lawn = 0.45 + 0.05 * blurred(sheet.noise(8, stretch=3), 1.5)
    sheet.polygon([(-200, 290), (900, 275), (900, 500), (-200, 500)], lawn, soft_px=7)
    return sheet.layer(0.35)


def _man() -> SceneLayer:
    sheet = Sheet(7)
    _coat(sheet)
    _head(sheet)
    _face(sheet)
    return sheet.layer(1.0)


def _coat(sheet: Sheet) -> None:
    cloth = 0.22 + 0.03 * sheet.noise(3, octaves=2) - 0.0004 * (sheet.x - 330)
    left = [(180, 470), (188, 352), (212, 318), (262, 298), (296, 284)]
    right = [(364, 284), (398, 298), (448, 318), (472, 352), (480, 470)]
    sheet.polygon(left + right, cloth + 0.03 * blurred(sheet.noise(40), 2), soft_px=1)
    skin = 0.50 + 0.001 * (330 - sheet.x)
    sheet.polygon([(300, 238), (360, 238), (366, 300), (330, 322), (294, 300)], skin, soft_px=1.5)
    shirt = 0.86 + 0.02 * sheet.noise(8)
    sheet.polygon(
        [(294, 280), (330, 326), (366, 280), (376, 300), (336, 470), (322, 470), (284, 300)], shirt
    )
    sheet.polygon([(322, 318), (338, 318), (344, 332), (348, 470), (312, 470), (316, 332)], 0.33)
    for sign in (-1, 1):
        lapel = [
            (330 + sign * dx, y) for dx, y in ((46, 286), (66, 330), (50, 342), (12, 470), (6, 470))
        ]
        sheet.polygon(lapel, cloth + 0.05, soft_px=0.5)


def _head(sheet: Sheet) -> None:
    hair = 0.16 + 0.05 * sheet.noise(2, octaves=2) + 0.10 * np.exp(-(((sheet.x - 305) / 26) ** 2))
    for x in (270, 390):
        sheet.ellipse((x, 190), (9, 18), 0.56, soft_px=1)
    sheet.ellipse((330, 152), (66, 70), hair, soft_px=1)
    u, v = (sheet.x - 330) / 60, (sheet.y - 186) / 80
    shade = -0.10 * u - 0.05 * v - 0.16 * np.clip(u * u + v * v, 0, 1.5) ** 2
    skin = 0.73 + shade + 0.008 * sheet.noise(5)
    sheet.ellipse((330, 186), (59, 78), skin.astype(np.float32), soft_px=1)
    fringe: list[Point] = [(268, 160), (276, 118), (310, 96), (352, 94), (384, 118), (392, 160)]
    sheet.polygon(
        [*fringe, (380, 142), (352, 128), (318, 132), (288, 138), (278, 150)], hair, soft_px=1.5
    )


def _face(sheet: Sheet) -> None:
    skin = sheet.tone.copy()
    for x in (306, 356):
        sheet.ellipse((x, 178), (17, 10), skin - 0.09, soft_px=4)
        sheet.ellipse((x, 180), (10, 5), 0.84, soft_px=0.6)
        sheet.ellipse((x + 1, 180), (4.6, 4.8), 0.24, soft_px=0.5)
        sheet.ellipse((x - 0.5, 178.5), (1.2, 1.2), 0.97)
        lid = [
            (x - 11, 179),
            (x - 4, 173.5),
            (x + 5, 173.5),
            (x + 11, 179),
            (x + 4, 175.5),
            (x - 4, 175.5),
        ]
        sheet.polygon(lid, 0.22, soft_px=0.5)
        brow = [
            (x - 15, 167),
            (x - 3, 162),
            (x + 13, 165),
            (x + 13, 168),
            (x - 2, 166),
            (x - 15, 170),
        ]
        sheet.polygon(brow, 0.24, soft_px=0.9)
    sheet.polygon([(333, 176), (341, 210), (335, 218), (329, 216)], skin - 0.10, soft_px=3)
    sheet.ellipse((325, 208), (5, 9), skin + 0.07, soft_px=3)
    sheet.ellipse((331, 217), (11, 2.5), skin - 0.20, soft_px=1.6)
    sheet.polygon(
        [(306, 233), (323, 231), (331, 233), (339, 231), (357, 233), (331, 239)], 0.47, soft_px=0.8
    )
    sheet.polygon([(306, 233), (331, 238), (357, 233), (344, 243), (319, 243)], 0.56, soft_px=0.9)
    sheet.polygon([(305, 232.5), (331, 236.5), (358, 232.5), (331, 239)], 0.27, soft_px=0.6)
    sheet.ellipse((331, 252), (14, 3), skin - 0.07, soft_px=2.5)


RATE = 24
"""Frames of a drawn film a second."""

SHOTS: tuple[tuple[Callable[[], list[SceneLayer]], Camera, Camera], ...] = (
    (landscape, Camera(-60, 0, 1.0), Camera(50, 0, 1.0)),
    (portrait, Camera(-12, 4, 1.0), Camera(14, -4, 1.12)),
)
"""Each shot: its layers, and where its camera starts and ends."""


def frames(frames_of_shot: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the film's frames, (HEIGHT, WIDTH) limited-range luma, with a little film grain."""
    random = np.random.default_rng(0)
    for paint, start, end in SHOTS:
        layers = paint()
        for index in range(frames_of_shot):
            share = index / max(1, frames_of_shot - 1)
            camera = Camera(
                start.right + share * (end.right - start.right),
                start.down + share * (end.down - start.down),
                start.zoom + share * (end.zoom - start.zoom),
            )
            grain = random.standard_normal((HEIGHT, WIDTH)).astype(np.float32)
            picture = photograph(layers, camera) + 0.008 * grain
            # BT.601-7, 2.5.3: black is 16, white is 235.
            yield (16 + 219 * np.clip(picture, 0, 1)).round().astype(np.uint8)
