"""Image classifiers whose output describes a whole picture, and their published weights.

Two are built here; any other by its name in timm, where that is installed.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidcolor.errors import ModelError, OptionsError
from vidcolor.network.architectures.squeezenet import SqueezeNet
from vidcolor.network.architectures.xception import Xception
from vidcolor.network.blocks import IMAGENET_DEVIATION, IMAGENET_MEAN

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A published classifier: how it is built, and what its weights expect to see."""

    build: Callable[[], nn.Module]
    """Makes the network, with random weights: R'G'B' (B, 3, h, w) in, scores (B, classes) out."""
    short_side: int
    """Pixels of the pictures that it was trained on."""
    mean: Rgb = (0.5, 0.5, 0.5)
    """What is taken out of R'G'B' in [0, 1]."""
    deviation: Rgb = (0.5, 0.5, 0.5)
    """What the rest is divided by; 0.5, after a mean of 0.5, gives [-1, 1]."""
    origin: str
    """Where its published weights are: an address, or a name of timm's."""
    fetch: Callable[[str], dict[str, Tensor]]
    """Brings them from there.

    Raises:
        OSError, RuntimeError: they cannot be had.
    """
    classes: int = 1000
    """Scores that it gives."""

    def pictures(self, grey_B1hw: Tensor) -> Tensor:
        """Return grey frames in [0, 1] as its weights expect pictures, (B, 3, h', w').

        The aspect is kept; the short side becomes what the weights were trained on.
        """
        height, width = grey_B1hw.shape[-2:]
        short = min(height, width)
        # To the nearest pixel, halves down, in whole numbers: ONNX cannot round a quotient.
        size = [(2 * side * self.short_side + short - 1) // (2 * short) for side in (height, width)]
        small_B1hw = functional.interpolate(grey_B1hw, size, mode="bilinear", antialias=True)
        mean, deviation = (
            small_B1hw.new_tensor(values)[:, None, None] for values in (self.mean, self.deviation)
        )
        return (small_B1hw - mean) / deviation


def download(address: str) -> dict[str, Tensor]:
    """Return weights from the web, kept where PyTorch keeps them.

    Args:
        address: its file's name ends in the start of its SHA-256, by PyTorch's custom.

    Raises:
        OSError: it cannot be reached, or not be kept.
        RuntimeError: it is not the file that its name says.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(address).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        hash_start = path.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(address, str(path), hash_start, progress=False)
    return read_weights(path)


BACKBONES = {
    "xception": Backbone(
        build=Xception,
        short_side=299,
        origin=(
            "https://github.com/rwightman/pytorch-image-models/releases/download/"
            "v0.1-cadene/xception-43020ad28.pth"
        ),
        fetch=download,
    ),
    "squeezenet1_1": Backbone(
        build=SqueezeNet,
        short_side=224,
        mean=IMAGENET_MEAN,
        deviation=IMAGENET_DEVIATION,
        origin="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        fetch=download,
    ),
}
"""Those built here. Addresses are those that timm and torchvision fetch from."""


@cache
def find_backbone(name: str) -> Backbone:
    """Return a backbone by its name here or in timm.

    Raises:
        OptionsError: neither knows the name, or timm is not installed.
    """
    return BACKBONES[name] if name in BACKBONES else _timm_backbone(name)


def _timm_backbone(name: str) -> Backbone:
    known = ", ".join(BACKBONES)
    try:
        timm = importlib.import_module("timm")
    except (
        ImportError,
        RuntimeError,
    ) as error:  # a torchvision of another torch's raises the latter
        raise OptionsError(
            f"--backbone {name}: not built in ({known}), and timm cannot be imported ({error}); "
            "pip install timm, with the torchvision of your torch"
        ) from error
    try:
        network: nn.Module = timm.create_model(name).eval()
    except RuntimeError as error:
        raise OptionsError(
            f"--backbone {name}: neither built in ({known}) nor timm's ({error}); "
            "timm.list_models() lists its names"
        ) from error
    pictures = timm.data.resolve_model_data_config(network)
    return Backbone(
        build=lambda: timm.create_model(name),
        short_side=min(pictures["input_size"][1:]),
        mean=pictures["mean"],
        deviation=pictures["std"],
        origin=name,
        fetch=lambda origin: timm.create_model(origin, pretrained=True).state_dict(),
        classes=_count_classes(network, name, min(pictures["input_size"][1:])),
    )


def _count_classes(network: nn.Module, name: str, short_side: int) -> int:
    """Return how many numbers a network gives for a wide picture, which many cannot look at."""
    try:
        with torch.inference_mode():
            scores_1C: Tensor = network(torch.zeros(1, 3, short_side, short_side * 3 // 2))
    except (AssertionError, RuntimeError) as error:
        raise OptionsError(
            f"--backbone {name}: it takes pictures of one shape only ({error}); "
            "use a convolutional one, such as resnet50"
        ) from error
    return scores_1C.shape[-1]


def load_published(network: nn.Module, name: str, path: Path | None) -> None:
    """Give a backbone its published weights.

    Args:
        network: what the backbone's `build` made.
        name: the backbone's.
        path: file with them; None: fetch them.

    Raises:
        ModelError: they cannot be had, or are another network's.
    """
    published = find_backbone(name)
    try:
        state = published.fetch(published.origin) if path is None else read_weights(path)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"--backbone {name}: cannot download its weights ({error}) from {published.origin}; "
            "give them with --backbone-weights FILE, or use --random-backbone"
        ) from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"{path or name}: is not the weights of {name}: {' '.join(str(error).split())[:200]}; "
            "use the file published for it, or the --backbone of this file"
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file, safetensors or PyTorch's; nothing else of it is read.

    Raises:
        ModelError: the file does not exist, or it is of another kind.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{path}: not a weights file: {error}") from error
    return state
