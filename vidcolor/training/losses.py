"""The generator's losses, without the adversarial one."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.color import AB_RANGE
from vidcolor.network.bins import soft_encode
from vidcolor.options.train import PixelLoss

CELL = 1 / 32
"""Width of a cell in the Cb, Cr plane whose frequency is counted: 8 codes of 256.

About the ten CIE units of Zhang et al. 2016's grid, in the plane the network predicts.
"""

CELLS = 33
"""Cells along each axis: Cb and Cr in [-0.5, 0.5], one cell centred on grey."""

UNIFORM_SHARE = 0.5
"""Share of a uniform distribution mixed into the counted one (Zhang et al. 2016, eq. 4)."""

MAX_WEIGHT = 6.0
"""Cap on a pixel's weight, so that a few vivid pixels cannot dominate a picture."""

HUBER_DELTA = 1 / AB_RANGE
"""Where Huber's loss turns from square to absolute: a unit of a*, b* (Zhang et al. 2017, 3.1)."""


def cell_index(chroma_2hw: Tensor) -> Tensor:
    """Return each pixel's cell, (..., h, w) in [0, CELLS ** 2), of Cb, Cr (..., 2, h, w)."""
    cell_2hw = ((chroma_2hw + 0.5) / CELL).round().long().clamp(0, CELLS - 1)
    cb, cr = cell_2hw.unbind(dim=-3)
    return cb * CELLS + cr


def rarity_weights(counts: Tensor, exponent: float) -> Tensor:
    """Return a weight for each cell that grows as its color gets rarer.

    weight = p_smoothed ** -exponent with p_smoothed = (1 - s) p + s / Q over the Q cells that
    occur, scaled so that a pixel's mean weight is 1, capped. Zhang et al. 2016, eq. 4, has
    exponent 1; the square root (0.5) keeps more of the likely colors and suits small data.

    Args:
        counts: (CELLS ** 2,) pixels seen in each cell.
        exponent: 0 weighs all pixels alike.
    """
    share = counts / counts.sum()
    occurring = (counts > 0).sum()
    smoothed = (1 - UNIFORM_SHARE) * share + UNIFORM_SHARE / occurring
    weight = smoothed**-exponent
    return (weight / (share * weight).sum()).clamp(max=MAX_WEIGHT)


def pixel_loss(
    prediction_Bchw: Tensor,
    truth_Bchw: Tensor,
    kind: PixelLoss,
    weight_Bhw: Tensor | None = None,
) -> Tensor:
    """Return the mean error, pixels weighed by `weight_Bhw`.

    l1: absolute; l2: squared; huber: squared up to HUBER_DELTA and absolute from there, divided
    by it, so that large errors weigh as in l1.
    """
    error = _ERRORS[kind]
    if weight_Bhw is None:
        return error(prediction_Bchw, truth_Bchw)
    error_Bhw = error(prediction_Bchw, truth_Bchw, reduction="none").mean(dim=1)
    return (error_Bhw * weight_Bhw).mean()


_ERRORS: dict[PixelLoss, Callable[..., Tensor]] = {
    "l1": functional.l1_loss,
    "l2": functional.mse_loss,
    "huber": partial(functional.smooth_l1_loss, beta=HUBER_DELTA),
}


def count_cells(chroma_B2hw: Tensor) -> Tensor:
    """Return the number of pixels in each cell, (CELLS ** 2,) float."""
    return torch.bincount(cell_index(chroma_B2hw).flatten(), minlength=CELLS**2).float()


def bin_loss(
    logits_BQhw: Tensor, ab_B2hw: Tensor, bins_Q2: Tensor, weights_Q: Tensor | None = None
) -> Tensor:
    """Return the cross entropy of soft-encoded colors (Zhang et al. 2016, equations 2 and 3).

    Args:
        logits_BQhw: what the network returned.
        ab_B2hw: the true a*, b*, at the logits' size.
        bins_Q2: the bins' centres.
        weights_Q: of a pixel whose likeliest bin it is; None: 1.
    """
    shares_BQhw = soft_encode(ab_B2hw, bins_Q2)
    entropy_Bhw = -(shares_BQhw * torch.log_softmax(logits_BQhw, dim=1)).sum(dim=1)
    if weights_Q is None:
        return entropy_Bhw.mean()
    return (weights_Q[shares_BQhw.argmax(dim=1)] * entropy_Bhw).mean()
