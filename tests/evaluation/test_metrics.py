"""Scores of known pictures are what can be worked out by hand, or what a reference says."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidcolor.color import lab_from_rgb
from vidcolor.evaluation import metrics


def flat(red, green=None, blue=None, side=16):
    rgb = (red, red if green is None else green, red if blue is None else blue)
    return torch.tensor(rgb, dtype=torch.float64)[:, None, None].expand(3, side, side)


def noise(seed, channels=3):
    return torch.rand(channels, 24, 31, generator=torch.Generator().manual_seed(seed))


def drawn_pair():
    """Return the two pictures that skimage 0.26 was asked about."""
    y, x = np.mgrid[0:40, 0:56].astype(float)
    one = np.stack([0.5 + 0.5 * np.sin(x / 3), 0.5 + 0.5 * np.cos(y / 4), x * y / (39 * 55)])
    other = np.clip(one * 0.8 + 0.1 * np.sin((x + y) / 2) + 0.05, 0, 1)
    return torch.from_numpy(one), torch.from_numpy(other)


# PSNR


def test_psnr_of_a_constant_offset_of_16_codes_is_24_05_db():
    bright = flat(100 / 255)
    assert metrics.psnr(bright + 16 / 255, bright) == pytest.approx(20 * math.log10(255 / 16))


def test_psnr_does_not_wrap_around_as_bytes_do():
    assert metrics.psnr(flat(0), flat(1)) == pytest.approx(0, abs=1e-12)
    assert metrics.psnr(noise(1), noise(2)) == pytest.approx(7.78, abs=0.3)  # 10 log10(6)


def test_psnr_of_equal_pictures_is_infinite():
    assert metrics.psnr(noise(1), noise(1)) == math.inf


# SSIM


def test_ssim_is_what_skimage_says():
    # structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    # data_range=1, channel_axis=0) of skimage 0.26
    assert metrics.ssim(*drawn_pair()) == pytest.approx(0.6423692423031859, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_ssim_of_flat_pictures_is_their_luminance_term(one, other):
    expected = (2 * one * other + 1e-4) / (one**2 + other**2 + 1e-4)
    assert metrics.ssim(flat(one), flat(other)) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_equal_pictures_is_one_and_of_a_negative_below_zero():
    assert metrics.ssim(noise(1), noise(1)) == pytest.approx(1)
    assert metrics.ssim(noise(1), 1 - noise(1)) < 0


def test_ssim_of_a_picture_smaller_than_its_window_is_refused():
    with pytest.raises(ValueError, match="smaller"):
        metrics.ssim(flat(0, side=10), flat(0, side=10))


# Chroma and CIELAB


def test_chroma_error_counts_8_bit_codes():
    truth = torch.zeros(2, 4, 4)
    assert metrics.chroma_error(truth + 3 / 224, truth) == pytest.approx(3, rel=1e-6)
    one_off = truth.clone()
    one_off[0] = -1 / 224
    assert metrics.chroma_error(one_off, truth) == pytest.approx(0.5, rel=1e-6)


def test_lab_error_is_the_distance_in_a_and_b_and_leaves_lightness_out():
    truth = torch.zeros(3, 5, 5)
    assert metrics.lab_error(truth + torch.tensor([9.0, 3, 4])[:, None, None], truth) == 5


def test_lab_error_and_ciede2000_are_what_skimage_says():
    one, other = (lab_from_rgb(rgb) for rgb in drawn_pair())
    # skimage's matrix has fewer digits
    assert metrics.lab_error(one, other) == pytest.approx(11.24220755520533, rel=1e-4)
    assert metrics.delta_e2000(one, other).mean() == pytest.approx(7.554296807075965, rel=1e-4)


SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425        50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412        50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000       50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669                          50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792     50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195     50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045     50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461     50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492                     50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030                     50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000               50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000               50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""
"""L, a, b of two colors and their difference: Sharma, Wu and Dalal 2005, table 1."""


def test_ciede2000_of_the_34_pairs_of_its_paper_is_exact_to_the_printed_digit():
    pairs = torch.tensor([float(word) for word in SHARMA.split()], dtype=torch.float64)
    pairs = pairs.reshape(34, 7)
    found = metrics.delta_e2000(
        pairs[None, :, :3].permute(2, 0, 1), pairs[None, :, 3:6].permute(2, 0, 1)
    )
    assert torch.allclose(found[0], pairs[:, 6], atol=5.1e-5, rtol=0)


# Colourfulness


def test_colourfulness_of_grey_is_zero():
    grey = noise(1, channels=1).expand(3, -1, -1)
    assert metrics.colourfulness(grey) == pytest.approx(0, abs=1e-9)


def test_colourfulness_of_a_flat_colour_is_its_mean_term():
    # R-G = 255, (R+G)/2 - B = 127.5, no deviation
    assert metrics.colourfulness(flat(1, 0, 0)) == pytest.approx(0.3 * math.hypot(255, 127.5))


def test_colourfulness_is_signed():
    red_and_green = torch.cat((flat(1, 0, 0), flat(0, 1, 0)), dim=-1)
    # Signed R-G is +-255: deviation 255, mean 0. Without signs: deviation 0, mean 255.
    expected = 255 + 0.3 * 127.5
    assert metrics.colourfulness(red_and_green) == pytest.approx(expected)


def test_colourfulness_tells_red_from_blue():
    assert metrics.colourfulness(flat(0, 0, 1)) == pytest.approx(0.3 * 255)


# CDC


def histogram(*planes):
    return metrics.histograms(torch.stack(planes), steps=255)


def cdc_of(shots):
    cdc = metrics.Cdc()
    for shot in shots:
        for index, frame in enumerate(shot):
            cdc.add(metrics.histograms(frame, steps=255), starts_shot=index == 0)
    return cdc.value()


def test_a_histogram_counts_every_code_once_and_adds_up_to_one():
    plane = torch.arange(256).reshape(16, 16) / 255
    assert torch.equal(histogram(plane), torch.full((1, 256), 1 / 256, dtype=torch.float64))
    assert histogram(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))[0, [0, 255]].tolist() == [0.25, 0.75]


def test_divergence_of_histograms_apart_is_ln_2_and_of_equal_ones_zero():
    dark, light = (torch.eye(256, dtype=torch.float64)[[code]] for code in (10, 200))
    assert metrics.divergence(dark, light).item() == pytest.approx(math.log(2))
    assert metrics.divergence(dark, dark).item() == 0


def test_divergence_of_half_overlapping_histograms_is_worked_out_by_hand():
    p, q = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    expected = 0.5 * math.log(1 / 0.75) + 0.25 * math.log(0.5 / 0.75) + 0.25 * math.log(0.5 / 0.25)
    assert metrics.divergence(p, q).item() == pytest.approx(expected)


def test_cdc_of_a_still_shot_is_zero_and_of_a_flickering_one_weighs_the_distances_alike():
    assert cdc_of([[flat(0.5)] * 5]) == 0
    # Every second frame differs: distance 1 gives ln 2, distances 2 and 4 give 0.
    flicker = [flat(0.2 if index % 2 else 0.7) for index in range(9)]
    assert cdc_of([flicker]) == pytest.approx(math.log(2) / 3)


def test_cdc_averages_the_channels():
    red_flickers = [flat(0.2 if index % 2 else 0.7, 0.5, 0.5) for index in range(9)]
    assert cdc_of([red_flickers]) == pytest.approx(math.log(2) / 9)


def test_cdc_does_not_count_a_cut():
    assert cdc_of([[flat(0.1)] * 5, [flat(0.9)] * 5]) == 0
    assert cdc_of([[flat(0.1)] * 5 + [flat(0.9)] * 5]) > 0


def test_cdc_of_shots_shorter_than_five_frames_is_no_number():
    assert cdc_of([[flat(0.1)] * 4, [flat(0.9)] * 4]) is None


def test_pictures_of_different_sizes_are_not_compared():
    for score in (metrics.psnr, metrics.ssim, metrics.lab_error, metrics.delta_e2000):
        with pytest.raises(ValueError, match="compare"):
            score(flat(0, side=16), flat(0, side=17))
