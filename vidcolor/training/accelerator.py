"""Devices, precision and processes: the one place that knows accelerate.

Training runs in one process on one device, or with `torchrun` in one process for each device, with
the same code. Every process takes its share of each batch; gradients are averaged.
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
"""Loss scale of fp16: it starts at 2 ** 16 and is halved at each overflow. An overflow at this
scale does not come from fp16's small range: the training diverged."""


class Accelerator:
    """What a training step needs of devices, precision and processes.

    accelerator = Accelerator(torch.device("cpu"), precision="auto", clip=None)
    trained = accelerator.prepare(network)
    adam = accelerator.prepare_optimizer(torch.optim.AdamW(network.parameters()))
    accelerator.step(loss_of(trained(batch)), adam)
    """

    def __init__(
        self, device: torch.device, *, precision: Precision, clip: float | None = None
    ) -> None:
        """Join the other processes, if `torchrun` started several.

        Args:
            device: its kind; which of several CUDA devices is the process's number.
            precision: of what a network computes in training; weights are kept in fp32.
            clip: largest norm of an optimizer's gradients; None: any.

        Raises:
            OptionsError: the device does not support that precision.
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
        """Return the wrapped network to call in training, on its device, in its precision.

        Gradients of its parameters are averaged over the processes. The network itself shares
        these parameters; call it where it is not trained.
        """
        prepared: nn.Module = self._accelerator.prepare_model(network.to(self.device))
        return prepared

    def sync_batch_norm(self, network: Module) -> Module:
        """Return the network with batch norms over all processes (on CUDA)."""
        if self.processes == 1 or self.device.type == "cpu":
            return network
        converted: Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted

    def prepare_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimizer for `step`."""
        prepared: torch.optim.Optimizer = self._accelerator.prepare_optimizer(optimizer)
        return prepared

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
        """Backpropagate the loss and take one optimizer step.

        Returns:
            The norm of the gradients before clipping, a number; 0 where fp16 skipped the step.

        Raises:
            FloatingPointError: a gradient is not finite; no weight was changed. It is raised in
                every process, for their gradients are averaged.
        """
        optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        self._accelerator.unscale_gradients(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.clip or math.inf)
        is_finite = bool(norm.isfinite())
        if not is_finite and not self._can_lower_scale():
            raise FloatingPointError("a gradient is not finite")
        optimizer.step()  # fp16's scaler skips it where a gradient is not finite
        return norm if is_finite else torch.zeros_like(norm)

    def _can_lower_scale(self) -> bool:
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
                f"use a multiple of {self.processes}"
            )
        first = self._accelerator.process_index * size
        return range(first, first + size)

    def any(self, is_so: bool) -> bool:
        """Tell whether it is true in any process; all processes must call this."""
        flag = torch.tensor(float(is_so), device=self.device)
        return bool(self._accelerator.reduce(flag, "sum") > 0)

    def wait(self) -> None:
        """Wait for all processes."""
        self._accelerator.wait_for_everyone()

    def state(self) -> dict[str, Any]:
        """Return the state for a resumed training: random states, and the scale of fp16."""
        state: dict[str, Any] = {"random": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda_random"] = torch.cuda.get_rng_state(self.device)
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned, as far as this device has it."""
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and "cuda_random" in state:
            torch.cuda.set_rng_state(state["cuda_random"], self.device)
        if self._accelerator.scaler is not None and "scaler" in state:
            self._accelerator.scaler.load_state_dict(state["scaler"])


def _precision(device: torch.device, wish: Precision) -> Precision:
    """Return the precision for the device, and log the choice of `auto`.

    Raises:
        OptionsError: the device does not support the requested one.
    """
    has_bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if (wish == "fp16" and device.type == "cpu") or (wish == "bf16" and not has_bf16):
        raise OptionsError(
            f"--precision {wish}: this device ({device.type}) does not support it; use "
            "--precision auto, which picks the best one"
        )
    if wish != "auto":
        return wish
    chosen: Precision = "bf16" if device.type == "cuda" and has_bf16 else "fp32"
    reason = "bf16 is not faster on a CPU" if device.type == "cpu" else "best of this GPU"
    log.info("precision: %s (%s)", chosen, reason)
    return chosen


def _without_broadcasts() -> Any:
    """Let each process keep its buffers: a broadcast before each call would change nothing.

    Those of spectral norms depend on the weights, those of synchronised batch norms on the
    whole batch: they are equal. Batch norms on CPUs differ, and the main process's are saved.
    """
    from accelerate.utils import DistributedDataParallelKwargs

    return DistributedDataParallelKwargs(broadcast_buffers=False)
