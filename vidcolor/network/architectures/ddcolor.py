"""DDColor (Kang et al. 2023), a published colorizer of still pictures, as spandrel builds it.

Queries, one a color, look at a picture's features through a transformer; what they find colors
the pixels. The network sees a grey picture as R'G'B' and returns CIE a*, b*. spandrel knows the
published checkpoints and what their names hide; here their norms are multiplied into plain weights,
which are kept and loaded as those of any other model.
"""

import importlib
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from vidcolor.color import AB_RANGE
from vidcolor.errors import ModelError
from vidcolor.network.architectures.stand_in import torchvision_stand_in
from vidcolor.network.family import Architecture
from vidcolor.network.generator import Features, Generator

EXTRA_ARCHITECTURES = "spandrel_extra_arches"
"""The package in which spandrel keeps DDColor."""
OUTPUT_CHANNELS = 2
"""a* and b*."""
PUBLISHED_SIZE = 512
"""Pixels of the squares that its authors' own program shows it."""
NOT_FOR_DDCOLOR: dict[str, dict[str, Any]] = {
    "torchvision": {},
    "torchvision.transforms": {},
    "torchvision.transforms.functional": dict.fromkeys(
        ("InterpolationMode", "normalize", "rotate")
    ),
}
"""What spandrel imports of torchvision, for others of its networks."""


@dataclass(frozen=True, kw_only=True)
class DDColorConfig:
    """What shapes the network, by spandrel's names; kept on the model's card."""

    encoder_name: str = "convnext-l"
    """ConvNeXt of size t, s, b or l; published are t (`ddcolor-tiny`) and l."""
    decoder_name: str = "MultiScaleColorDecoder"
    nf: int = 512
    """Channels of the decoder's first layers."""
    last_norm: str = "Spectral"
    """Of the last layer that enlarges; only Batch is a layer of its own."""
    num_queries: int = 100
    num_scales: int = 3
    dec_layers: int = 9


class DDColor(Generator):
    """Colors each frame by itself.

    network = DDColor(DDColorConfig())
    features = network.encode(grey_B1hw)
    ab_B2hw = network.decode(features, features, features)
    """

    multiple = 32

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        self.config = config
        build = import_spandrel().architectures.DDColor.DDColor
        with warnings.catch_warnings(action="ignore"):
            # It looks at one picture while it is built: the smaller, the sooner.
            self.network = _plain(
                build(**asdict(config), num_output_channels=OUTPUT_CHANNELS, input_size=(32, 32))
            )

    def encode(self, frame_B1hw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return the color of frames (B, 1, h, w) in [0, 1], then four scales, h/4 to h/32.

        There are no neighbours to wait for, so the color is made at once; the scales are what the
        encoder saw.
        """
        network: Any = self.network
        rgb_B3hw = network.normalize(frame_B1hw.expand(-1, 3, -1, -1))
        scales = _encoded(network.encoder.arch, rgb_B3hw)
        queries_BQhw = _decoded(network.decoder, scales)
        ab_B2hw: Tensor = network.refine_net(torch.cat((queries_BQhw, rgb_B3hw), dim=1)) / AB_RANGE
        return [ab_B2hw.clamp(-1, 1), *scales]

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return the frame's a*, b* / 110, (B, 2, h, w) in [-1, 1]: more no sRGB color has."""
        return current[0]


def _encoded(encoder: Any, rgb_B3hw: Tensor) -> Features:
    """Return the encoder's four scales.

    Its own `forward` leaves them in hooks, for the decoder to find: another frame's, where several
    threads color frames side by side.
    """
    scales: Features = []
    x = rgb_B3hw
    for number, (down, stage) in enumerate(
        zip(encoder.downsample_layers, encoder.stages, strict=True)
    ):
        x = stage(down(x))
        scales.append(getattr(encoder, f"norm{number}")(x))
    return scales


def _decoded(decoder: Any, scales: Features) -> Tensor:
    """Return one plane a query (B, Q, h, w), as `Decoder.forward` and `UnetBlockWide.forward` do.

    Args:
        decoder: spandrel's.
        scales: what `_encoded` returned.
    """
    outputs: Features = []
    x = scales[-1]
    for layer, skip in zip(decoder.layers, reversed(scales[:-1]), strict=True):
        joined = torch.cat((layer.shuf(x), layer.bn(skip)), dim=1)
        x = layer.conv(layer.relu(joined))
        outputs.append(x)
    pixels_BChw = decoder.last_shuf(x)
    if decoder.decoder_name == "MultiScaleColorDecoder":
        queries_BQhw: Tensor = decoder.color_decoder(outputs, pixels_BChw)
    else:
        queries_BQhw = decoder.color_decoder(pixels_BChw, scales[-1])
    return queries_BQhw


def read_ddcolor(state: dict[str, Any]) -> DDColor | None:
    """Return the network of published weights, in evaluation mode; None if they are another's.

    Args:
        state: what their file holds.

    Raises:
        ModelError: spandrel is not installed or cannot build the network, or that predicts
            something else than a*, b*.
    """
    known = import_spandrel().EXTRA_REGISTRY["DDColor"]
    try:
        state = importlib.import_module("spandrel").canonicalize_state_dict(state)
        if not known.detect(state):
            return None
        with warnings.catch_warnings(action="ignore"):
            published = known.architecture.load(state).model
    except Exception as error:
        raise ModelError(
            f"DDColor: spandrel cannot build it from these weights ({error}); "
            "use a file published by DDColor's authors"
        ) from error
    if published.num_output_channels != OUTPUT_CHANNELS:
        raise ModelError(
            f"DDColor: these weights predict {published.num_output_channels} channels, "
            "not a*, b*; use a file published by DDColor's authors"
        )
    found = published.hyperparameters
    network = DDColor(
        DDColorConfig(**{item.name: found[item.name] for item in fields(DDColorConfig)})
    )
    network.network = _plain(published)
    return network.eval()


def import_spandrel() -> Any:
    """Import spandrel's further architectures, without torchvision where that does not import."""
    if sys.modules.get(EXTRA_ARCHITECTURES) is None:
        try:
            with warnings.catch_warnings(action="ignore"), _torchvision():
                importlib.import_module(EXTRA_ARCHITECTURES)
        except ImportError as error:
            raise ModelError(
                f"DDColor: {error.name} is not installed; pip install 'vidcolor[spandrel]'"
            ) from error
    return sys.modules[EXTRA_ARCHITECTURES]


def _torchvision() -> AbstractContextManager[None]:
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):  # the latter from one of another torch
        return torchvision_stand_in(NOT_FOR_DDCOLOR)
    return nullcontext()


def _plain(network: Any) -> nn.Module:
    """Multiply norms into the weights, take the encoder's hooks off, and return the network."""
    for part in network.modules():
        own = dict(part.named_parameters(recurse=False))
        if "weight_orig" in own:
            nn.utils.remove_spectral_norm(part)
        if "weight_g" in own:
            nn.utils.remove_weight_norm(part)
    for hook in network.encoder.hooks:
        hook.remove()
        hook.feature = None
    plain: nn.Module = network
    return plain


ARCHITECTURE = Architecture(network=DDColor, config=DDColorConfig)
