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
"""Cores that one render keeps busy: decoding and shot detection, the network, the stabiliser, and
merging and encoding run in parallel. An estimate from these stages, not measured."""


@contextmanager
def create_pool(options: RenderOptions) -> Iterator[WorkerPool | None]:
    """Provide the pool that the options name; None: this process is to do it by itself.

    Raises:
        OptionsError: Ray is not installed, or cannot connect to the cluster.
    """
    if options.ray is not None:
        from vidcolor.workers.ray_pool import open_ray_pool

        with open_ray_pool(options.ray, options) as ray_pool:
            yield ray_pool
        return
    size = _auto_workers(options) if options.workers == "auto" else options.workers
    if size == 1:
        yield None
        return
    with LocalPool(size) as pool:
        yield pool


def single_process(options: RenderOptions) -> RenderOptions:
    """Return the options without workers and cluster."""
    return replace(options, workers=1, ray=None, store=None)


def _auto_workers(options: RenderOptions) -> int:
    """Return one worker per GPU; without GPUs, one per CORES_OF_A_RENDER cores."""
    gpus = 0 if options.device == "cpu" else torch.cuda.device_count()
    size = gpus or max(1, (os.cpu_count() or 1) // CORES_OF_A_RENDER)
    log.info("workers: %d (one for each %s)", size, "GPU" if gpus else f"{CORES_OF_A_RENDER} cores")
    return size
