"""Networks: shapes and counts as published, encode once, window, brightness, spectral norm."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import small_card
from vidcolor.errors import OptionsError
from vidcolor.network.architectures.squeeze_unet import SqueezeUNet, SqueezeUNetConfig
from vidcolor.network.architectures.temporal_unet import TemporalUNet, TemporalUNetConfig
from vidcolor.network.blocks import (
    SelfAttention,
    WindowFusion,
    load_plain_state,
    plain_state,
)
from vidcolor.training.discriminators import (
    BatchNorm,
    FlatDiscriminator,
    build_discriminator,
    discriminator_loss,
    generator_loss,
)
from vidcolor.training.losses import CELLS, cell_index, count_cells, pixel_loss, rarity_weights


def _seed002(**changes):
    config: dict[str, Any] = {"output": "rgb", "first_norm": True, "spectral_norm": False} | changes
    return TemporalUNet(TemporalUNetConfig(**config))


def _count(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("base_channels", "parameters"), [(64, 8_085_504), (32, 2_023_424)])
def test_seed002_has_the_originals_number_of_parameters(base_channels, parameters):
    assert _count(_seed002(base_channels=base_channels)) == parameters


def test_our_temporal_unet_has_the_documented_number_of_parameters():
    network = TemporalUNet(TemporalUNetConfig(norm="batch"))
    page = Path(__file__).parents[2] / "docs/explanation/networks.md"
    assert f"{_count(network):,}" in page.read_text()


def test_seed002_with_attention_has_the_originals_number_of_parameters():
    # The original's 8,111,346 are without spectral norm and with both attentions.
    assert _count(_seed002(self_attention=True)) == 8_111_346


def test_the_patch_discriminator_has_the_originals_size_and_field():
    network = build_discriminator("patch", 3, 32, size=224, self_attention=False)
    assert _count(network) == 694_240
    assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 1, 26, 26)
    assert network(torch.zeros(1, 3, 480, 480)).shape == (1, 1, 58, 58)


@pytest.mark.parametrize(("size", "parameters"), [(224, 4_355_746), (480, 15_890_082)])
def test_the_fc_discriminator_has_the_originals_number_of_parameters(size, parameters):
    # The original builds its two attentions even where they are off.
    network = build_discriminator("fc", 3, 32, size=size, self_attention=True)
    assert _count(network) == parameters
    without = build_discriminator("fc", 3, 32, size=size, self_attention=False)
    assert _count(without) == parameters - 2 * _count(SelfAttention(256))


@pytest.mark.parametrize(("size", "parameters"), [(224, 16_759_424), (480, 62_896_768)])
def test_the_fc_discriminator_is_seed004s_too(size, parameters):
    network = build_discriminator("fc", 4, 64, size=size, self_attention=False)
    assert _count(network) == parameters


def test_the_patch_discriminator_with_attention_has_the_originals_number_of_parameters():
    network = build_discriminator("patch", 3, 32, size=224, self_attention=True)
    assert _count(network) == 797_122


def test_the_flat_discriminator_has_the_originals_number_of_parameters():
    assert _count(FlatDiscriminator(2, 16, size=(90, 120))) == 22_388_721


@pytest.mark.parametrize("kind", ["patch", "fc", "flat"])
@pytest.mark.parametrize("size", [32, 64, 104])
def test_every_discriminator_learns_from_a_batch_of_one(kind, size):
    network = build_discriminator(kind, 2, 8, size=size, self_attention=False).train()
    scores = network(torch.rand(1, 2, size, size))
    assert torch.isfinite(scores).all()
    assert kind == "patch" or scores.numel() == 1
    scores.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_single_value_is_normalised_by_what_larger_batches_had():
    norm = BatchNorm(1, momentum=1.0).train()
    norm(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1))
    assert norm(torch.tensor([[[[4.0]]]])).item() == pytest.approx((4 - 2) / 2**0.5, abs=1e-4)


def test_the_flat_discriminator_says_that_it_has_no_attention():
    with pytest.raises(OptionsError, match="does not support it; use patch or fc"):
        build_discriminator("flat", 2, 8, size=32, self_attention=True)


def test_squeezenet_encoder_has_the_published_layers():
    # SqueezeNet 1.1 has 1,235,496 parameters, 513,000 of them in the classifier.
    assert _count(SqueezeUNet(SqueezeUNetConfig()).features) == 1_235_496 - 513_000


def test_fusion_gives_the_middle_frame_three_quarters_of_the_channels():
    fusion = WindowFusion(64)
    x = torch.rand(1, 64, 2, 2)
    zero = torch.zeros_like(x)
    assert (fusion(x, zero, zero) != 0).any(dim=(0, 2, 3)).nonzero().flatten().tolist() == [
        *range(8)
    ]
    middle = (fusion(zero, x, zero) != 0).any(dim=(0, 2, 3)).nonzero().flatten().tolist()
    assert middle == [*range(8, 56)]
    with pytest.raises(ValueError, match="multiple of 8"):
        WindowFusion(12)


def test_training_goes_on_unharmed_after_its_weights_were_saved():
    torch.manual_seed(0)
    network = small_card("squeeze-unet").build_network().train()
    before = plain_state(network)
    load_plain_state(network, before)
    after = plain_state(network.eval())
    for name, value in before.items():
        # Loaded weights have the norm 1 only as closely as one power iteration knows.
        assert torch.allclose(value, after[name], rtol=0.2, atol=0.05), name


@pytest.mark.parametrize("kind", ["patch", "fc"])
@pytest.mark.parametrize("attention", [False, True])
def test_discriminators_judge_the_same_picture_alike_in_evaluation(kind, attention):
    network = build_discriminator(kind, 3, 8, size=64, self_attention=attention).eval()
    picture = torch.rand(2, 3, 64, 64)
    assert torch.equal(network(picture), network(picture))


def test_spectral_norm_bounds_every_convolution_of_the_patch_discriminator():
    network = build_discriminator("patch", 3, 8, size=64, self_attention=False).train()
    for _ in range(30):
        network(torch.rand(1, 3, 64, 64))
    for layer in network.eval().modules():
        if isinstance(layer, torch.nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
            assert largest.item() == pytest.approx(1, abs=0.05)


def test_least_squares_losses_are_those_of_the_paper():
    real, fake = torch.tensor([0.5]), torch.tensor([0.25])
    assert discriminator_loss(real, fake, "lsgan").item() == pytest.approx(0.25 + 0.0625)
    assert generator_loss(fake, "lsgan").item() == pytest.approx(0.5625)


def test_log_losses_are_those_of_the_paper():
    undecided = torch.zeros(4)
    assert generator_loss(undecided, "bce").item() == pytest.approx(0.693147, abs=1e-5)
    assert discriminator_loss(undecided, undecided, "bce").item() == pytest.approx(
        1.386294, abs=1e-5
    )


def test_attention_begins_as_nothing():
    x = torch.rand(1, 16, 5, 7)
    assert torch.equal(SelfAttention(16)(x), x)


def test_rare_colors_weigh_more_and_the_mean_weight_is_one():
    counts = torch.zeros(CELLS**2)
    counts[:3] = torch.tensor([900.0, 90.0, 10.0])
    weights = rarity_weights(counts, 0.5)
    assert weights[0] < weights[1] < weights[2]
    assert ((counts / counts.sum()) * weights).sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(rarity_weights(counts, 0.0)[:3], torch.ones(3))


def test_grey_lies_in_the_middle_cell_and_every_pixel_is_counted_once():
    assert cell_index(torch.zeros(2, 1, 1)).item() == CELLS**2 // 2
    assert count_cells(torch.rand(3, 2, 8, 8) - 0.5).sum() == 3 * 64


def test_pixel_losses_are_mean_absolute_and_mean_squared():
    zero, one = torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 0.5)
    assert pixel_loss(zero, one, "l1").item() == pytest.approx(0.5)
    assert pixel_loss(zero, one, "l2").item() == pytest.approx(0.25)
    weight = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
    assert pixel_loss(zero, one, "l1", weight).item() == pytest.approx(0.25)
