"""The moving average of a network: of what it computes with, not of what spectral norm divides."""

from typing import cast

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from vidcolor.network.architectures.temporal_unet import TemporalUNet, TemporalUNetConfig
from vidcolor.network.blocks import plain_state
from vidcolor.training.ema import MovingAverage

CONFIG = TemporalUNetConfig(base_channels=8, norm="batch")


def _generator() -> TemporalUNet:
    torch.manual_seed(0)
    return TemporalUNet(CONFIG).train()


def _learn(generator: TemporalUNet, steps: int = 20, rate: float = 0.05) -> None:
    """Change every weight, and let norms and batch statistics follow."""
    for _ in range(steps):
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.add_(torch.randn_like(parameter) * rate)
        features = generator.encode(torch.rand(2, 1, 32, 32))
        generator.decode(features, features, features)


def test_the_average_of_a_network_that_stands_still_computes_what_it_does():
    generator = _generator()
    average = MovingAverage(TemporalUNet(CONFIG), like=generator, decay=0.5)
    for _ in range(3):
        average.update(generator)
    features = average.network.encode(grey := torch.rand(1, 1, 64, 64))
    own = generator.eval().encode(grey)
    assert torch.allclose(
        average.network.decode(features, features, features),
        generator.decode(own, own, own),
        atol=1e-6,
    )


def test_weights_are_averaged_as_the_network_computes_with_them():
    generator = _generator()
    average = MovingAverage(TemporalUNet(CONFIG), like=generator, decay=0.9)
    expected = {name: value.clone() for name, value in plain_state(generator.eval()).items()}
    for number in range(1, 31):
        _learn(generator, steps=1)
        average.update(generator)
        share = min(0.9, (1 + number) / (10 + number))
        for name, value in plain_state(generator.eval()).items():
            expected[name] = (
                share * expected[name] + (1 - share) * value
                if value.is_floating_point()
                else value.clone()
            )
        generator.train()
    for name, value in average.network.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


def test_an_averaged_convolution_is_no_larger_than_the_norm_allows():
    generator = _generator()
    average = MovingAverage(TemporalUNet(CONFIG), like=generator, decay=0.998)
    for _ in range(40):
        _learn(generator, steps=1)
        average.update(generator)
    for name, part in generator.named_modules():
        if parametrize.is_parametrized(part):
            weight = cast(Tensor, average.network.get_submodule(name).weight).detach()
            # The norm is known as closely as one power iteration a step knows it.
            assert torch.linalg.matrix_norm(weight.flatten(1), 2) < 1.1, name


def test_training_is_not_moved_by_being_averaged():
    one, other = _generator(), _generator()
    average = MovingAverage(TemporalUNet(CONFIG), like=one, decay=0.9)
    for _ in range(3):
        average.update(one)
    assert one.training
    for name, value in other.state_dict().items():
        assert torch.equal(value, one.state_dict()[name]), name


def test_an_average_goes_on_where_it_was_kept():
    generator = _generator()
    average = MovingAverage(TemporalUNet(CONFIG), like=generator, decay=0.9)
    _learn(generator)
    average.update(generator)
    other = MovingAverage(TemporalUNet(CONFIG), like=_generator(), decay=0.9)
    other.load_state_dict({name: value.clone() for name, value in average.state_dict().items()})
    _learn(generator)
    for each in (average, other):
        each.update(generator)
    for name, value in average.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_in_the_beginning_a_step_weighs_more(decay):
    generator = _generator()
    average = MovingAverage(TemporalUNet(CONFIG), like=generator, decay=decay)
    name = next(k for k, v in average.network.state_dict().items() if v.ndim == 4)
    before = average.network.state_dict()[name].clone()
    _learn(generator)
    average.update(generator)
    moved = average.network.state_dict()[name] - before
    whole = plain_state(generator.eval())[name] - before
    assert torch.allclose(moved, whole * (1 - min(decay, 2 / 11)), atol=1e-6)
