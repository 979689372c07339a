"""The U-Net of seed 004: its counts, its two inputs, and that it learns."""

import pytest
import torch

from vidcolor.network.architectures.masked_unet import MaskedUNet, MaskedUNetConfig
from vidcolor.network.blocks import norm_layer
from vidcolor.network.card import Card
from vidcolor.network.families import FAMILIES
from vidcolor.options.train import TrainOptions
from vidcolor.training.gan_step import GanTrainer

UNUSED = sum(p.numel() for p in norm_layer("batch", 2).parameters())
"""The original makes a norm of two channels for its last layer and leaves it out of the way."""


def _count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def _small(*, shared_norm: bool = False) -> MaskedUNet:
    torch.manual_seed(0)
    config = MaskedUNetConfig(base_channels=8, shared_norm=shared_norm, spectral_norm=False)
    return MaskedUNet(config).eval()


def _color(network, grey, mask=None):
    features = network.encode(network.frame(grey, mask))
    return network.decode(features, features, features)


def _eight_frames() -> torch.Tensor:
    """Return eight one-frame windows (8, 1, 3, 32, 32): a red square on green, elsewhere each."""
    rgb = torch.tensor([0.15, 0.5, 0.2])[:, None, None].expand(8, 3, 32, 32).clone()
    for i, frame in enumerate(rgb):
        frame[:, 8:24, 2 * i : 2 * i + 14] = torch.tensor([0.8, 0.2, 0.15])[:, None, None]
    return rgb[:, None]


def _trainer() -> GanTrainer:
    torch.manual_seed(0)
    options = TrainOptions(
        dataset="none", model="masked-unet", size=32, ngf=8, lr=1e-2, adversarial_weight=0.0
    )
    setup = FAMILIES["masked-unet"].set_up(options)
    card = Card(
        name="eight", family="masked-unet", network=vars(setup.config), output=setup.output,
        grey=setup.grey, working_size=32, window=1,
    )  # fmt: skip
    return GanTrainer(card, setup, options, device=torch.device("cpu"), steps=40)


@pytest.mark.parametrize("preset", ["default", "seed004"])
def test_it_has_the_originals_number_of_parameters(preset):
    options = TrainOptions(dataset="none", model="masked-unet", preset=preset)
    network = FAMILIES["masked-unet"].network(FAMILIES["masked-unet"].set_up(options).config)
    assert _count(network) + UNUSED == 7_839_940


def test_grey_and_mask_each_have_sixteen_channels_and_five_scales_follow():
    network = _small()
    assert [p.numel() for p in network.convolutions.parameters()] == [16 * 9] * 2
    scales = network.encode(network.frame(torch.rand(1, 1, 64, 96)))
    assert [tuple(s.shape[1:]) for s in scales] == [
        (8, 32, 48), (16, 16, 24), (32, 8, 12), (64, 4, 6), (64, 2, 3),
    ]  # fmt: skip


def test_every_scale_reaches_the_color():
    network = _small()
    scales = network.encode(network.frame(torch.rand(1, 1, 64, 64)))
    whole = network.decode(scales, scales, scales)
    for i, scale in enumerate(scales):
        without = [*scales[:i], torch.zeros_like(scale), *scales[i + 1 :]]
        assert not torch.allclose(network.decode(without, without, without), whole)


def test_without_a_mask_there_is_color_everywhere():
    network, grey = _small(), torch.rand(2, 1, 64, 64)
    assert torch.equal(_color(network, grey), _color(network, grey, torch.ones_like(grey)))
    assert not torch.equal(_color(network, grey), _color(network, grey, torch.zeros_like(grey)))


@pytest.mark.parametrize("is_shared", [False, True])
def test_in_our_default_the_mask_does_not_move_the_greys_statistics(is_shared):
    network = _small(shared_norm=is_shared)
    before = network.norm.state_dict()["running_mean"].clone()
    # A frame of middle grey is 0 after centring: only the mask can move the norm's mean.
    network.train().encode(network.frame(torch.full((2, 1, 32, 32), 0.5)))
    assert torch.equal(network.norm.state_dict()["running_mean"], before) != is_shared


def test_eight_frames_are_learned_by_heart():
    trainer = _trainer()
    losses = [trainer.step(_eight_frames())["pixel"] for _ in range(40)]
    assert losses[-1] < losses[0] / 10
