"""Color spaces: the only place that knows them.

Tensors are floats of shape (..., channels, h, w). R'G'B' and Y' lie in [0, 1], Cb and Cr in
[-0.5, 0.5], as ITU-R BT.601, BT.709 and BT.2020 define them before quantisation.
"""

from typing import Literal

import torch
from torch import Tensor

from vidcolor.options.values import Grey, Matrix

Output = Literal["chroma", "rgb", "ab"]
"""How color is held in [-1, 1]: Cb, Cr times 2, R'G'B' times 2 minus 1, or CIE a*, b* / 110."""

AB_RANGE = 110.0
"""Largest |a*|, |b*| that sRGB reaches, rounded up to the grid of Zhang et al. 2016."""

BALANCE_GAIN = 0.25
"""Share that a channel gains or loses at the end of the scale: paper as if lit by a lamp."""

LIGHTNESS_STEPS = 10
"""Halvings of [0, 100] in `chroma_from_ab`: to 0.1 of a lightness, half a code of chroma."""

KR_KB: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),  # BT.601-7, 2.5.1
    "bt709": (0.2126, 0.0722),  # BT.709-6, item 3.2
    "bt2020": (0.2627, 0.0593),  # BT.2020-2, table 4, non-constant luminance
}
"""Weights of R' and B' in Y'; that of G' is the rest to 1."""

XYZ_FROM_RGB = (
    (0.4123907992659593, 0.357584339383878, 0.1804807884018343),
    (0.21263900587151036, 0.715168678767756, 0.07219231536073371),
    (0.01933081871559185, 0.11919477979462598, 0.9505321522496607),
)
"""CIE XYZ of linear sRGB: primaries and D65 white (0.3127, 0.3290) of IEC 61966-2-1."""


def luma_from_rgb(rgb_3hw: Tensor, matrix: Matrix) -> Tensor:
    """Return Y' (..., 1, h, w) of R'G'B' (..., 3, h, w): what a black-and-white transfer holds."""
    kr, kb = KR_KB[matrix]
    red, green, blue = rgb_3hw.split(1, dim=-3)
    luma_1hw: Tensor = kr * red + (1 - kr - kb) * green + kb * blue
    return luma_1hw


def chroma_from_rgb(rgb_3hw: Tensor, matrix: Matrix) -> Tensor:
    """Return Cb, Cr (..., 2, h, w) in [-0.5, 0.5] of R'G'B' (..., 3, h, w) in [0, 1]."""
    kr, kb = KR_KB[matrix]
    luma_1hw = luma_from_rgb(rgb_3hw, matrix)
    red, _, blue = rgb_3hw.split(1, dim=-3)
    return torch.cat(((blue - luma_1hw) / (2 - 2 * kb), (red - luma_1hw) / (2 - 2 * kr)), dim=-3)


def keep_color(rgb_3hw: Tensor, mask_1hw: Tensor, matrix: Matrix) -> Tensor:
    """Return R'G'B' (..., 3, h, w) that is grey, of its own Y', where the mask is 0 and not 1."""
    return torch.lerp(luma_from_rgb(rgb_3hw, matrix), rgb_3hw, mask_1hw)


def rgb_from_ycbcr(luma_1hw: Tensor, chroma_2hw: Tensor, matrix: Matrix) -> Tensor:
    """Return R'G'B' (..., 3, h, w), not clipped, of Y' (..., 1, h, w) and Cb, Cr (..., 2, h, w)."""
    kr, kb = KR_KB[matrix]
    cb, cr = chroma_2hw.split(1, dim=-3)
    red = luma_1hw + (2 - 2 * kr) * cr
    blue = luma_1hw + (2 - 2 * kb) * cb
    green = (luma_1hw - kr * red - kb * blue) / (1 - kr - kb)
    return torch.cat((red, green, blue), dim=-3)


def convert_chroma(chroma_2hw: Tensor, source: Matrix, target: Matrix) -> Tensor:
    """Return the Cb, Cr of another matrix that show the same B'-Y' and R'-Y'.

    Those two differences are what chroma is made of; a matrix only scales them. With Y' held,
    red and blue stay exactly as they were and green follows.
    """
    (kr, kb), (kr_target, kb_target) = KR_KB[source], KR_KB[target]
    scale = chroma_2hw.new_tensor(((1 - kb) / (1 - kb_target), (1 - kr) / (1 - kr_target)))
    return chroma_2hw * scale[:, None, None]


def balance(
    luma_1hw: Tensor, chroma_2hw: Tensor, matrix: Matrix, *, temperature: float, tint: float
) -> Tensor:
    """Return Cb, Cr under another white balance; Y' stays what it is.

    A white balance multiplies R', G' and B' by a gain each (von Kries 1902). What that does to
    luma is left out, so shadows stay neutral and white is tinted most.

    Args:
        luma_1hw: (..., 1, h, w) in [0, 1].
        chroma_2hw: (..., 2, h, w).
        matrix: the matrix of both.
        temperature: -100 to 100; at 100 red gains BALANCE_GAIN and blue loses as much.
        tint: -100 to 100; at 100 green loses BALANCE_GAIN.
    """
    if not (temperature or tint):
        return chroma_2hw
    warm, magenta = BALANCE_GAIN * temperature / 100, BALANCE_GAIN * tint / 100
    gains = luma_1hw.new_tensor((1 + warm, 1 - magenta, 1 - warm))
    rgb_3hw = rgb_from_ycbcr(luma_1hw, chroma_2hw, matrix)
    return chroma_from_rgb(rgb_3hw * gains[:, None, None], matrix)


def fit_gamut(luma_1hw: Tensor, chroma_2hw: Tensor, matrix: Matrix) -> Tensor:
    """Return Cb, Cr shrunk towards grey, at constant Y', until R'G'B' lies in [0, 1].

    Clipping R'G'B' instead would change luma. The hue of the pair is kept.

    Args:
        luma_1hw: (..., 1, h, w) in [0, 1].
        chroma_2hw: (..., 2, h, w); any finite values.
        matrix: the matrix of both.
    """
    kr, kb = KR_KB[matrix]
    cb, cr = chroma_2hw.split(1, dim=-3)
    red, blue = (2 - 2 * kr) * cr, (2 - 2 * kb) * cb
    green = (kr * red + kb * blue) / (kr + kb - 1)
    # Their weighted sum is 0: the highest lies above Y', the lowest below it.
    above = torch.maximum(torch.maximum(red, green), blue)
    below = torch.minimum(torch.minimum(red, green), blue).neg_()
    # No room needed is always enough: 0/0 must not become NaN.
    factor = torch.minimum(
        (1 - luma_1hw) / above.clamp_(min=1e-12), luma_1hw / below.clamp_(min=1e-12)
    )
    return chroma_2hw * factor.clamp_(0, 1)


def linear_from_srgb(rgb: Tensor) -> Tensor:
    """Return linear light of sRGB values in [0, 1] (IEC 61966-2-1, 5.2)."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Tensor) -> Tensor:
    """Return sRGB values of linear light (IEC 61966-2-1, 5.2); negative light mirrors positive."""
    size = linear.abs()
    curved = 1.055 * size.clamp(min=1e-12) ** (1 / 2.4) - 0.055
    return torch.where(size <= 0.0031308, 12.92 * size, curved) * linear.sign()


def _lab_curve(ratio: Tensor) -> Tensor:
    delta = 6 / 29
    linear = ratio / (3 * delta**2) + 4 / 29
    return torch.where(ratio > delta**3, ratio.clamp(min=1e-12) ** (1 / 3), linear)


def lab_from_rgb(rgb_3hw: Tensor) -> Tensor:
    """Return CIE L*, a*, b* (..., 3, h, w) of sRGB in [0, 1], D65 white (ISO/CIE 11664-4).

    L* lies in [0, 100]. Equal R', G', B' give a* = b* = 0 to rounding: the white point is that
    of the matrix itself.
    """
    xyz_from_rgb = rgb_3hw.new_tensor(XYZ_FROM_RGB)
    white = xyz_from_rgb.sum(dim=1)
    linear_3hw = linear_from_srgb(rgb_3hw)
    xyz_3hw = torch.einsum("xc,...chw->...xhw", xyz_from_rgb / white[:, None], linear_3hw)
    x, y, z = _lab_curve(xyz_3hw).split(1, dim=-3)
    return torch.cat((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)


def rgb_from_lab(lab_3hw: Tensor) -> Tensor:
    """Return sRGB (..., 3, h, w), not clipped, of CIE L*, a*, b*: `lab_from_rgb` backwards."""
    xyz_from_rgb = lab_3hw.new_tensor(XYZ_FROM_RGB)
    white = xyz_from_rgb.sum(dim=1)
    lightness, a, b = lab_3hw.split(1, dim=-3)
    y = (lightness + 16) / 116
    curved_3hw = torch.cat((y + a / 500, y, y - b / 200), dim=-3)
    delta = 6 / 29
    xyz_3hw = torch.where(curved_3hw > delta, curved_3hw**3, 3 * delta**2 * (curved_3hw - 4 / 29))
    rgb_from_xyz = torch.linalg.inv(xyz_from_rgb / white[:, None])
    return srgb_from_linear(torch.einsum("cx,...xhw->...chw", rgb_from_xyz, xyz_3hw))


def chroma_from_ab(ab_2hw: Tensor, luma_1hw: Tensor, matrix: Matrix) -> Tensor:
    """Return Cb, Cr (..., 2, h, w) of the color with this a*, b* and this Y'.

    L* of a color is not that of a grey with its luma: on pure blue they are 32 and 10. The
    lightness with this luma is found by bisection.

    Args:
        ab_2hw: (..., 2, h, w).
        luma_1hw: (..., 1, h, w) in [0, 1], by the same matrix.
        matrix: the matrix of luma and result.
    """
    lightness_1hw, step = torch.full_like(luma_1hw, 50), 25.0
    for _ in range(LIGHTNESS_STEPS):
        rgb_3hw = rgb_from_lab(torch.cat((lightness_1hw, ab_2hw), dim=-3))
        lightness_1hw = lightness_1hw + step * (luma_1hw - luma_from_rgb(rgb_3hw, matrix)).sign()
        step /= 2
    rgb_3hw = rgb_from_lab(torch.cat((lightness_1hw, ab_2hw), dim=-3))
    return chroma_from_rgb(rgb_3hw, matrix)


def grey_from_rgb(rgb_3hw: Tensor, grey: Grey) -> Tensor:
    """Return what a model's card calls grey, (..., 1, h, w) in [0, 1], of R'G'B' in [0, 1].

    Training, validation and scoring make their greys here and nowhere else.
    """
    if grey == "lab":
        return lab_from_rgb(rgb_3hw)[..., :1, :, :] / 100
    return luma_from_rgb(rgb_3hw, grey)


def grey_from_luma(luma_1hw: Tensor, grey: Grey) -> Tensor:
    """Return what a model's card calls grey, (..., 1, h, w) in [0, 1], of a film's Y' in [0, 1].

    A film without color has R' = G' = B' = Y', whatever its matrix.
    """
    if grey == "lab":
        return grey_from_rgb(luma_1hw.expand(*luma_1hw.shape[:-3], 3, *luma_1hw.shape[-2:]), grey)
    return luma_1hw


def matrix_of(grey: Grey) -> Matrix:
    """Return the matrix in which a network shown this grey speaks of chroma.

    CIE lightness has none; BT.601, which photographs in JPEG use, is used instead.
    """
    return "bt601" if grey == "lab" else grey


def target_from_rgb(rgb_3hw: Tensor, output: Output, grey: Grey) -> Tensor:
    """Return what a network should predict, (..., 2 or 3, h, w) in [-1, 1], of R'G'B' in [0, 1]."""
    if output == "rgb":
        return rgb_3hw * 2 - 1
    if output == "ab":
        return lab_from_rgb(rgb_3hw)[..., 1:, :, :] / AB_RANGE
    return chroma_from_rgb(rgb_3hw, matrix_of(grey)) * 2


def chroma_from_prediction(
    prediction_chw: Tensor, luma_1hw: Tensor, output: Output, grey: Grey
) -> Tensor:
    """Return Cb, Cr (..., 2, h, w), by `matrix_of(grey)`, of what a network said.

    The luma of a network that predicts R'G'B' is left behind: the film keeps its own.

    Args:
        prediction_chw: (..., 2 or 3, h, w) in [-1, 1], as `output` says.
        luma_1hw: the film's Y' (..., 1, h, w) in [0, 1].
        output: how the prediction holds color.
        grey: what the network was shown.
    """
    if output == "ab":
        return chroma_from_ab(prediction_chw * AB_RANGE, luma_1hw, matrix_of(grey))
    if output == "rgb":
        return chroma_from_rgb((prediction_chw + 1) / 2, matrix_of(grey))
    return prediction_chw / 2
