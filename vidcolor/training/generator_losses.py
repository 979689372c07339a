"""The generator's losses other than the adversarial one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.color import (
    AB_RANGE,
    chroma_from_prediction,
    chroma_from_rgb,
    luma_from_rgb,
    matrix_of,
    rgb_from_ycbcr,
)
from vidcolor.network.bins import ab_bins, rebalancing_weights, smoothed_prior
from vidcolor.network.card import Card
from vidcolor.network.family import Setup
from vidcolor.network.generator import Features
from vidcolor.network.outputs import color_space
from vidcolor.options.train import TrainOptions
from vidcolor.training.generator_step import StepOutputs
from vidcolor.training.losses import bin_loss, cell_index, pixel_loss, rarity_weights

Terms = dict[str, tuple[float, Tensor]]
"""Each term's weight and value (a number) by its name."""


@dataclass(frozen=True, kw_only=True)
class AuxiliaryLosses:
    """Functions that some losses need; None where they are not used."""

    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None
    """Distance, a number, of pictures from the truth, both R'G'B' (B, 3, h, w) in [0, 1]."""
    teaching: Callable[[Features, Tensor], Tensor] | None = None
    """Distance, a number, of the encoder's features from those that a classifier sees in color.
    Takes the features, and R'G'B' (B, 3, h, w) in [0, 1]."""
    carry: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    """Warps color along motion. Takes Y' (B, 1, h, w) of the previous frames and of the frames,
    and color (B, c, h, w) of the previous ones; returns it warped, and where (B, h, w) it is
    visible."""


class GeneratorTerms:
    """The terms of the generator's loss that need no discriminator.

    terms = GeneratorTerms(card, setup, options, auxiliary_losses, None, device)
    for name, (weight, value) in terms.of(outputs).items(): ...
    """

    def __init__(
        self,
        card: Card,
        setup: Setup,
        options: TrainOptions,
        auxiliary_losses: AuxiliaryLosses,
        color_counts: Tensor | None,
        device: torch.device,
    ) -> None:
        self.card, self.setup, self.options = card, setup, options
        self.auxiliary_losses = auxiliary_losses
        self._bins_Q2 = ab_bins().to(device)
        self.color_weights = (
            None if color_counts is None else self._weights(color_counts.to(device))
        )

    def _weights(self, counts: Tensor) -> Tensor:
        if self.card.output == "bins":
            assert self.options.rebalance is not None
            prior_Q = smoothed_prior(counts, self._bins_Q2)
            return rebalancing_weights(prior_Q, self.options.rebalance)
        return rarity_weights(counts, self.options.rarity)

    def of(self, outputs: StepOutputs) -> Terms:
        """Return the terms of a batch; a new one is one more entry."""
        options = self.options
        terms = {"pixel": (options.pixel_weight, self._pixel_loss(outputs))}
        if options.perceptual_weight:
            terms["perceptual"] = (options.perceptual_weight, self._perceptual_loss(outputs))
        if options.teacher_weight:
            assert self.auxiliary_losses.teaching is not None
            taught = self.auxiliary_losses.teaching(outputs.features, outputs.rgb_B3hw)
            terms["teacher"] = (options.teacher_weight, taught)
        if options.temporal_weight:
            terms["temporal"] = (options.temporal_weight, self._temporal_loss(outputs))
        return terms

    def _pixel_loss(self, outputs: StepOutputs) -> Tensor:
        predicted_Bchw, truth_Bchw = outputs.predicted_Bchw, outputs.truth_Bchw
        if self.card.output == "bins":
            size = (predicted_Bchw.shape[-2], predicted_Bchw.shape[-1])
            ab_B2hw = functional.adaptive_avg_pool2d(truth_Bchw * AB_RANGE, size)
            return bin_loss(predicted_Bchw, ab_B2hw, self._bins_Q2, self.color_weights)
        weight_Bhw = None
        if self.color_weights is not None:
            chroma_B2hw = chroma_from_rgb(outputs.rgb_B3hw, matrix_of(self.card.grey))
            weight_Bhw = self.color_weights[cell_index(chroma_B2hw)]
        return pixel_loss(predicted_Bchw, truth_Bchw, self.setup.pixel_loss, weight_Bhw)

    def _perceptual_loss(self, outputs: StepOutputs) -> Tensor:
        """Return the perceptual distance of the result, with the film's luma, from the truth."""
        assert self.auxiliary_losses.perceptual is not None
        card, matrix = self.card, matrix_of(self.card.grey)
        luma_B1hw = luma_from_rgb(outputs.rgb_B3hw, matrix)
        chroma_B2hw = chroma_from_prediction(
            outputs.color_Bchw, luma_B1hw, color_space(card.output), card.grey
        )
        result_B3hw = rgb_from_ycbcr(luma_B1hw, chroma_B2hw, matrix)
        return self.auxiliary_losses.perceptual(result_B3hw, outputs.rgb_B3hw)

    def _temporal_loss(self, outputs: StepOutputs) -> Tensor:
        """Return how much color changes along the motion (Lai et al. 2018, equation 3)."""
        assert self.auxiliary_losses.carry is not None
        assert outputs.before is not None
        matrix = matrix_of(self.card.grey)
        moved_Bchw, visible_Bhw = self.auxiliary_losses.carry(
            luma_from_rgb(outputs.before.rgb_B3hw, matrix),
            luma_from_rgb(outputs.rgb_B3hw, matrix),
            outputs.before.color_Bchw,
        )
        change_Bhw = (outputs.color_Bchw - moved_Bchw).abs().mean(dim=1)
        return (change_Bhw * visible_Bhw).mean()
