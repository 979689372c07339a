"""A network as ONNX graphs, for engines other than torch.

`encode.onnx` makes features of frames, `decode.onnx` colour of a window's features; where whole
frames are looked at first, `embed.onnx` does that. Each is a function of tensors alone, for any
batch, and any height and width that are multiples of the network's.
"""

import importlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidcolor.errors import ModelError
from vidcolor.network.generator import Generator

WINDOW = ("previous", "current", "next")
PARITY = 1e-3
"""Largest error beside torch, of the largest value: an eighth of a code of 255. Kernels that add
in another order are a thousand times nearer."""
COARSEST = 32
"""Pixels that one place of the coarsest features stands for, in any family: frames to try graphs
with have several, for an axis of length 1 would be taken for one that never has another."""


def write_graphs(network: Generator, folder: Path) -> float:
    """Write a network's graphs into the folder, and try them.

    - embed: `grey` (B, 1, h, w) in [0, 1] to `embedding` (B, C).
    - encode: `frame` (B, c, h, w), as `Generator.frame` returns it, and `embedding` where there is
      one, to `features_0`, `features_1`, ..., finest first.
    - decode: `previous_0`, ..., `current_0`, ..., `next_0`, ..., those that it looks at, to
      `colour`, as `Generator.decode` returns it.

    Returns:
        How far ONNX Runtime's colour is from torch's at most, of the largest value.

    Raises:
        ModelError: ONNX is not installed, or cannot express the network, or computes another.
    """
    onnxruntime = _require("onnxruntime")
    _require("onnxscript")
    with torch.no_grad():
        _write(network, folder)
        error = max(_error(network, folder, onnxruntime, size) for size in ((1, 3, 2), (2, 2, 5)))
    if error > PARITY:
        raise ModelError(
            f"{folder}: the graphs' colour is {error:.2g} from the network's; "
            "another version of onnxscript may translate it rightly"
        )
    return error


def _require(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ModelError(
            f"ONNX: {error.name} is not installed; pip install 'vidcolor[onnx]'"
        ) from error


def _write(network: Generator, folder: Path) -> None:
    grey_B1hw, frame_Bchw = _frames(network, (2, 3, 5), seed=0)
    embedding_BC = network.embed(grey_B1hw)
    inputs = {"frame": frame_Bchw}
    if embedding_BC is not None:
        _export(network, network.embed, {"grey": grey_B1hw}, ["embedding"], folder / "embed.onnx")
        inputs["embedding"] = embedding_BC
    features = network.encode(frame_Bchw, embedding_BC)
    scales = [f"features_{n}" for n in range(len(features))]
    _export(network, network.encode, inputs, scales, folder / "encode.onnx")

    def decode(*scales: Tensor) -> Tensor:
        count = len(features)
        return network.decode(*(list(scales[n * count :][:count]) for n in range(3)))

    inputs = {f"{frame}_{n}": x.clone() for frame in WINDOW for n, x in enumerate(features)}
    _export(network, decode, inputs, ["colour"], folder / "decode.onnx")


def _frames(network: Generator, size: tuple[int, int, int], seed: int) -> tuple[Tensor, Tensor]:
    """Return greys (B, 1, h, w) and frames (B, c, h, w), all noise.

    Args:
        network: takes the frames.
        size: the batch, then height and width in steps of what the network divides them by.
        seed: of the noise.
    """
    step = network.multiple * math.ceil(COARSEST / network.multiple)
    random = torch.Generator().manual_seed(seed)
    shape = (size[1] * step, size[2] * step)
    grey_B1hw = torch.rand(size[0], 1, *shape, generator=random)
    mask_B1hw = torch.rand(size[0], 1, *shape, generator=random).round()
    noise_Bnhw = torch.rand(size[0], network.noise_channels, *shape, generator=random) * 2 - 1
    return grey_B1hw, network.frame(grey_B1hw, mask_B1hw, noise_Bnhw)


class _Part(nn.Module):
    """One of a network's functions, as a module: what the exporter takes."""

    def __init__(self, network: Generator, function: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, *tensors: Tensor) -> Any:
        return self.function(*tensors)


def _export(
    network: Generator,
    function: Callable[..., Any],
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    path: Path,
) -> None:
    axes = tuple(
        {axis: torch.export.Dim.AUTO for axis in range(tensor.ndim) if axis != 1}
        for tensor in inputs.values()
    )
    try:
        with _quiet():
            program = torch.onnx.export(
                _Part(network, function),
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=(axes,),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise _inexpressible(path, error) from error
    assert program is not None  # it is where no file is named
    unused = [value for value in program.model.graph.inputs if not value.uses()]
    for value in unused:
        program.model.graph.inputs.remove(value)
    program.save(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says, which is for its developers, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _error(network: Generator, folder: Path, onnxruntime: Any, size: tuple[int, int, int]) -> float:
    """Return how far ONNX Runtime's colour of a window is from torch's, of the largest value."""
    ours, theirs = [], {}
    for seed, frame in enumerate(WINDOW):
        grey_B1hw, frame_Bchw = _frames(network, size, seed)
        ours.append(network.encode(frame_Bchw, network.embed(grey_B1hw)))
        inputs = {"frame": frame_Bchw.numpy()}
        if (folder / "embed.onnx").exists():
            (embedding,) = _run(onnxruntime, folder / "embed.onnx", {"grey": grey_B1hw.numpy()})
            inputs["embedding"] = embedding
        for n, scale in enumerate(_run(onnxruntime, folder / "encode.onnx", inputs)):
            theirs[f"{frame}_{n}"] = scale
    (colour_Bchw,) = _run(onnxruntime, folder / "decode.onnx", theirs)
    expected_Bchw = network.decode(*ours)
    difference = (expected_Bchw - torch.from_numpy(colour_Bchw)).abs().max()
    return float(difference / expected_Bchw.abs().max().clamp(min=1))


def _run(onnxruntime: Any, path: Path, values: dict[str, Any]) -> list[Any]:
    """Return what a graph makes of values, of which it takes those that it knows the names of."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    try:
        outputs: list[Any] = session.run(None, {k: v for k, v in values.items() if k in wanted})
    except Exception as error:
        raise _inexpressible(path, error) from error
    return outputs


def _inexpressible(path: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:200]
    return ModelError(
        f"{path.name}: ONNX cannot express this network at every size ({reason}); render with torch"
    )
