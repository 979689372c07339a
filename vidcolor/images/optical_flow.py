"""Does the color move with the picture: chroma compared along the motion of the luma.

Flow is computed on the film's own luma, never on a result: bad color cannot hide itself in it.
Of two neighbours, the later one's pixels are looked up in the earlier one, so the flow that is
used leads from the later to the earlier.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Motion:
    """Where each pixel of a frame was in the frame before."""

    backward_2hw: Tensor
    """x and y offsets (2, h, w) in pixels, from this frame to the one before; float32."""
    visible_hw: Tensor
    """(h, w) bool: the pixel was in the picture, unhidden, and is not on an edge of motion."""


def find_motion(previous_hw: NDArray[np.float32], luma_hw: NDArray[np.float32]) -> Motion:
    """Return the motion from the frame before to this one, by DIS optical flow of their luma.

    Args:
        previous_hw: luma of the frame before, (h, w) in [0, 1], at least 8 pixels (one patch) a
            side.
        luma_hw: luma of this frame.
    """
    before, now = _codes(previous_hw), _codes(luma_hw)
    backward, forward = _flow(now, before), _flow(before, now)
    return Motion(backward, visible_pixels(forward, backward))


def _codes(luma_hw: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(luma_hw.clip(0, 1) * 255).astype(np.uint8)


def _flow(start_hw: NDArray[np.uint8], end_hw: NDArray[np.uint8]) -> Tensor:
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The stubs know no None, but a flow that is given would be where the search starts.
    flow_hw2 = finder.calc(start_hw, end_hw, None)  # type: ignore[call-overload]
    return torch.from_numpy(np.ascontiguousarray(flow_hw2.transpose(2, 0, 1)))


def visible_pixels(forward_2hw: Tensor, backward_2hw: Tensor) -> Tensor:
    """Return which pixels (h, w) of a frame can be compared with the frame before.

    Sundaram, Brox and Keutzer 2010, equations 5 and 6: left out is where the two flows do not
    cancel (hidden in one of the frames) and where the flow has an edge. Pixels that come from
    outside the picture are left out too.

    Args:
        forward_2hw: flow from the frame before to this one, in pixels.
        backward_2hw: flow from this frame to the one before.
    """
    returned_2hw = warp(forward_2hw, backward_2hw)
    lengths = returned_2hw.square().sum(dim=0) + backward_2hw.square().sum(dim=0)
    cancels = (returned_2hw + backward_2hw).square().sum(dim=0) <= 0.01 * lengths + 0.5
    slopes = torch.stack(torch.gradient(backward_2hw, dim=(1, 2))).square().sum(dim=(0, 1))
    is_smooth = slopes <= 0.01 * backward_2hw.square().sum(dim=0) + 0.002
    return cancels & is_smooth & _is_inside(backward_2hw)


def warp(planes: Tensor, flow_2hw: Tensor) -> Tensor:
    """Return planes (C, h, w) looked up where the flow (2, h, w) points, bilinearly.

    The value at (x, y) is that of `planes` at (x, y) + flow; beyond the edge, the edge's.
    """
    points = _points(flow_2hw)
    height, width = flow_2hw.shape[1:]
    size = points.new_tensor((width, height))
    # grid_sample counts from -1 at the left edge of the first pixel to 1 at the right of the last.
    grid = (points.permute(1, 2, 0) * 2 + 1) / size - 1
    sampled: Tensor = F.grid_sample(
        planes[None].to(grid.dtype), grid[None], padding_mode="border", align_corners=False
    )
    return sampled.squeeze(0)


def _points(flow_2hw: Tensor) -> Tensor:
    rows, columns = (torch.arange(n).to(flow_2hw) for n in flow_2hw.shape[1:])
    return flow_2hw + torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


def _is_inside(flow_2hw: Tensor) -> Tensor:
    x, y = _points(flow_2hw)
    height, width = flow_2hw.shape[1:]
    inside: Tensor = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside


def carry(previous_B1hw: Tensor, luma_B1hw: Tensor, color_Bchw: Tensor) -> tuple[Tensor, Tensor]:
    """Move color along the motion from one frame to the next; differentiable in the color.

    Args:
        previous_B1hw: Y' of the frames before, in [0, 1].
        luma_B1hw: Y' of the frames.
        color_Bchw: color of the frames before.

    Returns:
        That color in its new place (B, c, h, w), and where it can be seen (B, h, w), bool.
    """
    motions = [
        find_motion(before_1hw[0].cpu().numpy(), now_1hw[0].cpu().numpy())
        for before_1hw, now_1hw in zip(previous_B1hw, luma_B1hw, strict=True)
    ]
    moved = [
        warp(color_chw, motion.backward_2hw.to(color_chw))
        for color_chw, motion in zip(color_Bchw, motions, strict=True)
    ]
    visible_Bhw = torch.stack([motion.visible_hw for motion in motions])
    return torch.stack(moved), visible_Bhw.to(color_Bchw.device)
