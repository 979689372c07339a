"""Which machine the network runs on, and how much of it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidcolor.errors import OptionsError
from vidcolor.options.values import Device

log = logging.getLogger(__name__)


def choose_device(wish: Device) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`, and log what was chosen and why.

    Raises:
        OptionsError: CUDA is requested, but no device is found.
    """
    has_cuda = torch.cuda.is_available()
    if wish == "cuda" and not has_cuda:
        raise OptionsError(
            "--device cuda: torch finds no CUDA device; use --device cpu, or install a CUDA "
            "build of torch and the driver"
        )
    if wish == "cpu" or not has_cuda:
        reason = "as asked" if wish == "cpu" else "no CUDA device was found"
        log.info("device: cpu (%s)", reason)
        return torch.device("cpu")
    log.info("device: cuda (%s)", torch.cuda.get_device_name())
    return torch.device("cuda")


@contextmanager
def one_thread_a_call() -> Iterator[int]:
    """Let torch compute each thing in one thread; things are computed side by side instead.

    Yields how many threads it had: so many things may be.

    Threads that share a frame wait for each other in every layer, so one that has to share its
    core holds up all: on two cores shared with another program, two took thirteen times as long.
    """
    threads = torch.get_num_threads()
    with _threads(1):
        yield threads


@contextmanager
def half_the_cores() -> Iterator[None]:
    """Run torch on half of the CPU's cores; the rest decode and score at the same time."""
    with _threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 2) // 2))):
        yield


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
