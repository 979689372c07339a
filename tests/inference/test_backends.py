"""Engines: torch folded, in half precision, and ONNX Runtime give the colors of plain torch."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.inference.test_onnx_export import AT_ONE_SIZE
from tests.models import TINY, Loud, NoisyConfig, small_card
from vidcolor.errors import ModelError, OptionsError
from vidcolor.inference import onnx_cache
from vidcolor.inference.backends import FEWEST_FRAMES, AutocastBackend, choose_engine
from vidcolor.inference.colorizer import Colorizer, HalfPrecisionError
from vidcolor.inference.onnx_cache import graphs_of
from vidcolor.network.blocks import remove_spectral_norms
from vidcolor.network.weights import load_network, save_model
from vidcolor.options.render import ColorOptions, RenderOptions
from vidcolor.pipeline.colorize import with_oom_fallback
from vidcolor.pipeline.resolved_job import resolve_engine
from vidcolor.pipeline.threads import ThreadedStages
from vidcolor.rendering.render import render
from vidcolor.shots.segments import PlacedFrame

ROOT = Path(__file__).parents[2]

TOLERANCE = 0.05 / 255
"""Of chroma, between engines that add the same products in another order: a twentieth of a code."""

HALF_TOLERANCE = 0.5 / 255
"""Of chroma, in half precision: half a code."""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Return a folder of its own for what is cached."""
    monkeypatch.setenv("VIDCOLOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home/cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """Return a model whose convolutions have batch norms with something in them."""
    folder = tmp_path_factory.mktemp("model")
    save_model(TINY, _trained(TINY.build_network()), folder)
    return str(folder)


def _trained(network):
    """Give batch norms statistics as training does: fresh ones change nothing."""
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    remove_spectral_norms(network.eval())
    return network


def _frames(count: int = 7, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.random((48, 80), dtype=np.float32) for _ in range(count)]


def _colored(colorizer: Colorizer, frames=None, **changes) -> np.ndarray:
    places = [PlacedFrame(frame, n == 0, n // 9) for n, frame in enumerate(frames or _frames())]
    colored = colorizer.colorize(places, luma=lambda frame: frame, matrix="bt709", **changes)
    return np.stack([each.chroma_2hw for each in colored])


def test_no_norm_of_the_default_family_is_left_when_it_renders(tmp_path):
    card = small_card("efficient-unet")
    save_model(card, card.build_network(), tmp_path)
    network = Colorizer.load(str(tmp_path), "cpu").network
    assert not [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    (last,) = network.encode(torch.rand(1, 1, 64, 64))[-1:]
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_instance_norms_are_spared_the_layout_that_slows_them_down(tmp_path):
    card = replace(TINY, network={"base_channels": 8, "norm": "instance"})
    save_model(card, card.build_network(), tmp_path)
    network = Colorizer.load(str(tmp_path), "cpu").network
    assert all(level.is_contiguous() for level in network.encode(torch.rand(1, 1, 64, 64)))


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_engine_gives_the_colors_of_the_plain_network(model, engine, batch):
    card, network = load_network(Path(model))
    plain = _colored(Colorizer(card, network, torch.device("cpu")))
    assert np.ptp(plain) > 10 / 255
    found = _colored(Colorizer.load(model, "cpu", engine=engine, batch=batch))
    np.testing.assert_allclose(found, plain, atol=TOLERANCE)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_colors_do_not_depend_on_the_number_of_threads(model, engine):
    frames = _frames(20)
    one = _colored(Colorizer.load(model, "cpu", engine=engine), frames)
    with ThreadedStages(threads=3) as stages:
        several = _colored(Colorizer.load(model, "cpu", engine=engine), frames, each=stages.each)
        assert {"encode", "decode"} <= stages.times.keys()
    np.testing.assert_array_equal(several, one)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_references_are_seen_as_the_plain_network_sees_frames(model, engine):
    luma_hw = np.random.default_rng(1).random((64, 96), dtype=np.float32)
    _, plain = load_network(Path(model))
    with torch.no_grad():
        expected = plain.encode(torch.from_numpy(luma_hw)[None, None])
    found = Colorizer.load(model, "cpu", engine=engine, batch=2).features_of(luma_hw)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_half_precision_is_a_code_away_at_most(model):
    colorizer = Colorizer.load(model, "cpu")
    whole = _colored(colorizer)
    colorizer.backend = AutocastBackend(colorizer.network)
    half = _colored(colorizer)
    assert np.abs(half - whole).max() > 0
    np.testing.assert_allclose(half, whole, atol=HALF_TOLERANCE)


def test_what_overflows_in_half_precision_is_computed_without(caplog):
    colorizer = Colorizer(TINY, Loud(NoisyConfig()), torch.device("cpu"))
    whole = _colored(colorizer)
    colorizer.backend = AutocastBackend(colorizer.network)
    with pytest.raises(HalfPrecisionError):
        _colored(colorizer)
    found = with_oom_fallback(lambda: _colored(colorizer), colorizer, ColorOptions())
    np.testing.assert_array_equal(found, whole)
    assert "overflowed in float16; continuing in float32" in caplog.text


def test_half_precision_is_of_gpus_and_does_not_come_back_after_an_overflow(monkeypatch):
    network = Loud(NoisyConfig())
    monkeypatch.setattr(network, "to", lambda device: network)  # there need not be a GPU
    assert not isinstance(Colorizer(TINY, network, torch.device("cpu")).backend, AutocastBackend)
    colorizer = Colorizer(TINY, network, torch.device("cuda"))
    kinds = [type(colorizer.backend)]
    colorizer.disable_half()
    kinds.append(type(colorizer.backend))
    colorizer.reduce_memory(min_size=16)
    kinds.append(type(colorizer.backend))
    assert colorizer.device.type == "cuda"
    assert kinds == [AutocastBackend, Loud, Loud]


def test_onnx_is_taken_on_a_cpu_and_torch_on_a_gpu(model, cache, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    assert choose_engine("cpu", Path(model)) == "onnx"
    assert "engine: onnx" in caplog.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_engine("auto", Path(model)) == "torch"
    assert choose_engine("cuda", Path(model)) == "torch"
    assert choose_engine("cpu", Path(model)) == "onnx"


def test_graphs_are_not_made_for_a_short_film_and_so_not_used(model, cache):
    assert choose_engine("cpu", Path(model), FEWEST_FRAMES - 1) == "torch"
    assert not cache.exists()
    assert choose_engine("cpu", Path(model), FEWEST_FRAMES) == "onnx"
    assert choose_engine("cpu", Path(model), FEWEST_FRAMES - 1) == "torch"


def test_a_render_takes_onnx_for_a_film_that_is_long_enough(draw, model, caplog):
    caplog.set_level(logging.INFO)
    for frames, engine in ((FEWEST_FRAMES, "onnx"), (FEWEST_FRAMES - 1, "torch")):
        caplog.clear()
        film = draw(f"{engine}.mp4", frames=frames)
        render(film, film.with_name("out.mp4"), RenderOptions(model=model, overwrite=True))
        assert f"engine: {engine}" in caplog.text


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_torch_is_taken_where_onnx_is_not_installed(package, model, cache, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(sys.modules, package, None)
    assert choose_engine("cpu", Path(model)) == "torch"
    assert f"engine: torch (ONNX: {package} is not installed" in caplog.text
    with pytest.raises(ModelError, match=r"is not installed; pip install .*\[onnx\]"):
        Colorizer.load(model, "cpu", engine="onnx")


def test_torch_is_taken_for_a_family_that_onnx_cannot_express(tmp_path, cache, caplog, capfd):
    caplog.set_level(logging.INFO)
    card = small_card(AT_ONE_SIZE)
    save_model(card, card.build_network(), tmp_path / "model")
    assert resolve_engine(ColorOptions(model=str(tmp_path / "model"))).engine == "torch"
    assert "engine: torch (encode.onnx: ONNX cannot express this network" in caplog.text
    printed = capfd.readouterr()  # torch would print the network
    assert not printed.out
    assert all(line.startswith("vidcolor: ") for line in printed.err.splitlines())
    assert [path.name for path in (cache / "graphs").iterdir()] == ["lock"]


def test_torch_is_taken_where_graphs_cannot_be_kept(model, cache, caplog):
    caplog.set_level(logging.INFO)
    cache.parent.write_text("a file")
    assert choose_engine("cpu", Path(model)) == "torch"
    assert "VIDCOLOR_HOME" in caplog.text


def test_onnx_on_cuda_is_refused():
    with pytest.raises(OptionsError, match="--engine onnx --device cuda"):
        ColorOptions(engine="onnx", device="cuda")


def test_graphs_are_made_once(model, cache, monkeypatch):
    graphs = graphs_of(Path(model))
    monkeypatch.setattr(onnx_cache, "write_graphs", None)
    assert graphs_of(Path(model)) == graphs
    assert {path.name for path in graphs.iterdir()} == {"encode.onnx", "decode.onnx"}


def test_another_model_has_other_graphs_and_so_has_another_torch(model, cache, monkeypatch):
    graphs = graphs_of(Path(model))
    torch.manual_seed(1)
    save_model(TINY, TINY.build_network(), cache.parent / "other")
    assert graphs_of(cache.parent / "other") != graphs
    monkeypatch.setattr(torch, "__version__", f"{torch.__version__}.another")
    assert graphs_of(Path(model)) != graphs


def test_what_a_killed_process_left_of_graphs_is_made_again(model, cache):
    graphs = graphs_of(Path(model))
    graphs.rename(graphs.with_suffix(".part"))
    (graphs.with_suffix(".part") / "decode.onnx").unlink()
    assert (graphs_of(Path(model)) / "decode.onnx").exists()
    assert not graphs.with_suffix(".part").exists()


def test_damaged_graphs_are_told_by_their_name(model, cache):
    (graphs_of(Path(model)) / "decode.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"decode.onnx: ONNX Runtime cannot read it.*remove its"):
        Colorizer.load(model, "cpu", engine="onnx")


ONE_OF_SEVERAL = """
import sys
from pathlib import Path
from vidcolor.inference import onnx_cache
write = onnx_cache.write_graphs
def noted(network, folder):
    print("made")
    return write(network, folder)
onnx_cache.write_graphs = noted
onnx_cache.graphs_of(Path(sys.argv[1]))
"""


def test_of_several_processes_one_makes_the_graphs(model, cache):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", ONE_OF_SEVERAL, model]
    both = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate()[0] for process in both) == ["", "made\n"]
    assert [process.returncode for process in both] == [0, 0]


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import torch
from vidcolor.inference.backends import OnnxBackend
backend = OnnxBackend(Path(sys.argv[1]))
frame_B1hw = torch.zeros(8, 1, 1024, 1024)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26,) * 2)
try:
    backend.encode(frame_B1hw)
except MemoryError:
    print("short of memory")
"""


def test_too_little_memory_is_told_as_python_tells_it(model):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    graphs = graphs_of(Path(model))
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(graphs)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "short of memory\n", done.stderr
