"""EfficientNet-Lite, the image classifier, and its layers as an encoder for others.

Tan and Le 2019 (EfficientNet, arXiv 1905.11946, table 1) in its authors' revision for small
devices of 2020: no squeeze-and-excitation, ReLU6 for swish, stem and head of one width. Its
weights are published for TensorFlow; `published_names` reads the PyTorch copies of
EfficientNet-Lite-PyTorch.
"""

import math
import re
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Repeats, kernel, stride, expansion and channels of each stage (the paper's table 1)."""

LAST_OF_A_SIZE = (0, 1, 2, 4, 6)
"""Stages after which the next one halves the picture, and the last."""

STEM_CHANNELS = 32
"""Of the first convolution; Lite's is not scaled."""

HEAD_CHANNELS = 1280
"""Of the last convolution, before the classes; Lite's is not scaled."""

CLASSES = 1000
"""Of ImageNet's challenge."""

EPSILON = 1e-3
"""Of batch norms, as in the TensorFlow original."""


@dataclass(frozen=True)
class Scale:
    """How much wider and deeper than Lite0 a network is."""

    width: float
    depth: float


SCALES = {0: Scale(1.0, 1.0), 1: Scale(1.0, 1.1), 2: Scale(1.1, 1.2)}
"""Lite0 to Lite2, as published."""


class InvertedResidual(nn.Module):
    """Inverted residual: widen by a 1x1, filter each channel, narrow by a 1x1 (Sandler 2018)."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand = _filter(in_channels, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _filter(inner, inner, kernel, stride=stride, groups=inner)
        self.project = nn.Sequential(
            nn.Conv2d(inner, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels, EPSILON)
        )
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, h / stride, w / stride)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class EfficientNetLite(nn.Module):
    """The layers before the classifier.

    scales = EfficientNetLite(0)(rgb_B3hw)
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        scale = SCALES[number]
        self.stem = _filter(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        self.depths: list[int] = []
        """Blocks of each stage."""
        widths = []
        channels = STEM_CHANNELS
        for place, (repeats, kernel, stride, expansion, wide) in enumerate(STAGES):
            is_end = place in (0, len(STAGES) - 1)  # which Lite does not deepen
            out_channels = _rounded(wide * scale.width)
            stage = nn.Sequential()
            for repeat in range(repeats if is_end else math.ceil(repeats * scale.depth)):
                stage.append(
                    InvertedResidual(
                        channels, out_channels,
                        kernel=kernel, stride=1 if repeat else stride, expansion=expansion,
                    )
                )  # fmt: skip
                channels = out_channels
            self.stages.append(stage)
            self.depths.append(len(stage))
            widths.append(channels)
        self.channels = [widths[place] for place in LAST_OF_A_SIZE]
        """Of the scales that `forward` returns."""

    def forward(self, rgb_B3hw: Tensor) -> list[Tensor]:
        """Return features at h/2, h/4, h/8, h/16 and h/32.

        Args:
            rgb_B3hw: R'G'B' in [-1, 1], height and width multiples of 32.
        """
        x = self.stem(rgb_B3hw)
        scales = []
        for place, stage in enumerate(self.stages):
            x = stage(x)
            if place in LAST_OF_A_SIZE:
                scales.append(x)
        return scales


class EfficientNetLiteClassifier(nn.Module):
    """The whole classifier, of the 1,000 classes of ImageNet.

    features, logits_BK = EfficientNetLiteClassifier(0)(rgb_B3hw)
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.features = EfficientNetLite(number)
        self.head = _filter(self.features.channels[-1], HEAD_CHANNELS, 1)
        self.classes = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, rgb_B3hw: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the encoder's features, and logits (B, 1000); R'G'B' in [-1, 1]."""
        features = self.features(rgb_B3hw)
        return features, self.logits(features[-1])

    def logits(self, deepest_BChw: Tensor) -> Tensor:
        """Return the logits (B, 1000) of features at 1/32."""
        logits_BK: Tensor = self.classes(self.head(deepest_BChw).mean(dim=(-2, -1)))
        return logits_BK

    def from_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights under the names that they have here."""
        named = published_names(state, self.features)
        layers = {"_conv_head.": "head.0.", "_bn1.": "head.1.", "_fc.": "classes."}
        return {f"features.{name}": value for name, value in named.items()} | {
            name.replace(theirs, ours): value
            for name, value in state.items()
            for theirs, ours in layers.items()
            if name.startswith(theirs)
        }


class _Same(nn.Conv2d):
    """Convolution padded as TensorFlow pads: where an odd number is missing, more at the end."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        missing = kernel - stride
        before, after = missing // 2, missing - missing // 2
        return super().forward(functional.pad(x, (before, after, before, after), value=0.0))


def _filter(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = 0 if stride > 1 else kernel // 2
    convolution = (_Same if stride > 1 else nn.Conv2d)(
        in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels, EPSILON), nn.ReLU6())


def _rounded(channels: float) -> int:
    """Return a multiple of 8 that is at least nine tenths of so many channels."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def published_names(state: dict[str, Tensor], network: EfficientNetLite) -> dict[str, Tensor]:
    """Return published weights under the names that they have here; others are left out."""
    places = [
        f"stages.{number}.{repeat}"
        for number, depth in enumerate(network.depths)
        for repeat in range(depth)
    ]
    layers = {
        "_expand_conv": "expand.0", "_bn0": "expand.1",
        "_depthwise_conv": "depthwise.0", "_bn1": "depthwise.1",
        "_project_conv": "project.0", "_bn2": "project.1",
    }  # fmt: skip
    named = {}
    for name, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)
        if block is not None and int(block[1]) < len(places):
            named[f"{places[int(block[1])]}.{layers[block[2]]}.{block[3]}"] = value
        elif name.startswith("_conv_stem."):
            named[name.replace("_conv_stem", "stem.0")] = value
        elif name.startswith("_bn0."):
            named[name.replace("_bn0", "stem.1")] = value
    return named
