"""Published weights of DDColor become a model like any other; here they are random ones."""

import importlib
import pickle
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import safetensors.torch
import torch

from tests.clips import audio_packets_of, luma_of, times_of
from vidcolor.color import AB_RANGE
from vidcolor.errors import ModelError
from vidcolor.network.architectures.ddcolor import PUBLISHED_SIZE, import_spandrel, read_ddcolor
from vidcolor.network.architectures.stand_in import torchvision_stand_in
from vidcolor.network.library import added_models
from vidcolor.network.weights import load_network
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import render
from vidcolor.zoo.add import AddedModel, add_model

PURPLE = (40.0, -40.0)
"""a*, b* of what the random network paints: random weights alone would leave it grey."""

LAST_LAYER = [f"refine_net.0.0.{name}" for name in ("weight_orig", "weight_u", "bias")]
COMPLAINTS = {
    "another network's": "has no card and is not a DDColor file",
    "of three channels": r"predict 3 channels, not a\*, b\*",
    "a program's": "not a weights file",
}


def published(**changes: Any) -> Any:
    """Return DDColor as spandrel builds it: of its smallest kind, with norms that have settled."""
    config = {
        "encoder_name": "convnext-t",
        "num_queries": 8,
        "dec_layers": 1,
        "input_size": (32, 32),
        "num_output_channels": 2,
        "last_norm": "Spectral",
    }
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        network = import_spandrel().architectures.DDColor.DDColor(**(config | changes))
        network.train()(torch.rand(2, 3, 64, 64))
        network.refine_net[0][0].bias[:2] = torch.tensor(PURPLE)
    return network.eval()


@pytest.fixture(scope="module")
def theirs() -> Any:
    return published()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def added(theirs, home) -> AddedModel:
    """Add the weights as they are published: wrapped once, in a pickle of tensors."""
    torch.save({"params": theirs.state_dict()}, home / "ddcolor.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCOLOR_HOME", str(home))
        return add_model(str(home / "ddcolor.pth"))


@pytest.fixture(autouse=True)
def _in_its_home(home, monkeypatch):
    monkeypatch.setenv("VIDCOLOR_HOME", str(home))


def test_the_model_has_the_color_that_the_published_network_has(theirs, added):
    card, ours = load_network(added.folder)
    grey = torch.rand(2, 1, 64, 96)
    with torch.inference_mode():
        features = ours.encode(grey)
        expected = theirs(grey.expand(-1, 3, -1, -1))
    assert (card.name, card.output, card.window) == ("ddcolor", "ab", 1)
    assert card.working_size == PUBLISHED_SIZE
    assert expected.std() > 0.1
    colour = ours.decode(features, features, features) * AB_RANGE
    # Weights are kept in half precision: eleven bits, through some twenty layers.
    assert (colour - expected).abs().max() < 0.02 * expected.std()


def test_its_features_are_what_its_encoder_saw_finest_first(added):
    _, ours = load_network(added.folder)
    with torch.inference_mode():
        features = ours.encode(torch.rand(1, 1, 64, 96))
    assert [feature.shape[-2:] for feature in features] == [
        (64, 96), (16, 24), (8, 12), (4, 6), (2, 3)
    ]  # fmt: skip


@pytest.mark.parametrize("norm", ["Weight", "Batch"])
def test_every_published_norm_becomes_plain_weights(norm):
    theirs = published(last_norm=norm)
    ours = read_ddcolor(theirs.state_dict())
    assert ours is not None
    assert not [name for name in ours.state_dict() if name.endswith(("_orig", "_g", "_v", "_u"))]
    grey = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = theirs(grey.expand(-1, 3, -1, -1))
        assert torch.allclose(ours.encode(grey)[0] * AB_RANGE, expected, atol=1e-3)


def test_colors_beyond_srgb_are_cut_off(theirs):
    ours = read_ddcolor(theirs.state_dict())
    assert ours is not None
    with torch.inference_mode():
        refine: Any = ours.network.refine_net
        refine[0][0].bias[:2] = torch.tensor([500.0, -500.0])
        ab = ours.encode(torch.rand(1, 1, 64, 64))[0]
    assert torch.equal(ab, torch.tensor([1.0, -1.0])[None, :, None, None].expand_as(ab))


def test_a_film_gets_its_color_and_keeps_its_luma_times_and_sound(draw, added, tmp_path):
    film = draw("film.mkv", frames=5, width=96, height=64, audio=1, codec="ffv1")
    options = RenderOptions(model="ddcolor", codec="ffv1", size=64, device="cpu")
    render(film, tmp_path / "out.mkv", options)
    for before, after in zip(luma_of(film), luma_of(tmp_path / "out.mkv"), strict=True):
        np.testing.assert_array_equal(before, after)
    assert times_of(tmp_path / "out.mkv") == times_of(film)
    assert audio_packets_of(tmp_path / "out.mkv") == audio_packets_of(film)
    with av.open(str(tmp_path / "out.mkv")) as container:
        blue, red = next(container.decode(video=0)).to_ndarray(format="yuv444p")[1:].astype(int)
    # Where a frame is neither black nor white there is room for purple.
    assert np.median(blue) > 140
    assert np.median(red) > 140


def test_published_safetensors_are_taken_too(theirs, tmp_path):
    state = {name: value.contiguous() for name, value in theirs.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "DD Color.safetensors")
    done = add_model(str(tmp_path / "DD Color.safetensors"), name="other")
    assert (done.card.family, done.card.name) == ("ddcolor", "other")


@pytest.mark.parametrize("weights", ["another network's", "of three channels", "a program's"])
def test_what_is_not_ddcolors_is_refused(weights, theirs, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    path = tmp_path / "weights.pth"
    if weights == "another network's":
        torch.save({"layer.weight": torch.zeros(3)}, path)
    elif weights == "of three channels":
        last = {k: v[[0, 1, 1]] for k, v in theirs.state_dict().items() if k in LAST_LAYER}
        torch.save(theirs.state_dict() | last, path)
    else:
        path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=COMPLAINTS[weights]):
        add_model(str(path))
    assert not (tmp_path / "owned").exists()
    assert not (added_models() / "weights").exists()


@pytest.fixture
def _spandrel_anew(monkeypatch):
    """Let spandrel be imported again, and forget that import afterwards."""
    for name in [name for name in sys.modules if name.startswith("spandrel")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("_spandrel_anew")
@pytest.mark.parametrize("package", ["spandrel_extra_arches", "spandrel", "einops"])
def test_without_the_extra_it_is_said_what_to_install(package, added, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"{package} is not installed; .*vidcolor\[spandrel\]"):
        load_network(added.folder)


@pytest.mark.usefixtures("_spandrel_anew")
@pytest.mark.parametrize(
    ("content", "does_import"),
    [("raise RuntimeError('torchvision::nms does not exist')", False), ("__path__ = []", True)],
)
def test_torchvision_is_used_where_it_imports_and_done_without_where_not(
    content, does_import, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "torchvision.py").write_text(content)
    if does_import:
        functional = ModuleType("functional")
        vars(functional).update(dict.fromkeys(("InterpolationMode", "normalize", "rotate")))
        monkeypatch.setitem(sys.modules, "torchvision.transforms", ModuleType("transforms"))
        monkeypatch.setitem(sys.modules, "torchvision.transforms.functional", functional)
    assert import_spandrel().EXTRA_REGISTRY["DDColor"]
    own = sys.modules.pop("torchvision", None)
    assert (own is not None and own.__file__ == str(tmp_path / "torchvision.py")) == does_import


def test_after_its_stand_in_torchvision_is_what_it_was(monkeypatch):
    own, part = ModuleType("torchvision"), ModuleType("torchvision.ops")
    monkeypatch.setitem(sys.modules, "torchvision", own)
    monkeypatch.setitem(sys.modules, "torchvision.ops", part)
    with torchvision_stand_in({"torchvision": {}, "torchvision.models": {"answer": 42}}):
        assert importlib.import_module("torchvision.models").answer == 42
        assert "torchvision.ops" not in sys.modules
    assert sys.modules["torchvision"] is own
    assert sys.modules["torchvision.ops"] is part
    assert "torchvision.models" not in sys.modules
