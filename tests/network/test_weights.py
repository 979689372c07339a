"""Models on disk: cards, weights, and what is refused."""

import pickle
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.models import TINY
from vidcolor.errors import ModelError
from vidcolor.network.card import read_card
from vidcolor.network.library import find_model
from vidcolor.network.weights import (
    load_imagenet_encoder,
    load_network,
    save_model,
    start_from_model,
)


@pytest.fixture
def model(tmp_path) -> Path:
    torch.manual_seed(0)
    save_model(TINY, TINY.build_network(), tmp_path)
    return tmp_path


def test_a_saved_network_computes_as_before_to_half_precision(tmp_path):
    torch.manual_seed(0)
    network = TINY.build_network().eval()
    save_model(TINY, network, tmp_path)
    card, loaded = load_network(tmp_path)
    assert card == TINY
    grey = torch.rand(1, 1, 64, 64)
    a, b = network.encode(grey), loaded.encode(grey)
    assert torch.allclose(network.decode(a, a, a), loaded.decode(b, b, b), atol=0.02)


def test_training_starts_from_a_models_weights(model):
    torch.manual_seed(1)
    network = TINY.build_network()
    start_from_model(network, model)
    _, loaded = load_network(model)
    grey = torch.rand(1, 1, 64, 64)
    # Loaded weights are normalized again: a few power iterations settle them.
    for _ in range(20):
        network.train().encode(grey)
        network.decode(*[network.encode(grey)] * 3)
    a, b = network.eval().encode(grey), loaded.encode(grey)
    for own, others in zip(a[:1], b[:1], strict=True):
        assert (own - others).abs().mean() < 0.1 * others.abs().mean()


def test_starting_from_another_shape_is_refused(model):
    network = replace(TINY, network={"base_channels": 16, "norm": "batch"}).build_network()
    with pytest.raises(ModelError, match=r"cannot start from it.*shape"):
        start_from_model(network, model)


def test_an_unknown_model_is_answered_with_the_known_ones():
    with pytest.raises(ModelError, match=r"'no-such'.*available:.*default"):
        find_model("no-such")


def test_a_folder_is_a_model_and_so_is_a_name_below_models(model, tmp_path, monkeypatch):
    assert find_model(str(model)) == model
    (tmp_path / "models").mkdir()
    save_model(TINY, TINY.build_network(), tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    assert find_model("mine").resolve() == tmp_path / "models" / "mine"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("[[", "is not valid TOML"),
        ('name = "x"\n', "lacks family"),
        ("", "lacks"),
    ],
)
def test_a_broken_card_is_refused(model, change, complaint):
    (model / "card.toml").write_text(change)
    with pytest.raises(ModelError, match=complaint):
        read_card(model)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('grey = "bt601"', 'grey = "bt999"', "grey is 'bt999'; it can be bt601"),
        ("saturation = 1.0", "saturation = 0.0", "saturation is 0.0; it can be above 0"),
        ("saturation = 1.0", 'saturation = "much"', "saturation is 'much'; it can be above 0"),
        ('family = "temporal-unet"', 'family = "nonet"', "no network is called 'nonet'"),
        ("base_channels = 8", "base_chanels = 8", "does not fit temporal-unet"),
        ("working_size = 64", "working_sise = 64", "has unknown working_sise"),
        ("base_channels = 8", "base_channels = 16", "weights do not fit the card"),
    ],
)
def test_a_card_that_does_not_match_is_refused(model, old, new, complaint):
    path = model / "card.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=complaint):
        load_network(model)


def test_pickles_are_never_opened_as_weights(model, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    (model / "weights.safetensors").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="not safetensors"):
        load_network(model)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="not a weights file"):
        load_imagenet_encoder(TINY.build_network(), tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()


def test_missing_cut_and_nan_weights_are_refused(model):
    path = model / "weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="not safetensors"):
        load_network(model)
    path.unlink()
    with pytest.raises(ModelError, match="weights are missing"):
        load_network(model)
    state = safetensors.torch.load(whole)
    state["head.weight"].fill_(torch.nan)
    safetensors.torch.save_file(state, path)
    with pytest.raises(ModelError, match="not finite"):
        load_network(model)


def test_imagenet_weights_fit_the_squeezenet_encoder_by_name(tmp_path):
    card = replace(TINY, family="squeeze-unet", network={"widths": [16, 8, 8]})
    network = card.build_network()
    encoder = {k: v for k, v in network.state_dict().items() if k.startswith("features.")}
    assert encoder["features.3.squeeze.weight"].shape == (16, 64, 1, 1)
    published = {k: torch.ones_like(v) for k, v in encoder.items()}
    torch.save(published | {"classifier.1.bias": torch.ones(1000)}, tmp_path / "published.pth")
    load_imagenet_encoder(network, tmp_path / "published.pth")
    assert all(bool((network.state_dict()[key] == 1).all()) for key in encoder)
    with pytest.raises(ModelError, match="no such encoder"):
        load_imagenet_encoder(TINY.build_network(), tmp_path / "published.pth")


def _shipped() -> list[Path]:
    return [p.parent for p in Path(str(resources.files("vidcolor.models"))).glob("*/card.toml")]


@pytest.mark.parametrize("folder", _shipped(), ids=lambda p: p.name)
def test_every_model_that_ships_loads_and_has_a_page(folder):
    card, _ = load_network(folder)
    assert card.name == folder.name
    assert card.scores
    assert card.licence != "unstated"
    assert (folder / "README.md").is_file()
