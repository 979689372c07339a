"""Data augmentation: simulated damage of old film on the grey training frames.

Modern color films are clean; the films to be colored are not. The damage is applied in the order
in which it happens to a print: a soft lens, vignetting, exposure and printing, grain, dust and
scratches. The target color is not changed.

At the network's input size much of it is averaged away; every limit below was set by eye, against
films of 1915 to 1955 shrunk to 224 pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

SOFTNESS = 0.004
"""Standard deviation of the blur, of the height: 0.9 pixels of 224."""
VIGNETTE = 0.4
"""Share of the light that a corner lacks."""
CONTRAST = 0.4
"""Logarithm of the contrast about middle grey, either way; what is too bright or dark clips."""
GAMMA = 0.6
"""Logarithm of the exponent, either way."""
VEIL = 0.12
"""Black is so bright, white so dark: of a faded print."""
FLICKER = 0.08
"""Standard deviation of the exposure from frame to frame, and from part to part of a frame."""
FLICKER_CELLS = 3
"""Cells along each side of a frame that flicker independently."""
GRAIN = 0.04
"""Standard deviation of grain on middle grey."""
GRAIN_SIZE = (0.5, 1.1)
"""Standard deviation of a grain's shape, pixels: finer cannot be seen, coarser looks like cloth."""
SPECKS = 0.0008
"""Share of a frame that dust covers."""
SPECK_SIZE = 1.3
"""Standard deviation, pixels, of the noise whose peaks are dust: specks are 1 to 5 pixels long."""
SCRATCHES = 3
"""Vertical scratches in a window at most; their place changes little between frames."""
SCRATCH = 0.25
"""How much brighter or darker a scratch is at most."""


def damage_film(grey_BT1hw: Tensor, strength: float, *, seed: int) -> Tensor:
    """Return grey frames (B, T, 1, h, w) in [0, 1] with the damage of an old print.

    Each window has its own amounts, from none to a limit; what belongs to print, lens and grain
    size is the same in its frames, what comes and goes differs.

    Args:
        grey_BT1hw: in [0, 1].
        strength: what all limits are multiplied by, 0 to 1.
        seed: decides everything, on one kind of device.
    """
    random = torch.Generator(grey_BT1hw.device).manual_seed(seed)
    damage = _Damage(grey_BT1hw, strength, random)
    for add_damage in (
        damage.soften, damage.darken_corners, damage.vary_exposure, damage.flicker,
        damage.add_grain, damage.add_dust, damage.scratch,
    ):  # fmt: skip
        grey_BT1hw = add_damage(grey_BT1hw).clamp(0, 1)
    return grey_BT1hw


class _Damage:
    """The kinds of damage, with one source of random numbers."""

    def __init__(self, like_BT1hw: Tensor, strength: float, random: torch.Generator) -> None:
        self.batch, self.frames, _, self.height, self.width = like_BT1hw.shape
        self.strength, self.random, self.device = strength, random, like_BT1hw.device

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.random, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random, device=self.device)

    def amount(self, most: float) -> Tensor:
        """Return one number in [0, strength * most] a window, (B, 1, 1, 1, 1)."""
        return self.strength * most * self.uniform(self.batch, 1, 1, 1, 1)

    def either_way(self, most: float) -> Tensor:
        """Return one number in [-1, 1] * strength * most a window, (B, 1, 1, 1, 1)."""
        return self.strength * most * (2 * self.uniform(self.batch, 1, 1, 1, 1) - 1)

    def noise(self, deviation_B: Tensor) -> Tensor:
        """Return smooth noise (B, T, 1, h, w), mean 0 and variance 1, given its smoothness."""
        kernel_Bk = _gaussians(deviation_B)
        more = kernel_Bk.shape[1] - 1
        rough_BT1hw = self.normal(self.batch, self.frames, 1, self.height + more, self.width + more)
        gain_B = (kernel_Bk**2).sum(dim=1)  # of the variance, by each of two passes
        return _blur(rough_BT1hw, kernel_Bk) / gain_B[:, None, None, None, None]

    def soften(self, grey_BT1hw: Tensor) -> Tensor:
        kernel_Bk = _gaussians(self.amount(SOFTNESS * self.height).flatten())
        edge = kernel_Bk.shape[1] // 2
        padded = functional.pad(grey_BT1hw, (edge, edge, edge, edge, 0, 0), mode="replicate")
        return _blur(padded, kernel_Bk)

    def darken_corners(self, grey_BT1hw: Tensor) -> Tensor:
        y_h = torch.linspace(-1, 1, self.height, device=self.device)
        x_w = torch.linspace(-1, 1, self.width, device=self.device)
        squared_hw = (y_h[:, None] ** 2 + x_w**2) / 2
        return grey_BT1hw * (1 - self.amount(VIGNETTE) * squared_hw)

    def vary_exposure(self, grey_BT1hw: Tensor) -> Tensor:
        contrast, gamma = self.either_way(CONTRAST).exp(), self.either_way(GAMMA).exp()
        exposed = ((grey_BT1hw - 0.5) * contrast + 0.5).clamp(0, 1) ** gamma
        black, white = self.amount(VEIL), 1 - self.amount(VEIL)
        return black + (white - black) * exposed

    def flicker(self, grey_BT1hw: Tensor) -> Tensor:
        cells = self.normal(self.batch * self.frames, 1, FLICKER_CELLS, FLICKER_CELLS)
        whole = self.normal(self.batch * self.frames, 1, 1, 1)
        light = functional.interpolate(
            (cells + whole) / 2**0.5, (self.height, self.width), mode="bilinear"
        )
        return grey_BT1hw * (1 + self.amount(FLICKER) * light.view_as(grey_BT1hw))

    def add_grain(self, grey_BT1hw: Tensor) -> Tensor:
        finest, coarsest = GRAIN_SIZE
        size_B = finest + (coarsest - finest) * self.uniform(self.batch)
        # A place is covered or it is not: the deviation of u is sqrt(u (1 - u)) (Newson et al.
        # 2017, "A stochastic film grain model", eq. 1); 1 on middle grey here.
        depth = 2 * (grey_BT1hw * (1 - grey_BT1hw)).clamp(min=0).sqrt()
        return grey_BT1hw + self.amount(GRAIN) * depth * self.noise(size_B)

    def add_dust(self, grey_BT1hw: Tensor) -> Tensor:
        """Add white specks (dust on the negative) and dark ones (on the print)."""
        field = self.noise(torch.full((self.batch,), SPECK_SIZE, device=self.device))
        share = self.amount(SPECKS).clamp(min=1e-9)
        level = torch.special.ndtri(1 - share / 2)
        cover = ((field.abs() - level) * 3).clamp(0, 1)
        return torch.lerp(grey_BT1hw, (field > 0).to(grey_BT1hw.dtype), cover * 0.8)

    def scratch(self, grey_BT1hw: Tensor) -> Tensor:
        shape = self.batch, self.frames, SCRATCHES
        start = self.uniform(self.batch, 1, SCRATCHES) * self.width
        place = start + self.normal(*shape)  # a scratch wanders by about a pixel a frame
        sharpness = 0.3 + 0.5 * self.uniform(self.batch, 1, SCRATCHES, 1)
        x_w = torch.arange(self.width, device=self.device)
        across_BTSw = (-0.5 * ((x_w - place[..., None]) / sharpness) ** 2).exp()
        # Half of them are not there, and each comes and goes along its length.
        light_BTS = (self.uniform(self.batch, 1, SCRATCHES) - 0.5) * 2 * SCRATCH
        light_BTS = light_BTS * (self.uniform(self.batch, 1, SCRATCHES) < 0.4 * self.strength)
        pieces = self.normal(self.batch * self.frames, SCRATCHES, 6)
        along = functional.interpolate(pieces, self.height, mode="linear").sigmoid()
        along_BTSh = along.unflatten(0, (self.batch, self.frames)) * light_BTS[..., None]
        return grey_BT1hw + torch.einsum("btsh,btsw->bthw", along_BTSh, across_BTSw)[:, :, None]


def _gaussians(deviation_B: Tensor) -> Tensor:
    """Return a kernel (B, k) for each deviation in pixels, of sum 1, wide enough for the widest."""
    radius = max(1, int(3 * float(deviation_B.max()) + 0.5))
    x_k = torch.arange(-radius, radius + 1, device=deviation_B.device)
    kernel_Bk = (-0.5 * (x_k / deviation_B.clamp(min=1e-3)[:, None]) ** 2).exp()
    return kernel_Bk / kernel_Bk.sum(dim=1, keepdim=True)


def _blur(picture_BT1hw: Tensor, kernel_Bk: Tensor) -> Tensor:
    """Return frames blurred down and across, each window by its own kernel, smaller by k - 1."""
    picture_TBhw = picture_BT1hw[:, :, 0].transpose(0, 1)
    for kernel in (kernel_Bk[:, None, :, None], kernel_Bk[:, None, None, :]):
        picture_TBhw = functional.conv2d(picture_TBhw, kernel, groups=len(kernel))
    return picture_TBhw.transpose(0, 1)[:, :, None]
