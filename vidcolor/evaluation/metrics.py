"""How far a result is from the truth: scores of single pictures, and of color over time.

Pictures are R'G'B' tensors (3, h, w) in [0, 1]; every score is taken in float64. Chroma planes
are (2, h, w) in [-0.5, 0.5]. Scores along motion are in `motion`, LPIPS in `perceptual`.
"""

import math
from collections import deque

import torch
from torch import Tensor

from vidcolor.images.optical_flow import Motion, warp

CODES = 224
"""8-bit code steps from one end of Cb or Cr to the other (BT.601-7, 2.5.3; BT.709-6, item 4.6)."""

SSIM_WINDOW_PX = 11
"""Side of SSIM's Gaussian window; a picture must be at least as large (Wang 2004, III.B)."""

CDC_DISTANCES = (1, 2, 4)
"""Frames between the pictures that CDC compares (TCVC, arXiv 2204.12736, section 4)."""


def mean_squared_error(rgb_3hw: Tensor, truth_3hw: Tensor) -> float:
    """Return the mean of the squared differences, in [0, 1]."""
    _require_alike(rgb_3hw, truth_3hw)
    return (rgb_3hw.double() - truth_3hw.double()).square().mean().item()


def psnr_from_error(mean_squared: float) -> float:
    """Return the peak signal-to-noise ratio in dB for a peak of 1; no error gives infinity."""
    return 10 * math.log10(1 / mean_squared) if mean_squared > 0 else math.inf


def psnr(rgb_3hw: Tensor, truth_3hw: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB; infinity where the pictures are equal."""
    return psnr_from_error(mean_squared_error(rgb_3hw, truth_3hw))


def ssim(rgb_3hw: Tensor, truth_3hw: Tensor) -> float:
    """Return the mean structural similarity, at most 1, over channels and the valid region.

    Wang et al. 2004, equation 13, with its constants: a Gaussian window of 11 x 11 pixels and
    deviation 1.5, K1 = 0.01, K2 = 0.03. Only windows inside the picture count.

    Raises:
        ValueError: the pictures differ in shape or are smaller than the window.
    """
    _require_alike(rgb_3hw, truth_3hw)
    if min(rgb_3hw.shape[-2:]) < SSIM_WINDOW_PX:
        raise ValueError(f"a picture of {tuple(rgb_3hw.shape)} is smaller than SSIM's window")
    x, y = rgb_3hw.double(), truth_3hw.double()
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _windowed(torch.stack((x, y, x * x, y * y, x * y)))
    covariance = mean_xy - mean_x * mean_y
    variances = mean_xx - mean_x**2 + mean_yy - mean_y**2
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variances + c2)).mean())


def _windowed(maps: Tensor) -> Tensor:
    """Return (N, 3, h, w) averaged under the Gaussian window, where it fits inside."""
    offsets = [offset - SSIM_WINDOW_PX // 2 for offset in range(SSIM_WINDOW_PX)]
    weights = [math.exp(-(offset**2) / (2 * 1.5**2)) for offset in offsets]
    for axis in (-1, -2):
        length = maps.shape[axis] - SSIM_WINDOW_PX + 1
        total = torch.zeros_like(maps.narrow(axis, 0, length))
        # Ten times as fast as a convolution in float64.
        for start, weight in enumerate(weights):
            total.add_(maps.narrow(axis, start, length), alpha=weight / sum(weights))
        maps = total
    return maps


def chroma_error(chroma_2hw: Tensor, truth_2hw: Tensor) -> float:
    """Return the mean absolute difference of Cb and Cr, in 8-bit codes."""
    _require_alike(chroma_2hw, truth_2hw)
    return (chroma_2hw.double() - truth_2hw.double()).abs().mean().item() * CODES


def lab_error(lab_3hw: Tensor, truth_3hw: Tensor) -> float:
    """Return the mean distance of CIE a*, b* per pixel; lightness does not count.

    Both arguments are CIELAB (3, h, w), see `color.lab_from_rgb`.
    """
    _require_alike(lab_3hw, truth_3hw)
    a, b = lab_3hw[1:].double() - truth_3hw[1:].double()
    return torch.hypot(a, b).mean().item()


def delta_e2000(lab_3hw: Tensor, truth_3hw: Tensor) -> Tensor:
    """Return the CIEDE2000 difference (h, w) of CIELAB pictures (3, h, w), float64.

    Sharma, Wu and Dalal 2005, equations 2 to 22, with kL = kC = kH = 1.
    """
    _require_alike(lab_3hw, truth_3hw)
    (l1, a1, b1), (l2, a2, b2) = lab_3hw.double(), truth_3hw.double()
    g = 0.5 * (1 - _saturation((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = _hue_degrees(a1, b1), _hue_degrees(a2, b2)
    has_hues = c1 * c2 > 0
    turn = h2 - h1
    turn = torch.where(has_hues, turn - 360 * (turn > 180) + 360 * (turn < -180), 0.0)
    hue = torch.where(has_hues, _mean_hue_degrees(h1, h2), h1 + h2)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    apart = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(turn) / 2)

    def cosine(times: int, shift: int) -> Tensor:
        return torch.cos(torch.deg2rad(times * hue + shift))

    t = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0)
    t = t + 0.32 * cosine(3, 6) - 0.20 * cosine(4, -63)
    bright = (lightness - 50).square()
    scaled_l = (l2 - l1) / (1 + 0.015 * bright / (20 + bright).sqrt())
    scaled_c = (c2 - c1) / (1 + 0.045 * chroma)
    scaled_h = apart / (1 + 0.015 * chroma * t)
    turned = 60 * torch.exp(-(((hue - 275) / 25).square()))
    rotation = -2 * _saturation(chroma) * torch.sin(torch.deg2rad(turned))
    squares = scaled_l.square() + scaled_c.square() + scaled_h.square()
    difference: Tensor = (squares + rotation * scaled_c * scaled_h).clamp(min=0).sqrt()
    return difference


def _saturation(chroma: Tensor) -> Tensor:
    seventh = chroma.pow(7)
    return (seventh / (seventh + 25**7)).sqrt()


def _hue_degrees(a: Tensor, b: Tensor) -> Tensor:
    return torch.remainder(torch.rad2deg(torch.atan2(b, a)), 360)


def _mean_hue_degrees(h1: Tensor, h2: Tensor) -> Tensor:
    """Return the hue half way on the shorter arc (equation 14; exactly opposite: plain mean)."""
    half = (h1 + h2) / 2
    across = torch.where(half < 180, half + 180, half - 180)
    return torch.where((h1 - h2).abs() <= 180, half, across)


def colourfulness(rgb_3hw: Tensor) -> float:
    """Return the colourfulness M(3) of Hasler and Suesstrunk 2003; 0 is grey, 100 is much.

    On the 0-255 scale and signed, as in the paper: taking absolute values of R-G and Y-B first,
    as some scripts do, gives other numbers.
    """
    red, green, blue = rgb_3hw.double() * 255
    opponents = torch.stack((red - green, (red + green) / 2 - blue)).flatten(1)
    deviations, means = opponents.std(dim=1, correction=0), opponents.mean(dim=1)
    return torch.hypot(*deviations).item() + 0.3 * torch.hypot(*means).item()


def histograms(planes: Tensor, *, steps: int) -> Tensor:
    """Return the normalised histogram (C, steps + 1) of each plane (C, h, w) of [0, 1] values."""
    codes = (planes.double().clamp(0, 1) * steps).round().long().flatten(1)
    counts = torch.stack([plane.bincount(minlength=steps + 1) for plane in codes])
    return counts.double() / codes.shape[1]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (C,) of histograms (C, bins), 0 to ln 2."""
    middle = (p + q) / 2
    # xlogy(0, 0) is 0; a bin that p or q fills is filled in the middle.
    to_middle = [torch.xlogy(x, x) - torch.xlogy(x, middle) for x in (p, q)]
    return (to_middle[0] + to_middle[1]).sum(dim=1) / 2


class Cdc:
    """Color distribution consistency: how much histograms change from frame to frame.

    Per channel the Jensen-Shannon divergence between the frames t and t + d, averaged over t for
    each d of 1, 2 and 4, these three averaged, then the channels (TCVC, arXiv 2204.12736).
    Lower is steadier. Pairs are within a shot; a film of several shots averages all its pairs.

    Of R'G'B' it includes changes of luma: compare it with the grey film's and the truth's.
    """

    def __init__(self) -> None:
        self._shot: deque[Tensor] = deque(maxlen=max(CDC_DISTANCES))
        self._sums = dict.fromkeys(CDC_DISTANCES, 0.0)
        self._pairs = dict.fromkeys(CDC_DISTANCES, 0)

    def add(self, histogram: Tensor, *, starts_shot: bool) -> None:
        """Take in the next frame's histograms (C, bins)."""
        if starts_shot:
            self._shot.clear()
        for distance in CDC_DISTANCES:
            if distance <= len(self._shot):
                change = divergence(self._shot[-distance], histogram)
                self._sums[distance] += change.mean().item()
                self._pairs[distance] += 1
        self._shot.append(histogram)

    def value(self) -> float | None:
        """Return the score, or None while no shot had a pair for every distance (5 frames)."""
        if not all(self._pairs.values()):
            return None
        means = [self._sums[distance] / self._pairs[distance] for distance in CDC_DISTANCES]
        return sum(means) / len(means)


def _require_alike(one: Tensor, other: Tensor) -> None:
    if one.shape != other.shape:
        raise ValueError(f"cannot compare {tuple(one.shape)} with {tuple(other.shape)}")


def warp_error(chroma_2hw: Tensor, previous_2hw: Tensor, motion: Motion) -> float | None:
    """Return the mean distance of (Cb, Cr) from the frame before, moved here, in 8-bit codes.

    Args:
        chroma_2hw: chroma of this frame, (2, h, w) in [-0.5, 0.5].
        previous_2hw: chroma of the frame before.
        motion: of their luma.

    Returns:
        The mean over the visible pixels; None if there are none.
    """
    if not motion.visible_hw.any():
        return None
    moved_2hw = warp(previous_2hw.double(), motion.backward_2hw.double())
    distance_hw = (chroma_2hw.double() - moved_2hw).square().sum(dim=0).sqrt()
    return distance_hw[motion.visible_hw].mean().item() * CODES
