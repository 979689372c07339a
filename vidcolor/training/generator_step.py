"""What the generator is shown in a step of training, and what it makes of that."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vidcolor.color import grey_from_rgb, keep_colour, matrix_of, target_from_rgb
from vidcolor.network.card import Card
from vidcolor.network.generator import Generator
from vidcolor.network.outputs import colour_of, colour_space
from vidcolor.options.train import TrainOptions
from vidcolor.training.film_damage import film_look

DrawMasks = Callable[[int, Iterable[int]], Tensor]
"""Returns masks (B, 1, h, w) of 0 and 1 for samples of a step, by their places in the batch."""


@dataclass(frozen=True, kw_only=True)
class StepOutputs:
    """A batch, and what the generator made of it, as the losses see them."""

    grey_B1hw: Tensor
    """Middle frames in [0, 1]."""
    rgb_B3hw: Tensor
    """The same in colour, R'G'B' in [0, 1], and grey where the mask is black."""
    truth_Bchw: Tensor
    """Their colour in the space that the discriminator sees."""
    mask_B1hw: Tensor | None
    """Where colour is wanted, of 0 and 1; None where the network takes no masks."""
    predicted_Bchw: Tensor
    """What the generator returned: colour, or logits of bins."""
    colour_Bchw: Tensor
    """That as colour, in the space of the truth."""
    before: "StepOutputs | None" = None
    """The frames before these, where a loss looks at two."""

    def frames(self) -> list["StepOutputs"]:
        """Return the frame before, where there is one, and this one."""
        return [self] if self.before is None else [self.before, self]


class GeneratorStep:
    """Makes of a batch of windows what the generator sees: greys, noise, masks; and shows it.

    Everything is a function of the options' seed, the step and the sample's place in the batch.
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
        self.colour_space = colour_space(card.output)
        self.draw_masks = draw_masks if generator.takes_mask else None
        self.shows_two = bool(options.temporal_weight or options.pair_discriminator)
        self._noise_channels = generator.noise_channels

    def show(
        self, generator: nn.Module, rgb_BT3hw: Tensor, *, step: int, first: int
    ) -> StepOutputs:
        """Show the generator a batch.

        Args:
            generator: the generator, as a `WindowedGenerator`.
            rgb_BT3hw: R'G'B' in [0, 1].
            step: number of the step.
            first: windows of the same step that other processes take before these.
        """
        batch, middle = len(rgb_BT3hw), rgb_BT3hw.shape[1] // 2
        mask_B1hw = self._masks(batch, step, first)
        grey_BT1hw = grey_from_rgb(rgb_BT3hw, self.card.grey)
        aged_BT1hw = self._aged(grey_BT1hw, step, first)
        noise_Bnhw = self.noise(grey_BT1hw, step, first)
        if not self.shows_two:
            predicted_Bchw = generator(aged_BT1hw, noise_Bnhw, mask_B1hw)
            return self._shown(
                rgb_BT3hw[:, middle], grey_BT1hw[:, middle], mask_B1hw, predicted_Bchw
            )
        # The second window is that of a frame with none before it, as where a shot begins.
        predicted_Nchw = generator(
            torch.cat((aged_BT1hw, aged_BT1hw[:, [0, 0, 1]])), _twice(noise_Bnhw), _twice(mask_B1hw)
        )
        now, before = (
            self._shown(rgb_BT3hw[:, t], grey_BT1hw[:, t], mask_B1hw, predicted_Bchw)
            for t, predicted_Bchw in zip((1, 0), predicted_Nchw.split(batch), strict=True)
        )
        return replace(now, before=before)

    def _shown(
        self, rgb_B3hw: Tensor, grey_B1hw: Tensor, mask_B1hw: Tensor | None, predicted_Bchw: Tensor
    ) -> StepOutputs:
        card, size = self.card, (grey_B1hw.shape[-2], grey_B1hw.shape[-1])
        if mask_B1hw is not None:
            rgb_B3hw = keep_colour(rgb_B3hw, mask_B1hw, matrix_of(card.grey))
        return StepOutputs(
            grey_B1hw=grey_B1hw,
            rgb_B3hw=rgb_B3hw,
            truth_Bchw=target_from_rgb(rgb_B3hw, self.colour_space, card.grey),
            mask_B1hw=mask_B1hw,
            predicted_Bchw=predicted_Bchw,
            colour_Bchw=colour_of(predicted_Bchw, card.output, size),
        )

    def _masks(self, count: int, step: int, first: int) -> Tensor | None:
        if self.draw_masks is None:
            return None
        return self.draw_masks(step, range(first, first + count)).to(self.device)

    def noise(self, grey_BT1hw: Tensor, step: int, first: int) -> Tensor | None:
        """Return noise (B, n, h, w) in [-1, 1] for these windows; None: none is wanted."""
        if not self._noise_channels:
            return None
        size = (first + len(grey_BT1hw), self._noise_channels, *grey_BT1hw.shape[-2:])
        random = torch.Generator().manual_seed(self.options.seed * 1_000_003 + step)
        return (torch.rand(size, generator=random) * 2 - 1)[first:].to(self.device)

    def _aged(self, grey_BT1hw: Tensor, step: int, first: int) -> Tensor:
        """Return the grey that the generator learns from: as it is, or as an old film would be."""
        if not self.options.film_look:
            return grey_BT1hw
        seed = (self.options.seed * 1_000_003 + step) * 1_009 + first
        return film_look(grey_BT1hw, self.options.film_look, seed=seed)


def _twice(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.cat((tensor, tensor))
