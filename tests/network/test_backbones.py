"""Classifiers: named and shaped as published, fed as published, found, fetched or refused."""

import hashlib
import sys
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch import nn

from vidcolor.errors import ModelError, OptionsError
from vidcolor.network.architectures.backbones import (
    BACKBONES,
    find_backbone,
    load_published,
    read_weights,
)
from vidcolor.network.architectures.squeezenet import SqueezeNet
from vidcolor.network.architectures.xception import Xception


def _count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def _fill(network: nn.Module) -> nn.Module:
    """Set all weights to a noise that any other implementation can be given too."""
    with torch.no_grad():
        for number, (name, value) in enumerate(sorted(network.state_dict().items())):
            if value.ndim > 1:
                index = torch.arange(value.numel(), dtype=torch.float64) + 1000 * number
                noise = (torch.sin(index) * 43758.5453).frac().view(value.shape)
                value.copy_(noise * (3 / value[0].numel()) ** 0.5)
            elif name.endswith("bias"):
                value.zero_()
    return network.eval()


@pytest.fixture(scope="module")
def xception() -> nn.Module:
    return _fill(Xception())


def test_xception_has_the_published_number_of_parameters(xception):
    assert _count(xception) == 22_855_952


def test_xceptions_weights_are_named_and_shaped_as_timms_are(xception):
    # The digest is that of timm 1.0.31's `legacy_xception`, taken in the same way.
    lines = sorted(f"{name} {tuple(v.shape)}" for name, v in xception.state_dict().items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest().startswith("70286d940e5d199d")


def test_xception_computes_what_timms_does(xception):
    # These scores are timm 1.0.31's, of the same weights and picture.
    picture = torch.linspace(-1, 1, 3 * 71 * 80).view(1, 3, 71, 80).sin()
    with torch.no_grad():
        scores = xception(picture)[0, :4]
    expected = torch.tensor([-0.0122819, -0.0061298, 0.0362423, 0.0704888])
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-5)


def test_weights_published_before_batches_were_counted_fit_too(xception, tmp_path):
    state = {k: v for k, v in xception.state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "old.pth")
    network = Xception()
    load_published(network, "xception", tmp_path / "old.pth")
    assert torch.equal(network.fc.weight, state["fc.weight"])


def test_squeezenet_has_the_published_number_of_parameters_and_gives_a_score_a_class():
    network = SqueezeNet().eval()
    assert _count(network) == 1_235_496
    assert network(torch.rand(2, 3, 64, 96)).shape == (2, 1000)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_are_read_from_both_kinds_of_file(suffix, tmp_path):
    state, path = SqueezeNet().state_dict(), tmp_path / f"weights{suffix}"
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(state, path)
    read = read_weights(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], value) for name, value in state.items())


@pytest.mark.parametrize("name", BACKBONES)
def test_pictures_are_three_times_the_grey_in_the_range_that_was_learned(name):
    backbone = find_backbone(name)
    flat = torch.tensor([0.0, 0.25, 1.0])[:, None, None, None].expand(3, 1, 40, 60)
    pictures = backbone.pictures(flat)
    assert pictures.shape[-2:] == (backbone.short_side, backbone.short_side * 3 // 2)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (backbone.mean, backbone.deviation))
    restored = pictures * deviation + mean
    assert torch.allclose(restored, flat[..., :1, :1].expand_as(restored), atol=1e-5)


def test_xception_is_shown_minus_one_to_one():
    pictures = find_backbone("xception").pictures(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))
    assert [pictures.min().item(), pictures.max().item()] == [-1, 1]


def test_weights_that_cannot_be_fetched_are_answered_with_where_they_are(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ModelError, match=r"service not known.*https://\S+43020ad28.pth; give them"):
        load_published(Xception(), "xception", None)


def test_fetched_weights_are_kept_and_checked_by_their_name(tmp_path, monkeypatch):
    calls = []

    def download(address, path, hash_start, progress):
        calls.append(hash_start)
        torch.save(_fill(SqueezeNet()).state_dict(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    network = SqueezeNet()
    for _ in range(2):
        load_published(network, "squeezenet1_1", None)
    assert calls == ["b8a52dc0"]
    assert all(map(torch.equal, network.parameters(), _fill(SqueezeNet()).parameters()))


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(SqueezeNet().state_dict(), tmp_path / "squeezenet.pth")
    with pytest.raises(
        ModelError, match=r"squeezenet.pth: is not the weights of xception: .*conv1"
    ):
        load_published(Xception(), "xception", tmp_path / "squeezenet.pth")


def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "notes.pth").write_text("no weights")
    with pytest.raises(ModelError, match=r"notes.pth: not a weights file"):
        load_published(SqueezeNet(), "squeezenet1_1", tmp_path / "notes.pth")


class _Timm:
    """Stands for timm: one convolutional network of seven classes, and one for squares only."""

    class data:  # noqa: N801
        @staticmethod
        def resolve_model_data_config(_):
            return {"input_size": (3, 32, 32), "mean": (0.4,) * 3, "std": (0.2,) * 3}

    @staticmethod
    def create_model(name, pretrained=False):
        pool = {"round7": nn.AdaptiveAvgPool2d(1), "square7": nn.Identity()}
        if name not in pool:
            raise RuntimeError(f"Unknown model ({name})")
        side = 1 if name == "round7" else 32
        scores = nn.Linear(3 * side**2, 7)
        nn.init.constant_(scores.weight, float(pretrained))
        return nn.Sequential(pool[name], nn.Flatten(), scores)


@pytest.fixture
def timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(**vars(_Timm)))
    find_backbone.cache_clear()
    yield
    find_backbone.cache_clear()


def test_timms_networks_are_found_by_name_and_say_what_they_expect(timm):
    backbone = find_backbone("round7")
    assert (backbone.classes, backbone.short_side, backbone.mean) == (7, 32, (0.4,) * 3)
    network = backbone.build()
    load_published(network, "round7", None)
    assert all((p == 1).all() for p in network.parameters() if p.ndim > 1)


def test_a_network_for_squares_alone_is_refused(timm):
    with pytest.raises(OptionsError, match="square7: it takes pictures of one shape only"):
        find_backbone("square7")


def test_a_name_that_timm_does_not_know_is_refused(timm):
    with pytest.raises(OptionsError, match=r"--backbone oval7: neither built in \(xception, sq.*"):
        find_backbone("oval7")


def test_without_timm_the_built_in_ones_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(OptionsError, match=r"resnet50: not built in \(xception, squeezenet1_1\)"):
        find_backbone("resnet50")
