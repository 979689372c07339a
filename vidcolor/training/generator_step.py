"""The generator's inputs in a training step, and its outputs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vidcolor.color import grey_from_rgb, keep_color, matrix_of, target_from_rgb
from vidcolor.network.card import Card
from vidcolor.network.generator import Features, Generator
from vidcolor.network.outputs import color_of, color_space
from vidcolor.options.train import TrainOptions
from vidcolor.training.film_damage import damage_film

DrawMasks = Callable[[int, Iterable[int]], Tensor]
"""Returns masks (B, 1, h, w) of 0 and 1 for samples of a step, by their places in the batch."""


@dataclass(frozen=True, kw_only=True)
class StepOutputs:
    """A batch and the generator's output for it, as inputs of the losses."""

    grey_B1hw: Tensor
    """Middle frames in [0, 1]."""
    rgb_B3hw: Tensor
    """The same in color, R'G'B' in [0, 1], and grey where the mask is black."""
    truth_Bchw: Tensor
    """Their color in the discriminator's color space."""
    mask_B1hw: Tensor | None
    """Where to color, 0 or 1; None where the network takes no masks."""
    predicted_Bchw: Tensor
    """The generator's output: color, or logits of bins."""
    color_Bchw: Tensor
    """The output as color, in the space of the truth."""
    features: Features
    """What the generator's encoder made of the middle frames."""
    before: "StepOutputs | None" = None
    """The frames before these, where a loss needs two."""

    def frames(self) -> list["StepOutputs"]:
        """Return the frame before, where there is one, and this one."""
        return [self] if self.before is None else [self.before, self]


class GeneratorStep:
    """Prepares the generator's inputs from a batch of windows (grey, noise, masks) and runs it.

    Everything depends only on the options' seed, the step and the sample's place in the batch.
    """

    def __init__(
        self,
        card: Card,
        options: TrainOptions,
        *,
        generator: Generator,
        draw_masks: DrawMasks | None,
        device: torch.device,
    ) -> None:
        self.card, self.options, self.device = card, options, device
        self.color_space = color_space(card.output)
        self.draw_masks = draw_masks if generator.takes_mask else None
        self.uses_two_frames = bool(options.temporal_weight or options.pair_discriminator)
        self._noise_channels = generator.noise_channels

    def run(self, generator: nn.Module, rgb_BT3hw: Tensor, *, step: int, first: int) -> StepOutputs:
        """Run the generator on a batch.

        Args:
            generator: the generator, as a `WindowedGenerator`.
            rgb_BT3hw: R'G'B' in [0, 1].
            step: number of the step.
            first: number of windows of the same step in earlier processes.
        """
        batch, middle = len(rgb_BT3hw), rgb_BT3hw.shape[1] // 2
        mask_B1hw = self._masks(batch, step, first)
        grey_BT1hw = grey_from_rgb(rgb_BT3hw, self.card.grey)
        damaged_BT1hw = self._damaged(grey_BT1hw, step, first)
        noise_Bnhw = self.noise(grey_BT1hw, step, first)
        if not self.uses_two_frames:
            predicted_Bchw, features = generator(damaged_BT1hw, noise_Bnhw, mask_B1hw)
            return self._outputs(
                rgb_BT3hw[:, middle], grey_BT1hw[:, middle], mask_B1hw, predicted_Bchw, features
            )
        # The second window is that of a frame with none before it, as at the start of a shot.
        predicted_Nchw, features = generator(
            torch.cat((damaged_BT1hw, damaged_BT1hw[:, [0, 0, 1]])),
            _twice(noise_Bnhw),
            _twice(mask_B1hw),
        )
        scales = [scale.split(batch) for scale in features]
        now, before = (
            self._outputs(
                rgb_BT3hw[:, t], grey_BT1hw[:, t], mask_B1hw, predicted_Bchw,
                [scale[place] for scale in scales],
            )
            for place, (t, predicted_Bchw) in enumerate(
                zip((1, 0), predicted_Nchw.split(batch), strict=True)
            )
        )  # fmt: skip
        return replace(now, before=before)

    def _outputs(
        self,
        rgb_B3hw: Tensor,
        grey_B1hw: Tensor,
        mask_B1hw: Tensor | None,
        predicted_Bchw: Tensor,
        features: Features,
    ) -> StepOutputs:
        card, size = self.card, (grey_B1hw.shape[-2], grey_B1hw.shape[-1])
        if mask_B1hw is not None:
            rgb_B3hw = keep_color(rgb_B3hw, mask_B1hw, matrix_of(card.grey))
        return StepOutputs(
            grey_B1hw=grey_B1hw,
            rgb_B3hw=rgb_B3hw,
            truth_Bchw=target_from_rgb(rgb_B3hw, self.color_space, card.grey),
            mask_B1hw=mask_B1hw,
            predicted_Bchw=predicted_Bchw,
            color_Bchw=color_of(predicted_Bchw, card.output, size),
            features=features,
        )

    def _masks(self, count: int, step: int, first: int) -> Tensor | None:
        if self.draw_masks is None:
            return None
        return self.draw_masks(step, range(first, first + count)).to(self.device)

    def noise(self, grey_BT1hw: Tensor, step: int, first: int) -> Tensor | None:
        """Return noise (B, n, h, w) in [-1, 1] for these windows; None if it is not used."""
        if not self._noise_channels:
            return None
        size = (first + len(grey_BT1hw), self._noise_channels, *grey_BT1hw.shape[-2:])
        random = torch.Generator().manual_seed(self.options.seed * 1_000_003 + step)
        return (torch.rand(size, generator=random) * 2 - 1)[first:].to(self.device)

    def _damaged(self, grey_BT1hw: Tensor, step: int, first: int) -> Tensor:
        """Return the grey input of the generator, with simulated film damage if it is enabled."""
        if not self.options.film_look:
            return grey_BT1hw
        seed = (self.options.seed * 1_000_003 + step) * 1_009 + first
        return damage_film(grey_BT1hw, self.options.film_look, seed=seed)


def _twice(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.cat((tensor, tensor))
