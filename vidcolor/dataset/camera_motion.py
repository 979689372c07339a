"""Make a window from a photo: three views of a camera that moves over it.

The same photo three times would teach a network that neighbours are copies. Here the view moves
between the frames as in film: it pans, zooms and rotates, by fractions of a pixel, and stays inside
the photo.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

FASTEST = (0.03, 0.006, 0.34)
"""Pan in short sides, zoom as a logarithm, turn in degrees: most that a view moves from one frame
to the next.

The 97th percentiles of 900 pairs of frames from 27 clips, hand-held, driven and animated, each
pair aligned by its corners.
"""

SPEED_POWER = 4
"""Of a uniform number that gives speeds those clips' spread: half of them under a 16th of FASTEST.

Clips have 0.2 % (median), 0.7 % (upper quartile) and 1.9 % (90th percentile) of pan; the power
gives 0.2, 0.9 and 2.0 %.
"""

SHAKE = 0.3
"""Most by which two successive movements differ, of FASTEST: 0.9 % of pan, where clips have 0.6 %
(90th percentile)."""


@dataclass(frozen=True)
class _Pose:
    """A camera's view, relative to the window's middle frame."""

    x: float
    """Right of it, short sides."""
    y: float
    """Below it, short sides."""
    scale: float
    """Height of the view, of the middle frame's."""
    angle: float
    """Radians."""


def moving_window(
    photo_3HW: Tensor, height: int, width: int, random: np.random.Generator
) -> Tensor:
    """Return three frames (3, 3, h, w) of a moving camera that covers nearly all of a photo.

    Args:
        photo_3HW: (3, H, W), floats of any range; best of the window's shape.
        height: of the frames, pixels.
        width: of the frames, pixels.
        random: decides the movement.
    """
    steady = _movement(random)
    before, after = (steady + SHAKE * _movement(random) for _ in range(2))
    poses = [_pose(-before), _pose(np.zeros(4)), _pose(after)]
    half_width, half_height = width / min(height, width) / 2, height / min(height, width) / 2
    share = _largest_view(poses, half_width, half_height)
    # Downscaled first, against moire, then sampled.
    size = round(height / share), round(width / share)
    small_13hw = functional.interpolate(
        photo_3HW[None], size, mode="bilinear", antialias=True, align_corners=False
    )
    views = [_affine(pose, share, half_width, half_height) for pose in poses]
    grid = functional.affine_grid(torch.tensor(views), [3, 3, height, width], align_corners=False)
    return functional.grid_sample(
        small_13hw.expand(3, -1, -1, -1), grid, "bicubic", "border", align_corners=False
    )


def _movement(random: np.random.Generator) -> NDArray[np.float64]:
    """Return x, y, logarithm of zoom and radians by which a view moves in a frame."""
    uniform = random.uniform(-1, 1, 3)
    pan, zoom, turn = np.sign(uniform) * np.abs(uniform) ** SPEED_POWER * FASTEST
    direction = random.uniform(0, math.pi)
    return np.array(
        (pan * math.cos(direction), pan * math.sin(direction), zoom, math.radians(turn))
    )


def _pose(movement: NDArray[np.float64]) -> _Pose:
    x, y, zoom, angle = (float(value) for value in movement)
    return _Pose(x, y, math.exp(zoom), angle)


def _largest_view(poses: list[_Pose], half_width: float, half_height: float) -> float:
    """Return the largest share of the photo's sides with every pose's view inside the photo."""
    shares = []
    for pose in poses:
        cosine, sine = math.cos(pose.angle), abs(math.sin(pose.angle))
        reach_x = pose.scale * (cosine * half_width + sine * half_height)
        reach_y = pose.scale * (sine * half_width + cosine * half_height)
        shares += [
            (half_width - abs(pose.x)) / reach_x,
            (half_height - abs(pose.y)) / reach_y,
        ]
    return min(shares)


def _affine(pose: _Pose, share: float, half_width: float, half_height: float) -> list[list[float]]:
    """Return the matrix for `affine_grid`: from a place in a view to one in the photo, both ±1."""
    cosine, sine = (share * pose.scale * turn(pose.angle) for turn in (math.cos, math.sin))
    aspect = half_height / half_width
    return [
        [cosine, -sine * aspect, pose.x / half_width],
        [sine / aspect, cosine, pose.y / half_height],
    ]
