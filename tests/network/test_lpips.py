"""LPIPS comes from the true network or there is no number."""

import hashlib
import sys

import pytest
import torch

from vidcolor.errors import InputError
from vidcolor.network import lpips
from vidcolor.network.lpips import Lpips, NotAvailable, load_lpips, load_perceptual_loss


@pytest.fixture
def backbone(tmp_path, monkeypatch):
    """Return a file of random weights, in torchvision's layout, that passes for AlexNet."""
    torch.manual_seed(0)
    weights = {f"features.{key}": w for key, w in lpips._alexnet_features().state_dict().items()}
    path = tmp_path / "alexnet.pth"
    torch.save({**weights, "classifier.1.weight": torch.zeros(1)}, path)
    start = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(lpips, "BACKBONE_SHA256_START", start)
    return path


def picture(seed):
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_without_the_backbone_lpips_is_a_reason_and_not_a_number(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    answer = load_lpips(None)
    assert isinstance(answer, NotAvailable)
    assert lpips.BACKBONE_NAME in answer.reason


def test_a_named_backbone_that_is_missing_or_another_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_lpips(tmp_path / "missing.pth")
    (tmp_path / "other.pth").write_bytes(b"other")
    with pytest.raises(InputError, match="not torchvision's AlexNet"):
        load_lpips(tmp_path / "other.pth")


def test_a_damaged_backbone_in_the_cache_gives_no_number(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    lpips.default_backbone().parent.mkdir(parents=True)
    lpips.default_backbone().write_bytes(b"half a download")
    assert isinstance(load_lpips(None), NotAvailable)


@pytest.mark.parametrize("name", lpips.CLASSIFIERS)
def test_the_perceptual_loss_sees_with_the_classifier_whose_weights_it_gets(tmp_path, name):
    torch.manual_seed(0)
    layers = lpips.CLASSIFIERS[name]().state_dict()
    torch.save({f"features.{key}": w for key, w in layers.items()}, tmp_path / "any.pth")
    loss = load_perceptual_loss(tmp_path / "any.pth")
    result, truth = picture(1)[None].requires_grad_(), picture(2)[None]
    assert float(loss(truth, truth)) == 0
    distance = loss(result, truth)
    distance.backward()
    assert distance.item() > 0
    assert result.grad is not None
    assert float(result.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())
    trunk = loss.network.get_submodule("net").state_dict().values()
    assert all(torch.equal(own, w) for own, w in zip(trunk, layers.values(), strict=True))


def test_weights_of_no_known_classifier_are_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "any.pth")
    with pytest.raises(InputError, match="alexnet, vgg16, squeezenet1_1"):
        load_perceptual_loss(tmp_path / "any.pth")
    with pytest.raises(InputError, match="not a weights file"):
        load_perceptual_loss(tmp_path / "missing.pth")


def test_without_the_package_lpips_is_a_reason(backbone, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    answer = load_lpips(backbone)
    assert answer == NotAvailable("lpips is not installed; pip install 'vidcolor[lpips]'")


def test_equal_pictures_have_distance_zero_and_different_ones_more(backbone):
    pytest.importorskip("scipy")
    lpips = load_lpips(backbone)
    assert isinstance(lpips, Lpips)
    assert lpips.distance(picture(1), picture(1)) == 0
    assert lpips.distance(picture(1), picture(2)) > 0


def test_the_network_is_shown_minus_one_to_one():
    seen: list[torch.Tensor] = []

    class Watching(torch.nn.Module):
        def forward(self, *pictures):
            seen.extend(pictures)
            return torch.zeros(1, 1, 1, 1)

    Lpips(Watching()).distance(torch.zeros(3, 8, 8), torch.ones(3, 8, 8))
    assert [(shown.min().item(), shown.max().item()) for shown in seen] == [(-1, -1), (1, 1)]
    assert seen[0].shape == (1, 3, 8, 8)


def test_the_stand_in_for_torchvision_is_gone_afterwards(backbone):
    pytest.importorskip("scipy")
    load_lpips(backbone)
    assert not {"torchvision", "torchvision.models", "lpips"} & set(sys.modules)
