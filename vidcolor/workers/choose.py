"""Which pool renders: what the options say, and what this machine or cluster has."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from vidcolor.options.render import RenderOptions
from vidcolor.workers.pool import LocalPool, WorkerPool

log = logging.getLogger(__name__)

CORES_OF_A_RENDER = 4
"""That one render keeps busy: decoding and the search for shots, the network, the stabiliser, and
merging and encoding go on side by side. Estimated from these stages; it was not measured."""


@contextmanager
def create_pool(options: RenderOptions) -> Iterator[WorkerPool | None]:
    """Provide the pool that the options name; None: this process is to do it by itself.

    Raises:
        OptionsError: there is no Ray here, or no such cluster.
    """
    if options.ray is not None:
        from vidcolor.workers.ray_pool import open_ray_pool

        with open_ray_pool(options.ray, options) as far:
            yield far
        return
    size = _workers_that_pay(options) if options.workers == "auto" else options.workers
    if size == 1:
        yield None
        return
    with LocalPool(size) as pool:
        yield pool


def single_process(options: RenderOptions) -> RenderOptions:
    """Return options that hire nobody and otherwise say the same."""
    return replace(options, workers=1, ray=None, store=None)


def _workers_that_pay(options: RenderOptions) -> int:
    """Return one for each GPU; without one, for every CORES_OF_A_RENDER."""
    gpus = 0 if options.device == "cpu" else torch.cuda.device_count()
    size = gpus or max(1, (os.cpu_count() or 1) // CORES_OF_A_RENDER)
    log.info("workers: %d (one for each %s)", size, "GPU" if gpus else f"{CORES_OF_A_RENDER} cores")
    return size
