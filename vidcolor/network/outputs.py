"""From a network's output to color: the only place that distinguishes regression from bins."""

from torch import Tensor
from torch.nn import functional

from vidcolor.color import AB_RANGE, Output, chroma_from_prediction
from vidcolor.network.bins import ab_bins, annealed_mean
from vidcolor.options.values import Grey, Prediction

DECODE_TEMPERATURE = 0.38
"""Of the annealed mean (Zhang et al. 2016, section 2.3): vivid, and not yet speckled."""


def color_space(prediction: Prediction) -> Output:
    """Return how color is held that `color_of` returns."""
    return "ab" if prediction == "bins" else prediction


def color_of(
    predicted_Bchw: Tensor,
    prediction: Prediction,
    size: tuple[int, int],
    temperature: float = DECODE_TEMPERATURE,
) -> Tensor:
    """Return color (B, 2 or 3, h, w) in [-1, 1] of what a network returned; differentiable.

    Args:
        predicted_Bchw: color, or logits of bins (B, 313, h / 4, w / 4).
        prediction: what the network predicts.
        size: h and w of the frame.
        temperature: of the annealed mean of bins; nothing else depends on it.
    """
    if prediction != "bins":
        return predicted_Bchw
    ab_B2hw = annealed_mean(predicted_Bchw, ab_bins().to(predicted_Bchw), temperature)
    return functional.interpolate(ab_B2hw / AB_RANGE, size, mode="bilinear", align_corners=False)


def as_coarse_as(predicted_Bchw: Tensor, truth_Bchw: Tensor) -> Tensor:
    """Return true color (B, c, h, w) no finer than what a network predicts.

    Beside the annealed mean, a quarter of the frame's size, a discriminator would otherwise know
    the fake by its blur alone.
    """
    if predicted_Bchw.shape[-2:] == truth_Bchw.shape[-2:]:
        return truth_Bchw
    size = (predicted_Bchw.shape[-2], predicted_Bchw.shape[-1])
    coarse_Bchw = functional.adaptive_avg_pool2d(truth_Bchw, size)
    return functional.interpolate(
        coarse_Bchw, truth_Bchw.shape[-2:], mode="bilinear", align_corners=False
    )


def chroma_of(
    predicted_Bchw: Tensor,
    luma_B1hw: Tensor,
    prediction: Prediction,
    grey: Grey,
    temperature: float = DECODE_TEMPERATURE,
) -> Tensor:
    """Return Cb, Cr (B, 2, h, w), by `matrix_of(grey)`, of what a network returned.

    Args:
        predicted_Bchw: as for `color_of`.
        luma_B1hw: the frames' Y' in [0, 1].
        prediction: what the network returned.
        grey: what it was shown.
        temperature: as for `color_of`.
    """
    size = (luma_B1hw.shape[-2], luma_B1hw.shape[-1])
    color_Bchw = color_of(predicted_Bchw, prediction, size, temperature)
    return chroma_from_prediction(color_Bchw, luma_B1hw, color_space(prediction), grey)
