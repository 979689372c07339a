"""What every network promises, whichever family or wrapped architecture it is of.

A new one is tested by being registered. Each is tried as its default and as every preset makes it.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import small_card, small_setup
from vidcolor.errors import ModelError, OptionsError
from vidcolor.inference.backends import OnnxBackend
from vidcolor.inference.batching import serial_map
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.onnx_export import write_graphs
from vidcolor.network.bins import ab_bins
from vidcolor.network.blocks import load_plain_state, plain_state, remove_spectral_norms
from vidcolor.network.card import Card, read_card, write_card
from vidcolor.network.families import ARCHITECTURES, FAMILIES
from vidcolor.network.generator import Generator
from vidcolor.network.weights import load_network, save_model
from vidcolor.options.train import Preset
from vidcolor.pipeline.threads import ThreadedStages
from vidcolor.shots.segments import divide
from vidcolor.training.gan_step import GanTrainer

NOT_EXPRESSIBLE = {"fully-connected"}
"""Families that ONNX cannot express at every size: this one pools any frame to one grid."""

TOLERANCE = 1e-3
"""Of the largest value, where the same products are added in another order."""
ROUGH = {"ddcolor": 1e-2}
"""For networks whose random weights make more of what is rounded."""


def _cases() -> dict[str, Card]:
    """Return a card for each architecture and each family, and for presets that change it."""
    cases = {name: small_card(name) for name in (*FAMILIES, *ARCHITECTURES)}
    for name in FAMILIES:
        for preset in get_args(Preset):
            with suppress(OptionsError):  # another family's
                card = small_card(name, preset=preset)
                if card not in cases.values():
                    cases[f"{name}-{preset}"] = card
    return cases


CASES = _cases()
TRAINED = [name for name, card in CASES.items() if card.family in FAMILIES]


@dataclass
class Model:
    """A network in evaluation mode, without spectral norms, and its folder."""

    card: Card
    network: Generator
    folder: Path


@pytest.fixture(scope="module", params=CASES)
def model(request, tmp_path_factory) -> Model:
    card = CASES[request.param]
    network = _network(card)
    _settle(network)
    remove_spectral_norms(network)
    for value in network.state_dict().values():
        if value.ndim > 1:
            value.copy_(value.half())  # files keep weights in half precision
    folder = tmp_path_factory.mktemp("model")
    save_model(card, network, folder)
    return Model(card, network, folder)


@pytest.fixture(scope="module")
def colorizer(model) -> Colorizer:
    """Return what a render loads."""
    return Colorizer.load(str(model.folder), "cpu")


@pytest.fixture
def _one_thread_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _network(card: Card, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return card.build_network().eval()


def _settle(network: Generator) -> None:
    """Leave a fresh network as training does: norms that do something, no weights of 0."""
    with torch.no_grad():
        for value in network.parameters():
            if not value.any():
                nn.init.normal_(value, std=0.1)
        for part in network.modules():
            part.training = True
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # statistics are those of the one batch below
                nn.init.uniform_(part.weight, 0.5, 1.5)
        grey_B1hw = torch.rand(2, 1, 64, 64)
        noise_Bnhw = torch.rand(2, network.noise_channels, 64, 64) * 2 - 1
        features = network.encode(
            network.frame(grey_B1hw, None, noise_Bnhw), network.embed(grey_B1hw)
        )
        network.decode(features, features, features)
    network.eval()


def _encoded(network: Generator, grey_B1hw: Tensor) -> list[Tensor]:
    return network.encode(network.frame(grey_B1hw), network.embed(grey_B1hw))


def _colors(network: Generator, grey_B1hw: Tensor) -> Tensor:
    """Return what a network makes of frames that have no neighbors."""
    features = _encoded(network, grey_B1hw)
    return network.decode(features, features, features)


def _greys(count: int, height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(1))


def _film(count: int, height: int = 33, width: int = 47) -> list[np.ndarray]:
    """Return one shot: noise that changes a little from frame to frame."""
    random = np.random.default_rng(0)
    first = random.random((height, width)) * 0.9
    changes = random.random((count, height, width)) * 0.1
    return [(first + change).astype(np.float32) for change in changes]


def _colored(colorizer: Colorizer, film, *, batch=1, each=serial_map) -> np.ndarray:
    height, width = film[0].shape
    colorizer.batch, colorizer.size = batch, min(height, width)
    placed = divide(film, luma=lambda frame: frame)
    colored = colorizer.colorize(placed, luma=lambda frame: frame, matrix="bt601", each=each)
    return np.stack([frame.chroma_2hw for frame in colored])


def _assert_near(found, expected, card: Card) -> None:
    difference, largest = abs(found - expected).max(), abs(expected).max()
    assert largest > 0
    assert difference <= ROUGH.get(card.family, TOLERANCE) * largest


@torch.no_grad()
def test_colors_have_the_frames_size_and_stay_in_range(model):
    colors = _colors(model.network, _greys(2, 64, 96))
    if model.card.output == "bins":
        assert colors.shape == (2, len(ab_bins()), 16, 24)
    else:
        assert colors.shape == (2, 3 if model.card.output == "rgb" else 2, 64, 96)
        assert colors.abs().max() <= 1
    assert torch.isfinite(colors).all()
    assert colors.std() > 0


@pytest.mark.parametrize(("height", "width"), [(37, 53), (64, 97)])
def test_a_film_of_odd_size_is_colored_at_its_own_size(colorizer, height, width):
    chroma = _colored(colorizer, _film(1, height, width))
    assert chroma.shape == (1, 2, height, width)
    assert np.isfinite(chroma).all()


@torch.no_grad()
def test_brightness_is_seen(model):
    grey = _greys(1)
    difference = _colors(model.network, grey) - _colors(model.network, grey * 0.3)
    assert difference.abs().mean() > 1e-4


def test_a_frames_color_does_not_depend_on_the_size_of_its_batch(colorizer):
    film = _film(4)
    _assert_near(_colored(colorizer, film, batch=3), _colored(colorizer, film), colorizer.card)


@torch.no_grad()
def test_frames_of_a_batch_do_not_mix(model):
    frames = _greys(5)
    one, other = (_colors(model.network, frames[picked]) for picked in ([0, 1, 2], [0, 3, 4]))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])


@pytest.mark.usefixtures("_one_thread_afterwards")
def test_colors_do_not_depend_on_how_many_threads_torch_has(colorizer):
    film = _film(2, 64, 65)
    torch.set_num_threads(1)
    one = _colored(colorizer, film)
    for count in (4, 8):
        torch.set_num_threads(count)
        _assert_near(_colored(colorizer, film), one, colorizer.card)


def test_frames_colored_side_by_side_are_those_of_one_thread(colorizer):
    film = _film(8)
    one = _colored(colorizer, film)
    for threads in (4, 8):
        with ThreadedStages(threads) as stages:
            np.testing.assert_array_equal(_colored(colorizer, film, each=stages.each), one)


def test_rendering_colors_as_the_plain_network_does(model, colorizer):
    film = _film(3)
    _assert_near(_colored(colorizer, film), _colored(_plain(model), film), model.card)


def _plain(model: Model) -> Colorizer:
    """Return a colorizer of the network as it was saved: no norm folded, no layout changed."""
    return Colorizer(model.card, model.network, torch.device("cpu"))


def test_coloring_changes_nothing_in_a_network_and_gives_the_same_again(model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    film, colorizer = _film(3), _plain(model)
    first, again = (_colored(colorizer, film) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    colorizer.seed = 1
    takes_noise = model.network.noise_channels > 0
    assert np.array_equal(_colored(colorizer, film), first) != takes_noise


@torch.no_grad()
def test_neighbors_count_where_a_family_looks_at_three_frames(model):
    network, frames = model.network, _greys(3)
    previous, current, next_ = (_encoded(network, frame[None]) for frame in frames)
    colors = network.decode(previous, current, next_)
    for window in ((current, current, next_), (previous, current, current)):
        assert torch.equal(network.decode(*window), colors) == (model.card.window == 1)


@torch.no_grad()
def test_a_saved_network_is_loaded_as_it_was(model):
    card, loaded = load_network(model.folder)
    for name, value in model.network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert card == read_card(model.folder)
    assert torch.equal(_colors(loaded, _greys(1)), _colors(model.network, _greys(1)))


@pytest.mark.parametrize("case", CASES)
def test_a_card_comes_back_as_it_was_written(case, tmp_path):
    card = replace(CASES[case], scores={"psnr_db": 22.5}, training={"sources": ["a", "b"]})
    write_card(card, tmp_path)
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in card.network.items()}
    assert read_card(tmp_path) == replace(card, network=lists)  # TOML has no tuples


@pytest.mark.parametrize("case", TRAINED)
def test_a_card_and_a_seed_decide_a_network(case, tmp_path):
    write_card(CASES[case], tmp_path)
    one, again, other = (
        _network(card, seed).state_dict()
        for card, seed in ((CASES[case], 0), (read_card(tmp_path), 0), (CASES[case], 1))
    )
    assert one.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())


def _export_cases() -> list[Any]:
    """Return the cases; of what takes long, families alone are tried every time."""
    return [
        case if case in FAMILIES else pytest.param(case, marks=pytest.mark.slow) for case in CASES
    ]


@pytest.mark.parametrize("case", _export_cases())
@torch.no_grad()
def test_its_graphs_color_as_it_does_or_it_is_said_that_onnx_cannot_express_it(case, tmp_path):
    network = _network(CASES[case])
    _settle(network)
    remove_spectral_norms(network)
    if CASES[case].family in NOT_EXPRESSIBLE:
        with pytest.raises(ModelError, match="ONNX cannot express this network at every size"):
            write_graphs(network, tmp_path)
        return
    assert write_graphs(network, tmp_path) < TOLERANCE
    graphs = OnnxBackend(tmp_path)
    for greys in (_greys(1, 32, 96), _greys(3, 64, 32)):
        features = graphs.encode(network.frame(greys), network.embed(greys))
        _assert_near(
            graphs.decode(features, features, features), _colors(network, greys), CASES[case]
        )


@pytest.mark.parametrize("case", TRAINED)
@torch.no_grad()
def test_spectral_norms_are_multiplied_in_without_changing_the_colors(case):
    network, plain = _network(CASES[case]), _network(CASES[case], seed=1)
    remove_spectral_norms(plain)
    load_plain_state(plain, plain_state(network))
    assert not any("parametrizations" in name for name in plain.state_dict())
    _assert_near(_colors(plain, _greys(1)), _colors(network, _greys(1)), CASES[case])


@pytest.mark.parametrize("case", TRAINED)
def test_training_moves_every_weight_that_may_learn_and_no_other(case):
    card = CASES[case]
    preset = case.removeprefix(card.family).lstrip("-") or "default"
    options, setup = small_setup(card.family, preset=preset, lr=1e-2)
    torch.manual_seed(0)
    trainer = GanTrainer(card, setup, options, device=torch.device("cpu"), steps=2)
    before = {name: value.clone() for name, value in trainer.generator.named_parameters()}
    rgb_BT3hw = torch.rand(2, card.window, 3, options.size, options.size)
    for _ in range(2):
        losses = trainer.step(rgb_BT3hw)
    assert losses.keys() >= {"pixel", "adversarial", "discriminator"}
    assert all(np.isfinite(loss) for loss in losses.values())
    for name, value in trainer.generator.named_parameters():
        assert torch.equal(value, before[name]) != value.requires_grad, name
