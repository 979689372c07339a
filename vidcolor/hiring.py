"""Which crew renders: what the options say, and what this machine or cluster has."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidcolor.crew import Crew, LocalCrew
from vidcolor.options import RenderOptions

log = logging.getLogger(__name__)


@contextmanager
def hired(options: RenderOptions) -> Iterator[Crew | None]:
    """Provide the crew that the options name; None: this process is to do it by itself.

    Raises:
        OptionsError: there is no Ray here, or no such cluster.
    """
    if options.ray is not None:
        from vidcolor.ray_crew import ray_crew

        with ray_crew(options.ray, options) as far:
            yield far
        return
    size = _workers_that_pay(options) if options.workers == "auto" else options.workers
    if size == 1:
        yield None
        return
    with LocalCrew(size) as crew:
        yield crew


def _workers_that_pay(options: RenderOptions) -> int:
    """Return one for each GPU; on a CPU, one for all of it: a render keeps its cores busy."""
    size = 1 if options.device == "cpu" else max(1, torch.cuda.device_count())
    log.info("workers: %d (one for each GPU, or for the CPU)", size)
    return size
