"""Which machine the network runs on."""

import logging

import torch

from vidcolor.errors import OptionsError
from vidcolor.options import Device

log = logging.getLogger(__name__)


def choose_device(wish: Device) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`, and log what was chosen and why.

    Raises:
        OptionsError: CUDA was asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if wish == "cuda" and not has_cuda:
        raise OptionsError(
            "--device cuda: this torch sees no CUDA device; use --device cpu, or install a CUDA "
            "build of torch and the driver"
        )
    if wish == "cpu" or not has_cuda:
        reason = "as asked" if wish == "cpu" else "no CUDA device was found"
        log.info("device: cpu (%s), %d threads", reason, torch.get_num_threads())
        return torch.device("cpu")
    log.info("device: cuda (%s)", torch.cuda.get_device_name())
    return torch.device("cuda")
