"""The temporal U-Net of seed 002: five strided convolutions, fusion, five transposed ones.

The topology, layer by layer, is that of "Video Colorization with GANs" (CS 282 project at UC
Berkeley, 2018-2019) as its code has it; see docs/explanation/networks.md for what differs and why.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidcolor.color import Output
from vidcolor.network.blocks import (
    AttentionFusion,
    Norm,
    SelfAttention,
    WindowFusion,
    down_block,
    draw_weights_by_fan_out,
    norm_layer,
    spectrally_normalised,
    up_block,
    up_convolution,
)
from vidcolor.network.family import Family, Setup, one_of
from vidcolor.network.generator import Features, Generator
from vidcolor.options.train import Fusion, TrainOptions


@dataclass(frozen=True, kw_only=True)
class TemporalUNetConfig:
    """What shapes the network; kept on the model's card."""

    base_channels: int = 64
    """Channels of the first convolution (the original's ngf)."""
    norm: Norm = "instance"
    """The original's code uses instance norm, its text batch norm."""
    output: Output = "chroma"
    """chroma: Cb, Cr times 2; rgb: R'G'B' times 2 minus 1, as in the original."""
    first_norm: bool = False
    """Normalise after the first convolution too, as the original does.

    Instance norm there takes brightness away: a fade to black keeps its colors.
    """
    self_attention: bool = False
    """Self-attention at h/4 and h/2, before the last two transposed convolutions."""
    fusion: Fusion = "concat"
    """attention: neighbours are looked up where the middle frame's places moved from."""
    spectral_norm: bool = True
    """Divide each convolution by its largest singular value while training."""


class TemporalUNet(Generator):
    """U-Net generator that sees three grey frames and colors the middle one.

    network = TemporalUNet(TemporalUNetConfig())
    features = [network.encode(grey_B1hw) for grey_B1hw in window]
    chroma_B2hw = network.decode(*features)
    """

    multiple = 32

    def __init__(self, config: TemporalUNetConfig) -> None:
        super().__init__()
        self.config = config
        n = config.base_channels
        down, up = [1, n, 2 * n, 4 * n, 8 * n, 8 * n], [8 * n, 8 * n, 4 * n, 2 * n, n]
        self.encoders = nn.ModuleList(
            down_block(down[i], down[i + 1], config.norm if i or config.first_norm else None)
            for i in range(5)
        )
        build_fusion = AttentionFusion if config.fusion == "attention" else WindowFusion
        self.fusion = build_fusion(8 * n)
        self.fusion_norm = nn.Sequential(norm_layer(config.norm, 8 * n), nn.LeakyReLU(0.1))
        self.decoders = nn.ModuleList(up_block(up[i], up[i + 1], config.norm) for i in range(4))
        has_attention = (False, False, config.self_attention, config.self_attention)
        self.attentions = nn.ModuleList(
            SelfAttention(channels) if is_on else nn.Identity()
            for channels, is_on in zip(up[1:], has_attention, strict=True)
        )
        out_channels = 2 if config.output == "chroma" else 3
        self.head = up_convolution(n, out_channels)
        draw_weights_by_fan_out(self)
        spectrally_normalised(self, is_on=config.spectral_norm)

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return the five scales, h/2 to h/32, of frames (B, 1, h, w) in [0, 1]."""
        features: Features = []
        x = frame_B1hw * 2 - 1
        for encoder in self.encoders:
            x = encoder(x)
            features.append(x)
        return features

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the middle frame's color, (B, 2 or 3, h, w) in [-1, 1]."""
        x = self.fusion_norm(self.fusion(previous[-1], current[-1], next_[-1]))
        for decoder, attention, skip in zip(
            self.decoders, self.attentions, reversed(current[:-1]), strict=True
        ):
            x = attention(decoder(x) + skip)
        return torch.tanh(self.head(x))


def _set_up(options: TrainOptions) -> Setup:
    preset = one_of(options, "preset", "default", "seed002", "seed002-text")
    is_seed = preset != "default"
    outputs: tuple[Output, Output] = ("rgb", "chroma") if is_seed else ("chroma", "rgb")
    output = one_of(options, "output", *outputs)
    return Setup(
        config=TemporalUNetConfig(
            base_channels=options.ngf,
            norm="instance" if preset == "seed002" else "batch",
            output=output,
            first_norm=is_seed,
            self_attention=options.self_attention,
            fusion=options.fusion,
            spectral_norm=not is_seed,
        ),
        output=output,
        grey="lab" if preset == "seed002-text" else "bt601",
        pixel_loss=options.pixel_loss or ("l2" if preset == "seed002-text" else "l1"),
        is_conditional=preset != "seed002",
    )


FAMILY = Family(network=TemporalUNet, config=TemporalUNetConfig, windows=(3, 1), set_up=_set_up)
