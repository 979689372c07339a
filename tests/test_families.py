"""What each family of networks promises: published counts, that it learns, what its noise does."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.color import chroma_from_rgb, lab_from_rgb, luma_from_rgb
from vidcolor.network.ab_classifier import AbClassifier, AbClassifierConfig
from vidcolor.network.bins import ab_bins, soft_encode
from vidcolor.network.card import FAMILIES, Card
from vidcolor.network.colorizer import Colorizer
from vidcolor.network.fullres_gan import FullResGan, FullResGanConfig
from vidcolor.network.fully_connected import FullyConnected, FullyConnectedConfig
from vidcolor.network.gan import GanTrainer
from vidcolor.network.residual_encoder import ResidualEncoder, ResidualEncoderConfig
from vidcolor.options import TrainOptions
from vidcolor.segments import divide

CPU = torch.device("cpu")
SEED000 = FullResGanConfig(noisy_layers=(0,), tiled_noise=False)


def _count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def _card(options: TrainOptions) -> Card:
    setup = FAMILIES[options.model].set_up(options)
    return Card(
        name="small",
        family=options.model,
        network=asdict(setup.config),
        output=setup.output,
        grey=setup.grey,
        working_size=options.size,
        window=1,
    )


def _trainer(family: str, *, counts: Tensor | None = None, **changes) -> GanTrainer:
    """Return a trainer of a small network, without a discriminator unless asked."""
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "dataset": "drawn", "model": family, "size": 32, "ngf": 8, "ndf": 8, "batch_size": 8,
        "lr": 3e-3, "adversarial_weight": 0.0,
    }  # fmt: skip
    options = TrainOptions(**(values | changes))
    setup = FAMILIES[options.model].set_up(options)
    return GanTrainer(_card(options), setup, options, device=CPU, steps=100, colour_counts=counts)


def _frames(count: int = 8, size: int = 32) -> Tensor:
    """Return windows of one frame (B, 1, 3, h, w): a dark red disc on its way over light green."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    green, red = torch.tensor([0.45, 0.75, 0.4]), torch.tensor([0.6, 0.15, 0.1])
    shade_1hw = 0.85 + 0.15 * (x / size)[None]
    frames = []
    for i in range(count):
        centre = size * (0.25 + 0.5 * i / max(count - 1, 1))
        is_disc = (x - centre) ** 2 + (y - size / 2) ** 2 < (size / 4) ** 2
        frames.append(torch.where(is_disc, red[:, None, None], green[:, None, None]) * shade_1hw)
    return torch.stack(frames)[:, None]


def _colorizer(trainer: GanTrainer, **changes) -> Colorizer:
    return Colorizer(trainer.card, trainer.result, CPU, size=32, **changes)


def _colored(colorizer: Colorizer, rgb_B13hw: Tensor) -> np.ndarray:
    frames = [luma_from_rgb(rgb, "bt601")[0].numpy() for rgb in rgb_B13hw[:, 0]]
    placed = divide(frames, luma=lambda frame: frame)
    colored = colorizer.colorize(placed, luma=lambda frame: frame, matrix="bt601")
    return np.stack([c.chroma_2hw for c in colored])


def test_the_fullres_generator_has_the_originals_parameters_but_for_its_fully_connected_layer():
    own = _count(FullResGan(SEED000))
    pixels = 90 * 120
    fully_connected, norm = 100 * pixels + pixels, 2
    assert own == 481_652
    assert own + fully_connected + norm == 1_572_454


def test_the_ab_classifier_has_the_originals_number_of_parameters():
    assert _count(AbClassifier(AbClassifierConfig())) == 30_727_801


def test_the_residual_encoder_has_the_originals_number_of_parameters():
    network = ResidualEncoder(ResidualEncoderConfig())
    assert _count(network) == 8_139_221
    # VGG-16's convolutions from conv1_1 to conv4_3.
    assert _count(network.features) == 7_635_264


def test_the_fully_connected_network_has_the_originals_number_of_parameters():
    assert _count(FullyConnected(FullyConnectedConfig(output="rgb"))) == 5_248_000


@pytest.mark.parametrize("preset", ["default", "seed000"])
def test_no_layer_of_the_fullres_generator_strides_and_each_sees_the_lightness_first(preset):
    config = SEED000 if preset == "seed000" else FullResGanConfig()
    network = FullResGan(config).eval()
    seen: list[Tensor] = []
    for convolution in network.convolutions:
        convolution.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    grey = torch.rand(1, 1, 17, 23)
    features = network.encode(network.frame(grey))
    network.decode(features, features, features)
    assert len(seen) == 6
    assert all(torch.equal(x[:, :1], grey * 2 - 1) for x in seen)
    hidden = [0, 128, 64, 64, 64, 32]
    noisy = [layer in config.noisy_layers for layer in range(6)]
    assert [x.shape[1] for x in seen] == [1 + n + h for n, h in zip(noisy, hidden, strict=True)]


def test_the_ab_classifier_goes_down_to_an_eighth_and_up_to_a_quarter():
    network = AbClassifier(AbClassifierConfig(base_channels=8)).eval()
    sizes, x = [], torch.rand(1, 1, 64, 96)
    for block in network.blocks:
        x = block(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[:3] == [(8, 32, 48), (16, 16, 24), (32, 8, 12)]
    assert sizes[3:] == [(64, 8, 12)] * 4
    assert network.decode([x], [x], [x]).shape == (1, 313, 16, 24)
    dilations = {c.dilation for c in network.blocks[4:6].modules() if hasattr(c, "dilation")}
    assert dilations == {(2, 2)}


@pytest.mark.parametrize("family", ["fullres-gan", "ab-classifier"])
def test_a_frames_borders_are_coloured_as_its_middle_is(family):
    network = _trainer(family).generator.eval()
    features = network.encode(network.frame(torch.full((1, 1, 64, 64), 0.4)))
    predicted = network.decode(features, features, features)
    middle = predicted[..., 8:9, 8:9].expand_as(predicted)
    torch.testing.assert_close(predicted, middle, atol=1e-4, rtol=1e-4)


def _entropy(frames_B13hw: Tensor) -> float:
    """Return what the cross entropy of bins cannot fall below: the soft labels' own."""
    ab_B2hw = lab_from_rgb(frames_B13hw[:, 0])[:, 1:]
    shares = soft_encode(functional.avg_pool2d(ab_B2hw, 4), ab_bins())
    return -float((shares * shares.clamp(min=1e-12).log()).sum(dim=1).mean())


@pytest.mark.parametrize(
    ("family", "steps", "lr", "factor"),
    [
        ("fullres-gan", 60, 3e-3, 15),
        ("ab-classifier", 60, 1e-3, 4),
        ("residual-encoder", 60, 3e-3, 20),
        ("fully-connected", 60, 3e-3, 100),
    ],
)
def test_a_family_overfits_eight_frames(family, steps, lr, factor):
    trainer, frames = _trainer(family, lr=lr), _frames()
    floor = _entropy(frames) if family == "ab-classifier" else 0.0
    losses = [trainer.step(frames)["pixel"] for _ in range(steps)]
    assert losses[-1] - floor < (losses[0] - floor) / factor


def test_the_ab_classifier_overfits_one_picture_to_30_decibels_of_chroma():
    corners = torch.tensor(
        [[[0.45, 0.75, 0.4], [0.6, 0.25, 0.2]], [[0.3, 0.4, 0.7], [0.7, 0.65, 0.5]]]
    )
    picture = corners.movedim(-1, 0).repeat_interleave(32, 1).repeat_interleave(32, 2)[None, None]
    trainer = _trainer("ab-classifier", size=64, batch_size=1, lr=1e-3)
    for _ in range(120):
        trainer.step(picture)
    error = trainer.chroma(picture) - chroma_from_rgb(picture[:, 0], "bt601")
    assert -10 * torch.log10(error.square().mean()) > 30
