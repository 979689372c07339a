"""ONNX graphs of networks: they compute what torch does, at any size, a frame encoded once."""

import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from tests.models import TINY, Noisy, NoisyConfig, small_card
from vidcolor.errors import ModelError, OutputError
from vidcolor.inference.onnx_export import write_embedding, write_graphs
from vidcolor.network.card import read_card
from vidcolor.network.weights import load_network, save_model
from vidcolor.options.train import FamilyName
from vidcolor.zoo.export import export_graphs

AT_ONE_SIZE: FamilyName = "fully-connected"
"""The family that pools any frame to one grid, which ONNX says only of a frame of one size."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    save_model(TINY, TINY.build_network(), folder)
    return folder


@pytest.fixture(scope="module")
def graphs(model) -> Path:
    folder, error = export_graphs(str(model), model.parent / "graphs")
    assert error < 1e-5
    return folder


def session(graphs: Path, name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graphs / name, providers=["CPUExecutionProvider"])


def inputs_of(graphs: Path, name: str) -> set[str]:
    return {value.name for value in session(graphs, name).get_inputs()}


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (3, 32, 160), (2, 192, 96)])
def test_the_graphs_color_a_window_as_torch_does(model, graphs, batch, height, width):
    _, network = load_network(model)
    encode, decode = session(graphs, "encode.onnx"), session(graphs, "decode.onnx")
    window = torch.rand(3, batch, 1, height, width)
    features = {
        f"{name}_{level}": feature
        for name, frame in zip(("previous", "current", "next"), window, strict=True)
        for level, feature in enumerate(encode.run(None, {"frame": frame.numpy()}))
    }
    wanted = {value.name for value in decode.get_inputs()}
    (theirs,) = decode.run(["color"], {name: features[name] for name in wanted})
    with torch.no_grad():
        ours = network.decode(*(network.encode(frame) for frame in window))
    assert theirs.shape == (batch, 2, height, width)
    torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=1e-5, rtol=1e-4)


def test_of_its_neighbours_a_window_is_asked_for_no_more_than_the_network_looks_at(graphs):
    assert inputs_of(graphs, "encode.onnx") == {"frame"}
    current = {f"current_{level}" for level in range(5)}
    assert inputs_of(graphs, "decode.onnx") == current | {"previous_4", "next_4"}


def test_the_card_lies_beside_the_graphs(model, graphs):
    assert read_card(graphs) == read_card(model)
    assert {path.name for path in graphs.iterdir()} == {"card.toml", "encode.onnx", "decode.onnx"}


def test_graphs_replace_nothing(model, graphs):
    with pytest.raises(OutputError, match=r"already exists.*--out"):
        export_graphs(str(model), graphs)


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_without_the_extra_an_export_says_what_to_install(package, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"{package} is not installed; pip install .*\[onnx\]"):
        export_graphs(str(model), tmp_path / "graphs")
    assert not list(tmp_path.iterdir())


class Forgetful(Noisy):
    """A network whose color depends on more than what it is shown: a graph cannot tell."""

    calls = 0

    def decode(self, previous, current, next_):
        self.calls += 1
        return super().decode(previous, current, next_) + self.calls


def test_graphs_that_compute_something_else_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"color is .* from the network's"):
        write_graphs(Forgetful(NoisyConfig()).eval(), tmp_path)


def test_a_network_that_onnx_cannot_express_leaves_nothing(tmp_path):
    card = small_card(AT_ONE_SIZE)
    save_model(card, card.build_network(), tmp_path / "model")
    with pytest.raises(ModelError, match="ONNX cannot express this network at every size"):
        export_graphs(str(tmp_path / "model"), tmp_path / "graphs")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow  # seconds: the newer exporter
def test_what_looks_at_whole_frames_becomes_a_graph_too(tmp_path):
    write_embedding(small_card("fusion-unet").build_network().eval(), tmp_path)
    assert inputs_of(tmp_path, "embed.onnx") == {"grey"}


def test_of_a_network_that_looks_at_no_whole_frames_there_is_no_such_graph(tmp_path):
    write_embedding(TINY.build_network().eval(), tmp_path)
    assert not list(tmp_path.iterdir())
