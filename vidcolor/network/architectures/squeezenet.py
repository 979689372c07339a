"""SqueezeNet 1.1, the image classifier, and its layers as an encoder for others.

Iandola et al.: SqueezeNet, arXiv 1602.07360, and its authors' revision 1.1. Weights are named and
shaped as torchvision's, so its published ImageNet weights fit.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Fire(nn.Module):
    """SqueezeNet's block: a 1x1 convolution that squeezes, a 1x1 and a 3x3 that expand."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 * expanded, h, w)."""
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1))


class SqueezeNet(nn.Module):
    """Pictures in, scores of ImageNet's 1000 classes out.

    scores_B1000 = SqueezeNet()(rgb_B3hw)
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = squeezenet_layers()
        self.classifier = nn.ModuleDict({"1": nn.Conv2d(512, 1000, 1)})

    def forward(self, rgb_B3hw: Tensor) -> Tensor:
        """Return scores (B, 1000) of R'G'B' (B, 3, h, w), mean and deviation taken out.

        Edges are padded, which the published network does not do: scales divide evenly.
        """
        scores_Bchw = self.classifier["1"](squeezenet_scales(self.features, rgb_B3hw)[-1])
        scores_B1000: Tensor = functional.relu(scores_Bchw).mean(dim=(-2, -1))
        return scores_B1000


def squeezenet_layers() -> nn.ModuleDict:
    """Return the layers before the classifier; where torchvision pools (2, 5, 8), none stands."""
    return nn.ModuleDict(
        {
            "0": nn.Conv2d(3, 64, 3, stride=2, padding=1),
            "3": Fire(64, 16, 64),
            "4": Fire(128, 16, 64),
            "6": Fire(128, 32, 128),
            "7": Fire(256, 32, 128),
            "9": Fire(256, 48, 192),
            "10": Fire(384, 48, 192),
            "11": Fire(384, 64, 256),
            "12": Fire(512, 64, 256),
        }
    )


def squeezenet_scales(layers: nn.ModuleDict, rgb_B3hw: Tensor) -> list[Tensor]:
    """Return features at h/2, h/4, h/8 and h/16: 64, 128, 256 and 512 channels.

    Args:
        layers: what `squeezenet_layers` returns.
        rgb_B3hw: R'G'B', mean and deviation taken out.
    """
    half = functional.relu(layers["0"](rgb_B3hw))
    quarter = layers["4"](layers["3"](_halved(half)))
    eighth = layers["7"](layers["6"](_halved(quarter)))
    sixteenth = _halved(eighth)
    for name in ("9", "10", "11", "12"):
        sixteenth = layers[name](sixteenth)
    return [half, quarter, eighth, sixteenth]


def _halved(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=2, padding=1)
