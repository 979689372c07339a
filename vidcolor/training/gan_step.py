"""One step of adversarial training: generator, discriminator and their losses."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from vidcolor.color import (
    grey_from_rgb,
    luma_from_rgb,
    matrix_of,
)
from vidcolor.network.card import Card
from vidcolor.network.family import Setup
from vidcolor.network.generator import Generator, WindowedGenerator
from vidcolor.network.outputs import as_coarse_as, chroma_of
from vidcolor.options.train import TrainOptions
from vidcolor.training.accelerator import Accelerator
from vidcolor.training.discriminators import (
    build_discriminator,
    discriminator_loss,
    generator_loss,
)
from vidcolor.training.ema import MovingAverage
from vidcolor.training.generator_losses import AuxiliaryLosses, GeneratorTerms
from vidcolor.training.generator_step import DrawMasks, GeneratorStep, StepOutputs
from vidcolor.training.optimizers import (
    Schedule,
    discriminator_adam,
    generator_adam,
    schedule_of,
    set_rates,
)


class GanTrainer:
    """Holds the networks and optimizers, and runs training steps.

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
        color_counts: Tensor | None = None,
        schedule: Schedule | None = None,
        draw_masks: DrawMasks | None = None,
        auxiliary_losses: AuxiliaryLosses | None = None,
    ) -> None:
        """Build the networks.

        Args:
            card: of the new model.
            setup: of the family, from the options.
            options: how to train.
            device: where; several processes share the work (see `Accelerator`).
            steps: total number.
            color_counts: pixels of the dataset, for more weight of rare colors: in each cell
                (`--rarity`), or in each bin (`--rebalance`).
            schedule: of the learning rates; default: what the options say.
            draw_masks: for a network that takes masks; default: color everywhere.
            auxiliary_losses: for the perceptual and the temporal loss, if they are used.

        Raises:
            OptionsError: the device does not support the precision.
        """
        self.card, self.setup, self.options, self.steps = card, setup, options, steps
        self.schedule = schedule or schedule_of(options, steps)
        self.accelerator = Accelerator(device, precision=options.precision, clip=options.clip)
        self.device = self.accelerator.device
        self.generator = self.accelerator.sync_batch_norm(self._network())
        self.averaged = (
            MovingAverage(self._network(), like=self.generator, decay=options.average)
            if options.average
            else None
        )
        self.generator_step = GeneratorStep(
            card, options, generator=self.generator, draw_masks=draw_masks, device=self.device
        )
        self.terms = GeneratorTerms(
            card, setup, options, auxiliary_losses or AuxiliaryLosses(), color_counts, self.device
        )
        self.discriminator = self.accelerator.sync_batch_norm(
            build_discriminator(
                options.discriminator,
                self._plane_count(),
                options.ndf,
                size=options.size,
                self_attention=options.self_attention,
            )
        )
        self._wrapped_generator = self.accelerator.prepare(WindowedGenerator(self.generator))
        self._wrapped_discriminator = self.accelerator.prepare(self.discriminator)
        self.generator_adam = self.accelerator.prepare_optimizer(
            generator_adam(self.generator, options)
        )
        self.discriminator_adam = self.accelerator.prepare_optimizer(
            discriminator_adam(self.discriminator, options)
        )
        self.steps_done = 0

    def _network(self) -> Generator:
        # On a CPU, convolutions over channels-last take three quarters of the time.
        network = self.card.build_network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cast(Generator, network.to(self.device))

    @property
    def result(self) -> Generator:
        """The generator that is saved: the average if it is used, in evaluation mode."""
        network = self.generator if self.averaged is None else self.averaged.network
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
            self.averaged.start(self.generator)

    def step(self, rgb_BT3hw: Tensor) -> dict[str, float]:
        """Train on a batch of windows and return the losses.

        Args:
            rgb_BT3hw: R'G'B' (B, T, 3, h, w) in [0, 1], this process's share of the batch.

        Returns:
            Each loss and the norm of the generator's gradients, of the batch of all processes.

        Raises:
            FloatingPointError: a loss or gradient is not finite; raised in every process.
        """
        options, done = self.options, self.steps_done
        for adam in (self.generator_adam, self.discriminator_adam):
            set_rates(adam, self.schedule(done))
        self.generator.train()
        self.discriminator.train()
        outputs = self.run_generator(rgb_BT3hw)
        is_adversarial = (
            options.adversarial_weight > 0 and done >= options.adversarial_from * self.steps
        )
        losses: dict[str, Tensor] = {}
        if is_adversarial and done % options.discriminator_every == 0:
            losses |= self._train_discriminator(outputs)
        if done % options.generator_every == 0:
            losses |= self._train_generator(outputs, is_adversarial=is_adversarial)
        self.steps_done += 1
        return self.accelerator.mean(losses)

    def run_generator(self, rgb_BT3hw: Tensor) -> StepOutputs:
        """Run the generator on this process's share of a batch, R'G'B' in [0, 1]."""
        return self.generator_step.run(
            self._wrapped_generator,
            rgb_BT3hw.to(self.device, non_blocking=True),
            step=self.steps_done,
            first=self.accelerator.share(self.options.batch_size).start,
        )

    def _train_discriminator(self, outputs: StepOutputs) -> dict[str, Tensor]:
        real = self._wrapped_discriminator(
            self._planes(outputs, lambda s: as_coarse_as(s.predicted_Bchw, s.truth_Bchw))
        )
        fake = self._wrapped_discriminator(self._planes(outputs, lambda s: s.color_Bchw.detach()))
        loss = discriminator_loss(real, fake, self.options.gan)
        self.accelerator.step(loss, self.discriminator_adam)
        return {"discriminator": loss}

    def _train_generator(self, outputs: StepOutputs, *, is_adversarial: bool) -> dict[str, Tensor]:
        terms = self.terms.of(outputs)
        if is_adversarial:
            weight = self.options.adversarial_weight
            terms["adversarial"] = (weight, self._adversarial_loss(outputs))
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        norm = self.accelerator.step(loss, self.generator_adam)
        if self.averaged is not None:
            self.averaged.update(self.generator)
        return {name: value for name, (_, value) in terms.items()} | {"gradient": norm}

    def _adversarial_loss(self, outputs: StepOutputs) -> Tensor:
        # The discriminator is not trained here: it computes no gradients of its own weights.
        self.discriminator.requires_grad_(False)
        scores = self.discriminator(self._planes(outputs, lambda s: s.color_Bchw))
        self.discriminator.requires_grad_(True)
        return generator_loss(scores, self.options.gan)

    def _planes(self, outputs: StepOutputs, color: Callable[[StepOutputs], Tensor]) -> Tensor:
        """Return the discriminator's input: color, and the grey and mask that it belongs to.

        A discriminator of pairs also gets those of the frame before.
        """
        planes = []
        for frame in outputs.frames() if self.options.pair_discriminator else [outputs]:
            if self.setup.is_conditional:
                planes.append(frame.grey_B1hw * 2 - 1)
            planes.append(color(frame))
            if self.setup.is_conditional and frame.mask_B1hw is not None:
                planes.append(frame.mask_B1hw * 2 - 1)
        return torch.cat(planes, dim=1)

    def _plane_count(self) -> int:
        """Return the number of channels of `_planes`."""
        channels = 3 if self.generator_step.color_space == "rgb" else 2
        if self.setup.is_conditional:
            channels += 1 if self.generator_step.draw_masks is None else 2
        return channels * 2 if self.options.pair_discriminator else channels

    @torch.inference_mode()
    def chroma(self, rgb_BT3hw: Tensor, mask_B1hw: Tensor | None = None) -> Tensor:
        """Return the Cb, Cr (B, 2, h, w) of the middle frames from the saved generator, on the CPU.

        Args:
            rgb_BT3hw: R'G'B' in [0, 1].
            mask_B1hw: for a network that takes masks; None: color everywhere.
        """
        card, rgb_BT3hw = self.card, rgb_BT3hw.to(self.device)
        luma_B1hw = luma_from_rgb(rgb_BT3hw[:, rgb_BT3hw.shape[1] // 2], matrix_of(card.grey))
        grey_BT1hw = grey_from_rgb(rgb_BT3hw, card.grey)
        mask_B1hw = None if mask_B1hw is None else mask_B1hw.to(self.device)
        noise_Bnhw = self.generator_step.noise(grey_BT1hw, self.steps_done, 0)
        predicted_Bchw, _ = WindowedGenerator(self.result)(grey_BT1hw, noise_Bnhw, mask_B1hw)
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
        """Return the state for a resumed training: tensors and plain values."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        return states | {"steps_done": self.steps_done, "engine": self.accelerator.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `state` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.steps_done = int(state["steps_done"])
        self.accelerator.load_state(state["engine"])
