"""Chroma is compared with where the picture came from, along the motion of the luma."""

import cv2
import numpy as np
import pytest
import torch

from vidcolor.evaluation.metrics import warp_error
from vidcolor.images.optical_flow import Motion, find_motion, visible_pixels, warp

HEIGHT, WIDTH = 64, 96
RIGHT, DOWN = 3, 2
"""How far the drawn picture moves from one frame to the next, pixels."""


def texture(seed, height, width):
    random = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    smooth = cv2.GaussianBlur(random, (0, 0), 2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def frames_of_a_moving(scene):
    """Return two frames (..., HEIGHT, WIDTH) in which the scene moves right and down."""
    top, left = 10, 10
    return (
        scene[..., top : top + HEIGHT, left : left + WIDTH],
        scene[..., top - DOWN : top - DOWN + HEIGHT, left - RIGHT : left - RIGHT + WIDTH],
    )


def moving():
    luma = frames_of_a_moving(texture(1, HEIGHT + 20, WIDTH + 20))
    scene = np.stack([texture(seed, HEIGHT + 20, WIDTH + 20) - 0.5 for seed in (2, 3)])
    chroma = frames_of_a_moving(torch.from_numpy(scene))
    return luma, chroma


def uniform_flow(x, y):
    return torch.tensor((x, y), dtype=torch.float32)[:, None, None].expand(2, HEIGHT, WIDTH)


def test_a_warp_looks_values_up_where_the_flow_points():
    plane = torch.arange(HEIGHT * WIDTH, dtype=torch.float64).reshape(1, HEIGHT, WIDTH)
    moved = warp(plane, uniform_flow(2, -1).double())
    assert torch.allclose(moved[0, 5, 7], plane[0, 4, 9])
    assert torch.allclose(warp(plane, uniform_flow(0, 0).double()), plane)
    halfway = warp(plane, uniform_flow(0.5, 0).double())
    assert halfway[0, 5, 7].item() == pytest.approx(plane[0, 5, 7].item() + 0.5)


def test_motion_leads_back_to_where_the_picture_was():
    (previous, luma), _ = moving()
    motion = find_motion(previous, luma)
    x, y = motion.backward_2hw[:, 20:-20, 20:-20].flatten(1).median(dim=1).values
    assert x.item() == pytest.approx(-RIGHT, abs=0.1)
    assert y.item() == pytest.approx(-DOWN, abs=0.1)


def test_color_that_moves_with_the_picture_has_no_warp_error_and_color_that_stays_has():
    (previous_luma, luma), (previous, chroma) = moving()
    motion = find_motion(previous_luma, luma)
    assert motion.visible_hw.float().mean() > 0.8
    with_it = warp_error(chroma, previous, motion)
    against_it = warp_error(previous, previous, motion)
    assert with_it is not None
    assert against_it is not None
    assert with_it < 1 < 10 * with_it < against_it


def test_warp_error_of_flickering_color_is_the_flicker_in_codes():
    (previous_luma, luma), _ = moving()
    motion = find_motion(previous_luma, luma)
    grey = torch.zeros(2, HEIGHT, WIDTH)
    flicker = grey + torch.tensor((3 / 224, 4 / 224))[:, None, None]
    assert warp_error(flicker, grey, motion) == pytest.approx(5, rel=1e-5)
    assert warp_error(grey, grey, motion) == 0


def test_pixels_that_come_from_outside_the_picture_are_not_compared():
    visible = visible_pixels(uniform_flow(RIGHT, 0), uniform_flow(-RIGHT, 0))
    assert not visible[:, :RIGHT].any()
    assert visible[:, RIGHT:].all()


def test_pixels_whose_two_flows_disagree_are_hidden():
    assert not visible_pixels(uniform_flow(5, 0), uniform_flow(2, 0)).any()


def test_edges_of_motion_are_not_compared():
    backward = uniform_flow(0, 0).clone()
    backward[0, :, WIDTH // 2 :] = 0.4
    visible = visible_pixels(-backward, backward)
    assert not visible[:, WIDTH // 2 - 1 : WIDTH // 2 + 1].any()
    assert visible[:, : WIDTH // 2 - 2].all()


def test_a_pair_without_visible_pixels_has_no_number():
    nothing = Motion(uniform_flow(0, 0), torch.zeros(HEIGHT, WIDTH, dtype=torch.bool))
    assert warp_error(torch.zeros(2, HEIGHT, WIDTH), torch.ones(2, HEIGHT, WIDTH), nothing) is None
