"""One step of adversarial training: generator, discriminator and their losses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidcolor.color import (
    AB_RANGE,
    chroma_from_rgb,
    grey_from_rgb,
    keep_colour,
    luma_from_rgb,
    matrix_of,
    target_from_rgb,
)
from vidcolor.network.bins import ab_bins, rebalancing_weights, smoothed_prior
from vidcolor.network.card import Card
from vidcolor.network.discriminators import (
    build_discriminator,
    discriminator_loss,
    generator_loss,
)
from vidcolor.network.engine import Engine
from vidcolor.network.family import Setup
from vidcolor.network.film_look import film_look
from vidcolor.network.generator import Generator, WindowedGenerator
from vidcolor.network.losses import bin_loss, cell_index, pixel_loss, rarity_weights
from vidcolor.network.optimisers import (
    Schedule,
    discriminator_adam,
    generator_adam,
    schedule_of,
    set_rates,
)
from vidcolor.network.outputs import as_coarse_as, chroma_of, colour_of, colour_space
from vidcolor.options import TrainOptions

DrawMasks = Callable[[int, Iterable[int]], Tensor]
"""Returns masks (B, 1, h, w) of 0 and 1 for samples of a step, by their places in the batch."""

Terms = dict[str, tuple[float, Tensor]]
"""What the generator makes small: each term's weight and value (a number) by its name."""


@dataclass(frozen=True, kw_only=True)
class Shown:
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


class GanTrainer:
    """Holds everything that training changes, and changes it by one step.

    trainer = GanTrainer(card, setup, options, device=device, steps=1000)
    losses = trainer.step(rgb_BT3hw)
    """

    def __init__(
        self,
        card: Card,
        setup: Setup,
        options: TrainOptions,
        *,
        device: torch.device,
        steps: int,
        colour_counts: Tensor | None = None,
        schedule: Schedule | None = None,
        draw_masks: DrawMasks | None = None,
    ) -> None:
        """Build the networks.

        Args:
            card: of the model that is made.
            setup: what the family made of the options.
            options: how to train.
            device: where; several processes share the work (see `Engine`).
            steps: in all.
            colour_counts: of the dataset's pixels, where rare colours weigh more: in each cell
                (`--rarity`), or in each bin (`--rebalance`).
            schedule: of the learning rates; default: what the options say.
            draw_masks: for a network that takes masks; default: colour is wanted everywhere.

        Raises:
            OptionsError: the device does not have the precision.
        """
        self.card, self.setup, self.options, self.steps = card, setup, options, steps
        self.schedule = schedule or schedule_of(options, steps)
        self.engine = Engine(device, precision=options.precision, clip=options.clip)
        self.device = self.engine.device
        self.generator = self.engine.synchronised(card.build_network().to(self.device))
        self.averaged = (
            AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(options.average))
            if options.average
            else None
        )
        self.colour_space = colour_space(card.output)
        self._draw_masks = draw_masks if self.generator.takes_mask else None
        seen_channels = 3 if self.colour_space == "rgb" else 2
        if setup.is_conditional:
            seen_channels += 1 if self._draw_masks is None else 2
        self.discriminator = self.engine.synchronised(
            build_discriminator(
                options.discriminator,
                seen_channels,
                options.ndf,
                size=options.size,
                self_attention=options.self_attention,
            )
        )
        self._forger = self.engine.prepare(WindowedGenerator(self.generator))
        self._judge = self.engine.prepare(self.discriminator)
        self.generator_adam = self.engine.prepare_optimiser(generator_adam(self.generator, options))
        self.discriminator_adam = self.engine.prepare_optimiser(
            discriminator_adam(self.discriminator, options)
        )
        self.bins_Q2 = ab_bins().to(self.device)
        self.colour_weights = (
            None if colour_counts is None else self._colour_weights(colour_counts.to(self.device))
        )
        self.steps_done = 0

    def _colour_weights(self, counts: Tensor) -> Tensor:
        if self.card.output == "bins":
            assert self.options.rebalance is not None
            prior_Q = smoothed_prior(counts, self.bins_Q2)
            return rebalancing_weights(prior_Q, self.options.rebalance)
        return rarity_weights(counts, self.options.rarity)

    @property
    def result(self) -> Generator:
        """The generator that is kept: the average where there is one, in evaluation mode."""
        network = self.generator if self.averaged is None else cast(Generator, self.averaged.module)
        network.eval()
        return network

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        rate: float = self.generator_adam.param_groups[0]["lr"]
        return rate

    def start_average_here(self) -> None:
        """Make the average equal the generator; to be called after its weights were loaded."""
        if self.averaged is not None:
            self.averaged.module.load_state_dict(self.generator.state_dict())

    def step(self, rgb_BT3hw: Tensor) -> dict[str, float]:
        """Learn from a batch of windows and return the losses.

        Args:
            rgb_BT3hw: R'G'B' (B, T, 3, h, w) in [0, 1], this process's share of the batch.

        Returns:
            Each loss and the norm of the generator's gradients, of the batch of all processes.

        Raises:
            FloatingPointError: something is not finite; raised in every process.
        """
        options, done = self.options, self.steps_done
        for adam in (self.generator_adam, self.discriminator_adam):
            set_rates(adam, self.schedule(done))
        self.generator.train()
        self.discriminator.train()
        shown = self._look(rgb_BT3hw.to(self.device, non_blocking=True))
        is_adversarial = (
            options.adversarial_weight > 0 and done >= options.adversarial_from * self.steps
        )
        losses: dict[str, Tensor] = {}
        if is_adversarial and done % options.discriminator_every == 0:
            losses |= self._discriminator_step(shown)
        if done % options.generator_every == 0:
            losses |= self._generator_step(shown, is_adversarial=is_adversarial)
        self.steps_done += 1
        return self.engine.mean(losses)

    def _look(self, rgb_BT3hw: Tensor) -> Shown:
        """Show the generator a batch."""
        card, middle = self.card, rgb_BT3hw.shape[1] // 2
        grey_BT1hw = grey_from_rgb(rgb_BT3hw, card.grey)
        rgb_B3hw, grey_B1hw = rgb_BT3hw[:, middle], grey_BT1hw[:, middle]
        first = self.engine.share(self.options.batch_size).start
        mask_B1hw = self._masks(first, len(rgb_B3hw))
        if mask_B1hw is not None:
            rgb_B3hw = keep_colour(rgb_B3hw, mask_B1hw, matrix_of(card.grey))
        shown_BT1hw, noise_Bnhw = self._aged(grey_BT1hw, first), self._noise(grey_BT1hw, first)
        predicted_Bchw = self._forger(shown_BT1hw, noise_Bnhw, mask_B1hw)
        return Shown(
            grey_B1hw=grey_B1hw,
            rgb_B3hw=rgb_B3hw,
            truth_Bchw=target_from_rgb(rgb_B3hw, self.colour_space, card.grey),
            predicted_Bchw=predicted_Bchw,
            colour_Bchw=colour_of(predicted_Bchw, card.output, _size(grey_B1hw)),
            mask_B1hw=mask_B1hw,
        )

    def _masks(self, first: int, count: int) -> Tensor | None:
        if self._draw_masks is None:
            return None
        return self._draw_masks(self.steps_done, range(first, first + count)).to(self.device)

    def _noise(self, grey_BT1hw: Tensor, first: int) -> Tensor | None:
        """Return noise (B, n, h, w) in [-1, 1], a function of seed and step; None: not wanted.

        Args:
            grey_BT1hw: what it is for.
            first: windows of the same step that other processes took before these.
        """
        channels = self.generator.noise_channels
        if not channels:
            return None
        size = (first + len(grey_BT1hw), channels, *grey_BT1hw.shape[-2:])
        random = torch.Generator().manual_seed(self.options.seed * 1_000_003 + self.steps_done)
        return (torch.rand(size, generator=random) * 2 - 1)[first:].to(self.device)

    def _aged(self, grey_BT1hw: Tensor, first: int) -> Tensor:
        """Return the grey that the generator learns from: as it is, or as an old film would be."""
        if not self.options.film_look:
            return grey_BT1hw
        seed = (self.options.seed * 1_000_003 + self.steps_done) * 1_009 + first
        return film_look(grey_BT1hw, self.options.film_look, seed=seed)

    def _discriminator_step(self, shown: Shown) -> dict[str, Tensor]:
        real_Bchw = as_coarse_as(shown.predicted_Bchw, shown.truth_Bchw)
        real = self._judge(self._seen(shown, real_Bchw))
        fake = self._judge(self._seen(shown, shown.colour_Bchw.detach()))
        loss = discriminator_loss(real, fake, self.options.gan)
        self.engine.learn(loss, self.discriminator_adam)
        return {"discriminator": loss}

    def _generator_step(self, shown: Shown, *, is_adversarial: bool) -> dict[str, Tensor]:
        terms = self._terms(shown, is_adversarial=is_adversarial)
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        norm = self.engine.learn(loss, self.generator_adam)
        if self.averaged is not None:
            self.averaged.update_parameters(self.generator)
        return {name: value for name, (_, value) in terms.items()} | {"gradient": norm}

    def _terms(self, shown: Shown, *, is_adversarial: bool) -> Terms:
        """Return what the generator is to make small; a new term is one more entry."""
        options = self.options
        terms = {"pixel": (options.pixel_weight, self._pixel_loss(shown))}
        if is_adversarial:
            terms["adversarial"] = (options.adversarial_weight, self._adversarial_loss(shown))
        return terms

    def _adversarial_loss(self, shown: Shown) -> Tensor:
        # The discriminator is only looked through: it keeps no gradients, and sends none about.
        self.discriminator.requires_grad_(False)
        scores = self.discriminator(self._seen(shown, shown.colour_Bchw))
        self.discriminator.requires_grad_(True)
        return generator_loss(scores, self.options.gan)

    def _seen(self, shown: Shown, colour_Bchw: Tensor) -> Tensor:
        """Return what the discriminator looks at: colour, and the grey and mask it belongs to."""
        if not self.setup.is_conditional:
            return colour_Bchw
        planes = [shown.grey_B1hw * 2 - 1, colour_Bchw]
        if shown.mask_B1hw is not None:
            planes.append(shown.mask_B1hw * 2 - 1)
        return torch.cat(planes, dim=1)

    def _pixel_loss(self, shown: Shown) -> Tensor:
        predicted_Bchw, truth_Bchw = shown.predicted_Bchw, shown.truth_Bchw
        if self.card.output == "bins":
            ab_B2hw = functional.adaptive_avg_pool2d(truth_Bchw * AB_RANGE, _size(predicted_Bchw))
            return bin_loss(predicted_Bchw, ab_B2hw, self.bins_Q2, self.colour_weights)
        weight_Bhw = None
        if self.colour_weights is not None:
            chroma_B2hw = chroma_from_rgb(shown.rgb_B3hw, matrix_of(self.card.grey))
            weight_Bhw = self.colour_weights[cell_index(chroma_B2hw)]
        return pixel_loss(predicted_Bchw, truth_Bchw, self.setup.pixel_loss, weight_Bhw)

    @torch.inference_mode()
    def chroma(self, rgb_BT3hw: Tensor, mask_B1hw: Tensor | None = None) -> Tensor:
        """Return the Cb, Cr (B, 2, h, w) that the result gives the middle frames, on the CPU.

        Args:
            rgb_BT3hw: R'G'B' in [0, 1].
            mask_B1hw: what a network that takes masks is shown; None: colour everywhere.
        """
        card, rgb_BT3hw = self.card, rgb_BT3hw.to(self.device)
        luma_B1hw = luma_from_rgb(rgb_BT3hw[:, rgb_BT3hw.shape[1] // 2], matrix_of(card.grey))
        grey_BT1hw = grey_from_rgb(rgb_BT3hw, card.grey)
        mask_B1hw = None if mask_B1hw is None else mask_B1hw.to(self.device)
        noise_Bnhw = self._noise(grey_BT1hw, 0)
        predicted_Bchw = WindowedGenerator(self.result)(grey_BT1hw, noise_Bnhw, mask_B1hw)
        return chroma_of(predicted_Bchw, luma_B1hw, card.output, card.grey).cpu()

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_adam": self.generator_adam,
            "discriminator_adam": self.discriminator_adam,
        }
        return parts if self.averaged is None else parts | {"averaged": self.averaged}

    def state(self) -> dict[str, Any]:
        """Return everything that a resumed training needs: tensors and plain values."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        return states | {"steps_done": self.steps_done, "engine": self.engine.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.steps_done = int(state["steps_done"])
        self.engine.load_state(state["engine"])


def _size(picture_Bchw: Tensor) -> tuple[int, int]:
    return picture_Bchw.shape[-2], picture_Bchw.shape[-1]
