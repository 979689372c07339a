"""What efficient-unet promises: a published encoder, whose first stages and statistics stay."""

from dataclasses import asdict
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from vidcolor.errors import ModelError
from vidcolor.network.architectures.efficient_unet import (
    FROZEN_STAGES,
    EfficientUNet,
    EfficientUNetConfig,
)
from vidcolor.network.architectures.efficientnet import EfficientNetLite, InvertedResidual
from vidcolor.network.card import Card
from vidcolor.network.families import FAMILIES
from vidcolor.network.weights import load_imagenet_encoder
from vidcolor.options.train import TrainOptions
from vidcolor.training.gan_step import GanTrainer

LAYERS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"),
          "project": ("_project_conv", "_bn2")}  # fmt: skip


def _network(lite: int = 0) -> EfficientUNet:
    torch.manual_seed(0)
    return EfficientUNet(EfficientUNetConfig(lite=lite, widths=(32, 16, 16, 8)))


def published_encoder(encoder: EfficientNetLite) -> dict[str, Tensor]:
    """Return an encoder's weights named and ordered as the published file has them."""
    state = {}

    def add(name: str, layer: nn.Module) -> None:
        state.update({f"{name}.{key}": value for key, value in layer.state_dict().items()})

    add("_conv_stem", encoder.stem[0])
    add("_bn0", encoder.stem[1])
    blocks = [module for module in encoder.modules() if isinstance(module, InvertedResidual)]
    for number, block in enumerate(blocks):
        for part, (convolution, norm) in LAYERS.items():
            layers = getattr(block, part)
            if isinstance(layers, nn.Sequential):
                add(f"_blocks.{number}.{convolution}", layers[0])
                add(f"_blocks.{number}.{norm}", layers[1])
    add("_conv_head", nn.Conv2d(encoder.channels[-1], 1280, 1, bias=False))
    add("_bn1", nn.BatchNorm2d(1280))
    add("_fc", nn.Linear(1280, 1000))
    return state


def _learned(state: dict[str, Tensor]) -> int:
    return sum(v.numel() for k, v in state.items() if "running" not in k and "num_" not in k)


@pytest.mark.parametrize(("lite", "parameters"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)])
def test_with_its_classifier_the_encoder_has_the_published_number_of_parameters(lite, parameters):
    assert _learned(published_encoder(EfficientNetLite(lite))) == parameters


def test_published_weights_become_the_encoders(tmp_path):
    source, network = _network(2), EfficientUNet(EfficientUNetConfig())
    for value in source.features.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    torch.save(published_encoder(source.features), tmp_path / "lite2.pth")
    load_imagenet_encoder(network, tmp_path / "lite2.pth")
    for name, value in network.features.state_dict().items():
        assert torch.equal(value, source.features.state_dict()[name]), name


def test_weights_of_another_size_are_refused(tmp_path):
    torch.save(published_encoder(EfficientNetLite(0)), tmp_path / "lite0.pth")
    with pytest.raises(ModelError, match=r"lite0\.pth: features\.\S+ does not fit"):
        load_imagenet_encoder(_network(2), tmp_path / "lite0.pth")


@pytest.mark.parametrize(("kernel", "seen"), [(3, slice(0, 3)), (5, slice(-1, 4))])
def test_a_halving_convolution_sees_the_pixels_that_tensorflows_sees(kernel, seen):
    # Of an even number of pixels, TensorFlow's "same" pads one more at the end.
    encoder = EfficientNetLite(0)
    layers = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    layer = next(m for m in layers if m.kernel_size == (kernel, kernel))
    nn.init.ones_(layer.weight)
    channels = layer.in_channels
    row = torch.zeros(1, channels, 8, 8)
    row[:, :, 0] = torch.arange(1.0, 9)
    total = layer(row)[0, 0, 0, 0].item() * layer.groups / channels
    assert total == sum(range(max(seen.start, 0) + 1, seen.stop + 1))


def test_first_stages_and_all_statistics_stay_what_imagenet_taught():
    options = TrainOptions(
        dataset="drawn", model="efficient-unet", size=64, batch_size=2, ndf=8,
        adversarial_weight=0.0, window=1, lr=1e-2,
    )  # fmt: skip
    card = Card(
        name="small", family="efficient-unet", network=asdict(_network().config),
        output="chroma", grey="bt601", working_size=64, window=1,
    )  # fmt: skip
    setup = FAMILIES["efficient-unet"].set_up(options)
    trainer = GanTrainer(card, setup, options, device=torch.device("cpu"), steps=2)
    encoder = cast(EfficientUNet, trainer.generator).features
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    for _ in range(2):
        trainer.step(torch.rand(2, 1, 3, 64, 64))
    frozen = ("stem.", *(f"stages.{number}." for number in range(FROZEN_STAGES)))
    for name, value in encoder.state_dict().items():
        is_kept = name.startswith(frozen) or "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) == is_kept, name
