"""Parts that the networks share."""

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

Norm = Literal["instance", "batch"]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R', G', B' in [0, 1]: what published ImageNet weights expect to be taken out."""


def norm_layer(kind: Norm, channels: int) -> nn.Module:
    """Return a normalisation with learned gain and bias."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.BatchNorm2d(channels)


def spectrally_normalised(module: nn.Module, *, is_on: bool = True) -> nn.Module:
    """Return the module with every convolution inside divided by its largest singular value.

    Miyato et al. 2018, algorithm 1: one power iteration a training step and none in evaluation.
    """
    if is_on:
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                parametrizations.spectral_norm(part)
    return module


def remove_spectral_norms(module: nn.Module) -> None:
    """Multiply the module's spectral norms into plain weights, in place.

    The result computes the same in evaluation and no longer needs to know how it was trained.
    Not for a deep copy: it shares the classes of its parts with the original, which would break.
    """
    for part in module.modules():
        if parametrize.is_parametrized(part):
            parametrize.remove_parametrizations(part, "weight")


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's state with its spectral norms multiplied into plain weights."""
    state = {k: v for k, v in module.state_dict().items() if ".parametrizations." not in k}
    for name, part in _normalised_parts(module):
        state[f"{name}.weight"] = cast(Tensor, part.weight).detach()
    return state


def load_plain_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load what `plain_state` returned, with or without spectral norms in the module.

    Raises:
        ValueError: a weight is missing, left over or of another shape; names the first.
    """
    own = plain_state(module)
    for name in sorted(own.keys() ^ state.keys()):
        raise ValueError(f"{name} is {'missing' if name in own else 'unknown'}")
    for name, value in state.items():
        if own[name].shape != value.shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            raise ValueError(f"{name} has the shape {shapes}")
    module.load_state_dict(state, strict=False)
    for name, part in _normalised_parts(module):
        with torch.no_grad():
            part.weight = state[f"{name}.weight"]


def _normalised_parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(n, part) for n, part in module.named_modules() if parametrize.is_parametrized(part)]


def down_block(in_channels: int, out_channels: int, norm: Norm | None) -> nn.Sequential:
    """Return a 3x3 convolution that halves the picture, its norm and a leaky ReLU (seed 002)."""
    # Without a norm to follow, a bias is what lets the block see brightness.
    convolution = nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=norm is None)
    norms = [norm_layer(norm, out_channels)] if norm else []
    return nn.Sequential(convolution, *norms, nn.LeakyReLU(0.1))


def up_block(in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    """Return a 3x3 transposed convolution that doubles the picture, norm and ReLU (seed 002)."""
    return nn.Sequential(
        up_convolution(in_channels, out_channels), norm_layer(norm, out_channels), nn.ReLU()
    )


def up_convolution(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """Return a 3x3 transposed convolution that exactly doubles the picture, without a bias."""
    return nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1, bias=False)


def smooth_block(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution that keeps the picture's size, batch norm and a leaky ReLU.

    Zeros around a feature map would pull the colors along a frame's borders towards grey: its
    borders are repeated.
    """
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel,
        padding=kernel // 2, bias=False, padding_mode="replicate",
    )  # fmt: skip
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.LeakyReLU(0.1))


def doubled(x: Tensor) -> Tensor:
    """Return a picture (B, c, h, w) at twice its size, bilinearly."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def draw_weights_by_fan_out(module: nn.Module) -> None:
    """Draw each convolution's weights from N(0, 2 / (k * k * out_channels)), as seed 002 does."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            fan_out = part.kernel_size[0] * part.kernel_size[1] * part.out_channels
            nn.init.normal_(part.weight, std=(2 / fan_out) ** 0.5)


class WindowFusion(nn.Module):
    """Joins the features of three neighbouring frames, the middle one weighing three quarters.

    Three 1x1 convolutions bring n channels to n/8, 6n/8 and n/8; they are concatenated in the
    order previous, current, next (seed 002's bottleneck, 1:6:1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % 8:
            raise ValueError(f"channels is {channels}, but must be a multiple of 8")
        eighth = channels // 8
        self.previous = nn.Conv2d(channels, eighth, 1, bias=False)
        self.current = nn.Conv2d(channels, 6 * eighth, 1, bias=False)
        self.next = nn.Conv2d(channels, eighth, 1, bias=False)

    def forward(self, previous: Tensor, current: Tensor, next_: Tensor) -> Tensor:
        """Return (B, n, h, w) of three tensors (B, n, h, w)."""
        return torch.cat((self.previous(previous), self.current(current), self.next(next_)), dim=1)


class AttentionFusion(nn.Module):
    """Joins three frames as `WindowFusion` does, after neighbours were moved to the middle frame.

    Each place of the middle frame looks up, in each neighbour, the places that look like it
    (Vaswani et al. 2017, section 3.2.1, with one head; queries and keys have an eighth of the
    channels): what moved between frames is then joined with itself.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.join = WindowFusion(channels)

    def forward(self, previous: Tensor, current: Tensor, next_: Tensor) -> Tensor:
        """Return (B, n, h, w) of three tensors (B, n, h, w)."""
        query = self.query(current).flatten(2).transpose(1, 2)
        moved = [self._looked_up(query, neighbour) for neighbour in (previous, next_)]
        joined: Tensor = self.join(moved[0], current, moved[1])
        return joined

    def _looked_up(self, query_Bpk: Tensor, neighbour_Bnhw: Tensor) -> Tensor:
        key = self.key(neighbour_Bnhw).flatten(2).transpose(1, 2)
        value = neighbour_Bnhw.flatten(2).transpose(1, 2)
        found = functional.scaled_dot_product_attention(query_Bpk, key, value)
        return found.transpose(1, 2).reshape(neighbour_Bnhw.shape)


class SelfAttention(nn.Module):
    """Lets every place of a feature map look at every other (Zhang et al. 2019, section 3).

    out = gamma * attention + x with gamma learned from 0; queries and keys have an eighth of the
    channels. The full map is never held (scaled_dot_product_attention).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x_Bchw: Tensor) -> Tensor:
        """Return (B, c, h, w)."""
        query, key, value = (
            layer(x_Bchw).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        # The paper's scores are plain dot products: undo the default 1/sqrt(d).
        attended = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x_Bchw + self.gamma * attended.transpose(1, 2).reshape(x_Bchw.shape)
