"""Xception, the image classifier: what a picture shows, as scores of ImageNet's 1000 classes.

François Chollet: Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017,
figure 5. Weights are named and shaped as those published for PyTorch (timm's `legacy_xception`), so
they fit.
"""

from itertools import pairwise

from torch import Tensor, nn

CLASSES = 1000
"""Of ImageNet."""


class Xception(nn.Module):
    """Pictures in, scores out: 36 convolutions with skips around all but the first and the last.

    scores_B1000 = Xception()(rgb_B3hw)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        # Entry flow: each block halves the picture.
        self.block1 = XceptionBlock([64, 128, 128], stride=2, is_rectified=True)
        self.block2 = XceptionBlock([128, 256, 256], stride=2)
        self.block3 = XceptionBlock([256, 728, 728], stride=2)
        # Middle flow, eight times the same.
        for number in range(4, 12):
            self.add_module(f"block{number}", XceptionBlock([728] * 4, stride=1))
        # Exit flow.
        self.block12 = XceptionBlock([728, 728, 1024], stride=2)
        self.conv3 = SeparableConv(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = SeparableConv(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, rgb_B3hw: Tensor) -> Tensor:
        """Return scores (B, 1000), not yet probabilities, of R'G'B' (B, 3, h, w) in [-1, 1].

        It was trained on 299 x 299 pixels; any size from 71 on will do.
        """
        x = self.bn1(self.conv1(rgb_B3hw)).relu()
        x = self.bn2(self.conv2(x)).relu()
        for number in range(1, 13):
            x = self.get_submodule(f"block{number}")(x)
        x = self.bn3(self.conv3(x)).relu()
        x = self.bn4(self.conv4(x)).relu()
        scores_B1000: Tensor = self.fc(x.mean(dim=(-2, -1)))
        return scores_B1000


class SeparableConv(nn.Module):
    """A 3x3 convolution of each channel alone, then a 1x1 convolution of all (section 2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, h, w)."""
        convolved: Tensor = self.pointwise(self.conv1(x))
        return convolved


class XceptionBlock(nn.Module):
    """Separable convolutions, each rectified before and normalised after, with a skip around them.

    The skip is a 1x1 convolution where the block halves the picture, else the input itself.
    """

    def __init__(self, channels: list[int], *, stride: int, is_rectified: bool = False) -> None:
        """Build the block.

        Args:
            channels: before the first convolution and after each.
            stride: 2 halves the picture with a maximum at the end.
            is_rectified: the input comes rectified.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.ReLU(), SeparableConv(before, after), nn.BatchNorm2d(after)]
        pooling = [nn.MaxPool2d(3, stride, padding=1)] if stride > 1 else []
        self.rep = nn.Sequential(*layers[is_rectified:], *pooling)
        if stride > 1:
            self.skip: nn.Module = nn.Conv2d(channels[0], channels[-1], 1, stride, bias=False)
            self.skipbn: nn.Module = nn.BatchNorm2d(channels[-1])
        else:
            self.skip = self.skipbn = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels[-1], h / stride, w / stride)."""
        joined: Tensor = self.rep(x) + self.skipbn(self.skip(x))
        return joined
