"""One step of adversarial training: generator, discriminator, their optimisers and losses."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidcolor.color import (
    AB_RANGE,
    chroma_from_rgb,
    grey_from_rgb,
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
from vidcolor.network.family import Setup
from vidcolor.network.generator import Generator
from vidcolor.network.losses import bin_loss, cell_index, pixel_loss, rarity_weights
from vidcolor.network.outputs import chroma_of, colour_of, colour_space
from vidcolor.network.weights import is_weights_file
from vidcolor.options import TrainOptions

ADVERSARIAL_BETAS = (0.5, 0.999)
"""Of Adam: seed 002's; a momentum of 0.5 steadies adversarial training (Radford et al. 2016)."""

PLAIN_BETAS = (0.9, 0.999)
"""Of Adam where nothing is adversarial (Kingma and Ba 2015)."""

PRETRAINED_RATE = 0.2
"""Share of the learning rate for layers that began with ImageNet weights.

At the full rate their features grew without bound within 500 steps and forgot what they knew.
"""

LAST_RATE = 0.01
"""Share of the learning rate at which the cosine schedule ends."""

WARMUP_STEPS = 200
"""Steps over which the cosine schedule rises: moments of Adam need some to settle."""


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
    ) -> None:
        """Build the networks.

        Args:
            card: of the model that is made.
            setup: what the family made of the options.
            options: how to train.
            device: where.
            steps: in all.
            colour_counts: of the dataset's pixels, where rare colours weigh more: in each cell
                (`--rarity`), or in each bin (`--rebalance`).
        """
        self.card, self.setup, self.options = card, setup, options
        self.device, self.steps = device, steps
        self.generator = card.build_network().to(device)
        self.averaged = (
            AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(options.average))
            if options.average
            else None
        )
        self.colour_space = colour_space(card.output)
        seen_channels = (3 if self.colour_space == "rgb" else 2) + setup.is_conditional
        self.discriminator = build_discriminator(
            options.discriminator,
            seen_channels,
            options.ndf,
            self_attention=options.self_attention,
        ).to(device)
        self.bins_Q2 = ab_bins().to(device)
        self.colour_weights = (
            None if colour_counts is None else self._colour_weights(colour_counts.to(device))
        )
        self.generator_adam = self._adam(_groups(self.generator, options), options.lr)
        self.discriminator_adam = self._adam(
            [{"params": [*self.discriminator.parameters()]}], options.discriminator_lr or options.lr
        )
        self.steps_done = 0

    def _colour_weights(self, counts: Tensor) -> Tensor:
        if self.card.output == "bins":
            assert self.options.rebalance is not None
            prior_Q = smoothed_prior(counts, self.bins_Q2)
            return rebalancing_weights(prior_Q, self.options.rebalance)
        return rarity_weights(counts, self.options.rarity)

    def _adam(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.AdamW:
        options = self.options
        betas = ADVERSARIAL_BETAS if options.adversarial_weight else PLAIN_BETAS
        for group in groups:
            group["rate"] = rate * group.pop("share", 1.0)
        return torch.optim.AdamW(groups, rate, betas, weight_decay=options.weight_decay)

    @property
    def result(self) -> Generator:
        """The generator that is kept: the average where there is one, in evaluation mode."""
        network = self.generator if self.averaged is None else cast(Generator, self.averaged.module)
        network.eval()
        return network

    def start_average_here(self) -> None:
        """Make the average equal the generator; to be called after its weights were loaded."""
        if self.averaged is not None:
            self.averaged.module.load_state_dict(self.generator.state_dict())

    def predict(self, network: Generator, grey_BT1hw: Tensor) -> Tensor:
        """Return what the network returns for the middle frame of each window."""
        batch, frames = grey_BT1hw.shape[:2]
        grey_N1hw = grey_BT1hw.flatten(0, 1)
        features = network.encode(network.frame(grey_N1hw), network.embed(grey_N1hw))
        # A scale's tensor holds the frames of all windows: take them apart by their place.
        per_frame = [
            [scale.unflatten(0, (batch, frames))[:, t] for scale in features] for t in range(frames)
        ]
        window = per_frame if frames == 3 else per_frame * 3
        previous, current, next_ = window
        return network.decode(previous, current, next_)

    def step(self, rgb_BT3hw: Tensor) -> dict[str, float]:
        """Learn from a batch of windows, R'G'B' (B, T, 3, h, w) in [0, 1]; return the losses."""
        options, card = self.options, self.card
        self._set_learning_rate()
        self.generator.train()
        self.discriminator.train()
        rgb_BT3hw = rgb_BT3hw.to(self.device, non_blocking=True)
        middle_B3hw = rgb_BT3hw[:, rgb_BT3hw.shape[1] // 2]
        grey_BT1hw = grey_from_rgb(rgb_BT3hw, card.grey)
        grey_B1hw = grey_BT1hw[:, grey_BT1hw.shape[1] // 2]
        truth_Bchw = target_from_rgb(middle_B3hw, self.colour_space, card.grey)
        predicted_Bchw = self.predict(self.generator, grey_BT1hw)
        colour_Bchw = colour_of(predicted_Bchw, card.output, _size(grey_B1hw))
        losses: dict[str, float] = {}
        is_adversarial = (
            options.adversarial_weight > 0
            and self.steps_done >= options.adversarial_from * self.steps
        )
        if is_adversarial and self.steps_done % options.discriminator_every == 0:
            losses |= self._discriminator_step(grey_B1hw, truth_Bchw, colour_Bchw.detach())
        if self.steps_done % options.generator_every == 0:
            pixel = self._pixel_loss(predicted_Bchw, truth_Bchw, middle_B3hw)
            losses |= self._generator_step(pixel, grey_B1hw, colour_Bchw, is_adversarial)
        self.steps_done += 1
        return losses

    def _discriminator_step(
        self, grey_B1hw: Tensor, truth_Bchw: Tensor, fake_Bchw: Tensor
    ) -> dict[str, float]:
        real = self.discriminator(self._seen(grey_B1hw, truth_Bchw))
        fake = self.discriminator(self._seen(grey_B1hw, fake_Bchw))
        loss = discriminator_loss(real, fake, self.options.gan)
        self.discriminator_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_adam.step()
        return {"discriminator": loss.item()}

    def _generator_step(
        self,
        pixel: Tensor,
        grey_B1hw: Tensor,
        colour_Bchw: Tensor,
        is_adversarial: bool,
    ) -> dict[str, float]:
        options = self.options
        losses = {"pixel": pixel.item()}
        if not math.isfinite(losses["pixel"]):
            raise FloatingPointError("the generator's loss is not finite")
        loss = options.pixel_weight * pixel
        if is_adversarial:
            # The discriminator is only looked through here: it keeps no gradients.
            self.discriminator.requires_grad_(False)
            scores = self.discriminator(self._seen(grey_B1hw, colour_Bchw))
            self.discriminator.requires_grad_(True)
            adversarial = generator_loss(scores, options.gan)
            losses["adversarial"] = adversarial.item()
            loss = loss + options.adversarial_weight * adversarial
        self.generator_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_adam.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.generator)
        return losses

    def _seen(self, grey_B1hw: Tensor, colour_Bchw: Tensor) -> Tensor:
        """Return what the discriminator looks at: colour, and the grey it belongs to."""
        return (
            torch.cat((grey_B1hw * 2 - 1, colour_Bchw), dim=1)
            if self.setup.is_conditional
            else colour_Bchw
        )

    def _pixel_loss(
        self, predicted_Bchw: Tensor, truth_Bchw: Tensor, middle_B3hw: Tensor
    ) -> Tensor:
        if self.card.output == "bins":
            ab_B2hw = functional.adaptive_avg_pool2d(truth_Bchw * AB_RANGE, _size(predicted_Bchw))
            return bin_loss(predicted_Bchw, ab_B2hw, self.bins_Q2, self.colour_weights)
        weight_Bhw = None
        if self.colour_weights is not None:
            chroma_B2hw = chroma_from_rgb(middle_B3hw, matrix_of(self.card.grey))
            weight_Bhw = self.colour_weights[cell_index(chroma_B2hw)]
        return pixel_loss(predicted_Bchw, truth_Bchw, self.setup.pixel_loss, weight_Bhw)

    def _set_learning_rate(self) -> None:
        factor = 1.0
        if self.options.lr_schedule == "cosine":
            share = min(1.0, self.steps_done / self.steps)
            fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2
            factor = fall * min(1.0, (self.steps_done + 1) / WARMUP_STEPS)
        for adam in (self.generator_adam, self.discriminator_adam):
            for group in adam.param_groups:
                group["lr"] = group["rate"] * factor

    @torch.inference_mode()
    def chroma(self, rgb_BT3hw: Tensor) -> Tensor:
        """Return the Cb, Cr (B, 2, h, w) that the result gives the middle frames, on the CPU."""
        card, rgb_BT3hw = self.card, rgb_BT3hw.to(self.device)
        luma_B1hw = luma_from_rgb(rgb_BT3hw[:, rgb_BT3hw.shape[1] // 2], matrix_of(card.grey))
        predicted_Bchw = self.predict(self.result, grey_from_rgb(rgb_BT3hw, card.grey))
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
        random = torch.get_rng_state()
        return states | {"steps_done": self.steps_done, "random": random}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.steps_done = int(state["steps_done"])
        torch.set_rng_state(state["random"])


def _size(picture_Bchw: Tensor) -> tuple[int, int]:
    return picture_Bchw.shape[-2], picture_Bchw.shape[-1]


def _groups(generator: nn.Module, options: TrainOptions) -> list[dict[str, Any]]:
    """Return the generator's parameters, those from ImageNet with their own share of the rate."""
    if options.init is None or not is_weights_file(options.init):
        return [{"params": [*generator.parameters()]}]
    named = list(generator.named_parameters())
    pretrained = [p for name, p in named if name.startswith("features.")]
    fresh = [p for name, p in named if not name.startswith("features.")]
    return [{"params": fresh}, {"params": pretrained, "share": PRETRAINED_RATE}]
