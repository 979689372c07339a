"""LPIPS, with the true AlexNet or not at all; and as a loss, with any of its three classifiers.

The `lpips` package takes a classifier's layers from torchvision, which does not import with a CPU
torch, and downloads its weights. Here a stand-in hands it the same layers, and the weights are a
file that is there or not: another network under the same name would give other numbers. A loss is
no score, so there whatever weights fit will do.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from vidcolor.errors import InputError, OptionsError
from vidcolor.network.architectures.squeezenet import Fire
from vidcolor.network.architectures.stand_in import torchvision_stand_in

BACKBONE_NAME = "alexnet-owt-7be5be79.pth"
"""File of torchvision's AlexNet; by PyTorch's custom its name holds the start of its SHA-256."""

BACKBONE_URL = f"https://download.pytorch.org/models/{BACKBONE_NAME}"

BACKBONE_SHA256_START = "7be5be79"


@dataclass(frozen=True)
class NotAvailable:
    """Why there is no score. Never a number: 0 would be a perfect score."""

    reason: str


class Lpips:
    """Learned perceptual image patch similarity, version 0.1 (Zhang et al. 2018, AlexNet).

    lpips = load_lpips(None)
    if isinstance(lpips, Lpips):
        print(lpips.distance(result_3hw, truth_3hw))
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def distance(self, rgb_3hw: Tensor, truth_3hw: Tensor) -> float:
        """Return the distance of two R'G'B' pictures (3, h, w) in [0, 1]; 0 if they are equal."""
        with torch.no_grad():
            # LPIPS was trained on [-1, 1].
            one, other = (picture.float()[None] * 2 - 1 for picture in (rgb_3hw, truth_3hw))
            return float(self._network(one, other))


class PerceptualLoss(nn.Module):
    """How differently a classifier sees results and truths (Zhang et al. 2018, equation 1)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb_B3hw: Tensor, truth_B3hw: Tensor) -> Tensor:
        """Return the mean distance, a number, of R'G'B' pictures (B, 3, h, w) in [0, 1]."""
        self.network.to(rgb_B3hw.device)
        distance: Tensor = self.network(rgb_B3hw.float() * 2 - 1, truth_B3hw.float() * 2 - 1).mean()
        return distance

    @torch.no_grad()
    def distance(self, rgb_3hw: Tensor, truth_3hw: Tensor) -> float:
        """Return the distance of two R'G'B' pictures (3, h, w) in [0, 1]; 0 if they are equal."""
        return float(self(rgb_3hw[None], truth_3hw[None]))


def load_perceptual_loss(backbone: Path) -> PerceptualLoss:
    """Return the loss in the eyes of a classifier.

    Args:
        backbone: torchvision's AlexNet, VGG16 or SqueezeNet 1.1 weights; its layers tell which.

    Raises:
        InputError: the file does not exist, or it is none of these.
        OptionsError: the package lpips is not installed.
    """
    try:
        weights = torch.load(backbone, weights_only=True, map_location="cpu")
    except Exception as error:
        raise InputError(
            f"--perceptual-backbone {backbone}: not a weights file: {error}"
        ) from error
    for name in CLASSIFIERS:
        if _fits(weights, CLASSIFIERS[name]()):
            break
    else:
        raise InputError(
            f"--perceptual-backbone {backbone}: is not one of {', '.join(CLASSIFIERS)}; "
            "use torchvision's weights of one of them"
        )
    try:
        return PerceptualLoss(_build_network(weights, name))
    except ImportError as error:
        raise OptionsError(
            f"--perceptual-weight: {error.name} is not installed; pip install 'vidcolor[lpips]'"
        ) from error


def default_backbone() -> Path:
    """Return where PyTorch keeps AlexNet's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_NAME


def load_lpips(backbone: Path | None) -> Lpips | NotAvailable:
    """Return LPIPS, or why it is not to be had. Nothing is downloaded.

    Args:
        backbone: torchvision's AlexNet weights; None looks where PyTorch keeps them.

    Raises:
        InputError: a backbone was named and is missing, or is not that file.
    """
    path = backbone or default_backbone()
    problem = _problem(path)
    if problem and backbone is not None:
        raise InputError(f"LPIPS backbone {path}: {problem}; download {BACKBONE_URL}")
    if problem:
        return NotAvailable(
            f"AlexNet's weights: {problem}; download {BACKBONE_URL} and give --lpips-backbone FILE"
        )
    try:
        return Lpips(_build_network(torch.load(path, weights_only=True, map_location="cpu")))
    except ImportError as error:
        return NotAvailable(f"{error.name} is not installed; pip install 'vidcolor[lpips]'")


def _problem(path: Path) -> str | None:
    if not path.is_file():
        return "no such file"
    if not _sha256(path).startswith(BACKBONE_SHA256_START):
        return f"not torchvision's AlexNet, whose SHA-256 starts with {BACKBONE_SHA256_START}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _build_network(weights: dict[str, Tensor], name: str = "alexnet") -> nn.Module:
    """Return lpips' own network; `weights` are a classifier's, under torchvision's names."""
    features = CLASSIFIERS[name]()
    features.load_state_dict(_layers_of(weights))

    def classifier(**_: Any) -> SimpleNamespace:
        return SimpleNamespace(features=features)

    modules: dict[str, Any] = {"torchvision": {}, "torchvision.models": {name: classifier}}
    with torchvision_stand_in(modules, "lpips"):
        import lpips

        network: nn.Module = lpips.LPIPS(net=LPIPS_NAMES[name], verbose=False)
    return network.eval().requires_grad_(False)


def _layers_of(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "features."
    return {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)}


def _fits(weights: dict[str, Tensor], features: nn.Module) -> bool:
    wanted = {key: value.shape for key, value in features.state_dict().items()}
    return wanted == {key: value.shape for key, value in _layers_of(weights).items()}


def _alexnet_features() -> nn.Sequential:
    """Return the layers of "One weird trick" AlexNet (Krizhevsky 2014), as torchvision counts."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )


def _vgg16_features() -> nn.Sequential:
    """Return the layers of VGG16 (Simonyan and Zisserman 2015, configuration D)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _squeezenet_features() -> nn.Sequential:
    """Return the layers of SqueezeNet 1.1 (Iandola et al. 2016, its authors' revision)."""

    def halved() -> nn.Module:
        return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, stride=2),
        nn.ReLU(),
        halved(),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        halved(),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        halved(),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )


CLASSIFIERS: dict[str, Callable[[], nn.Sequential]] = {
    "alexnet": _alexnet_features,
    "vgg16": _vgg16_features,
    "squeezenet1_1": _squeezenet_features,
}
"""Layers of the classifiers that LPIPS knows, by torchvision's names of them."""

LPIPS_NAMES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet1_1": "squeeze"}
