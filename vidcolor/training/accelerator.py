"""Devices, precision and processes: the one place that knows accelerate.

A training is started once on one device, or by `torchrun` once for each of several; the code is
the same. Every process takes its share of each batch, gradients are averaged over all of them.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vidcolor.errors import OptionsError
from vidcolor.options.train import Precision

log = logging.getLogger(__name__)

Module = TypeVar("Module", bound=nn.Module)

LEAST_SCALE = 1.0
"""Of fp16's losses: it begins at 2 ** 16 and is halved at each overflow, so one that still
overflows here is not to blame on the small range of fp16: the training diverged."""


class Accelerator:
    """What a training step needs of devices, precision and processes.

    accelerator = Accelerator(torch.device("cpu"), precision="auto", clip=None)
    trained = accelerator.prepare(network)
    adam = accelerator.prepare_optimiser(torch.optim.AdamW(network.parameters()))
    accelerator.learn(loss_of(trained(batch)), adam)
    """

    def __init__(
        self, device: torch.device, *, precision: Precision, clip: float | None = None
    ) -> None:
        """Join the other processes, if `torchrun` started several.

        Args:
            device: its kind; which of several CUDA devices is the process's number.
            precision: of what a network computes in training; weights are kept in fp32.
            clip: largest norm of an optimiser's gradients; None: any.

        Raises:
            OptionsError: the device does not have that precision.
        """
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        self.precision, self.clip = _precision(device, precision), clip
        # accelerate remembers the first choice of a process, but the next training may differ.
        AcceleratorState._reset_state(reset_partial_state=True)
        self._accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="no" if self.precision == "fp32" else self.precision,
            kwargs_handlers=[_without_broadcasts()],
        )
        self.device: torch.device = self._accelerator.device
        self.processes: int = self._accelerator.num_processes
        self.is_main: bool = self._accelerator.is_main_process
        """Whether this process is the one that writes files."""

    def prepare(self, network: Module) -> nn.Module:
        """Return what to call in training: the network on its device, in its precision.

        Gradients of its parameters are averaged over the processes. The network itself shares
        these parameters; call that one where it is not to learn.
        """
        prepared: nn.Module = self._accelerator.prepare_model(network.to(self.device))
        return prepared

    def synchronised(self, network: Module) -> Module:
        """Return the network with batch norms that see the batch of all processes (on CUDA)."""
        if self.processes == 1 or self.device.type == "cpu":
            return network
        converted: Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted

    def prepare_optimiser(self, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimiser as `learn` takes it."""
        prepared: torch.optim.Optimizer = self._accelerator.prepare_optimizer(optimiser)
        return prepared

    def learn(self, loss: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
        """Make the loss smaller by one step.

        Returns:
            The norm of the gradients before clipping, a number; 0 where fp16 left the step out.

        Raises:
            FloatingPointError: a gradient is not finite; no weight was changed. It is raised in
                every process, for their gradients are averaged.
        """
        optimiser.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        self._accelerator.unscale_gradients(optimiser)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.clip or math.inf)
        is_finite = bool(norm.isfinite())
        if not is_finite and not self._is_scale_to_blame():
            raise FloatingPointError("a gradient is not finite")
        optimiser.step()  # the scaler of fp16 leaves it out where a gradient is not finite
        return norm if is_finite else torch.zeros_like(norm)

    def _is_scale_to_blame(self) -> bool:
        scaler = self._accelerator.scaler
        return scaler is not None and scaler.get_scale() > LEAST_SCALE

    def mean(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Return each loss as a number, its mean over the processes.

        Raises:
            FloatingPointError: one is not finite; raised in every process.
        """
        if not losses:
            return {}
        values = torch.stack([value.detach().float() for value in losses.values()])
        numbers = self._accelerator.reduce(values, "mean").tolist()
        for name, number in zip(losses, numbers, strict=True):
            if not math.isfinite(number):
                raise FloatingPointError(f"the loss {name} is not finite")
        return dict(zip(losses, numbers, strict=True))

    def share(self, batch_size: int) -> range:
        """Return which windows of a batch are this process's.

        Raises:
            OptionsError: the batch cannot be divided evenly.
        """
        size, rest = divmod(batch_size, self.processes)
        if rest:
            raise OptionsError(
                f"--batch-size {batch_size}: cannot be divided among {self.processes} processes; "
                f"take a multiple of {self.processes}"
            )
        first = self._accelerator.process_index * size
        return range(first, first + size)

    def any(self, is_so: bool) -> bool:
        """Tell whether it is so in any process; all have to ask."""
        flag = torch.tensor(float(is_so), device=self.device)
        return bool(self._accelerator.reduce(flag, "sum") > 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._accelerator.wait_for_everyone()

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs of it: random states, and the scale of fp16."""
        state: dict[str, Any] = {"random": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda_random"] = torch.cuda.get_rng_state(self.device)
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned, as far as this device has it."""
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and "cuda_random" in state:
            torch.cuda.set_rng_state(state["cuda_random"], self.device)
        if self._accelerator.scaler is not None and "scaler" in state:
            self._accelerator.scaler.load_state_dict(state["scaler"])


def _precision(device: torch.device, wish: Precision) -> Precision:
    """Return what `auto` means on the device, and log it.

    Raises:
        OptionsError: the device does not have the wished one.
    """
    has_bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if (wish == "fp16" and device.type == "cpu") or (wish == "bf16" and not has_bf16):
        raise OptionsError(
            f"--precision {wish}: this device ({device.type}) does not have it; use "
            "--precision auto, which takes the best it has"
        )
    if wish != "auto":
        return wish
    chosen: Precision = "bf16" if device.type == "cuda" and has_bf16 else "fp32"
    reason = "a CPU is no faster in bf16" if device.type == "cpu" else "what this GPU has"
    log.info("precision: %s (%s)", chosen, reason)
    return chosen


def _without_broadcasts() -> Any:
    """Let each process keep its buffers: a broadcast before each call would bring nothing.

    Those of spectral norms follow from the weights, those of synchronised batch norms from the
    whole batch: they are equal. Batch norms on CPUs differ, and the main process's are saved.
    """
    from accelerate.utils import DistributedDataParallelKwargs

    return DistributedDataParallelKwargs(broadcast_buffers=False)
