"""A network as ONNX graphs, for engines other than torch.

`encode.onnx` makes features of frames, `decode.onnx` color of a window's features; where whole
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
from unittest.mock import patch

import torch
from torch import Tensor, nn

from vidcolor.errors import ModelError
from vidcolor.network.generator import Generator

WINDOW = ("previous", "current", "next")
PARITY = 1e-3
"""Largest error beside torch, of the largest value: an eighth of a code of 255. Kernels that add
in another order are a thousand times nearer."""
OPSET = 18
"""Version of ONNX's operations: torch 2.5 knows it, and ONNX Runtime can join its padding to
convolutions."""
COARSEST = 32
"""Pixels that one place of the coarsest features stands for, in any family: frames to try graphs
with have several, for an axis of length 1 would be taken for one that never has another."""


def write_graphs(network: Generator, folder: Path) -> float:
    """Write the graphs of a network's two halves into the folder, and try them.

    - encode: `frame` (B, c, h, w), as `Generator.frame` returns it, and `embedding` where there is
      one, to `features_0`, `features_1`, ..., finest first.
    - decode: `previous_0`, ..., `current_0`, ..., `next_0`, ..., those that it looks at, to
      `color`, as `Generator.decode` returns it.

    Returns:
        How far ONNX Runtime's color is from torch's at most, of the largest value.

    Raises:
        ModelError: ONNX is not installed, or cannot express the network, or computes another.
    """
    onnxruntime = import_package("onnxruntime")
    import_package("onnx")
    with torch.no_grad():
        _write(network, folder)
        error = max(_error(network, folder, onnxruntime, size) for size in ((1, 3, 2), (2, 2, 5)))
    if error > PARITY:
        raise ModelError(
            f"{folder}: the graphs' color is {error:.2g} from the network's; "
            "try another version of torch"
        )
    return error


def write_embedding(network: Generator, folder: Path) -> None:
    """Write `embed.onnx`, `grey` (B, 1, h, w) in [0, 1] to `embedding` (B, C), if there is one.

    Raises:
        ModelError: ONNX is not installed, or cannot express it.
    """
    grey_B1hw, _ = _frames(network, (2, 3, 5), seed=0)
    with torch.no_grad():
        if network.embed(grey_B1hw) is None:
            return
        import_package("onnxscript")
        path, axes = folder / "embed.onnx", dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
        with _quiet(), _saying_what_is_inexpressible(path):
            # Only the newer exporter knows how classifiers shrink pictures; it takes seconds.
            torch.onnx.export(
                _Part(network, network.embed),
                (grey_B1hw,),
                path,
                input_names=["grey"],
                output_names=["embedding"],
                dynamic_shapes=((axes,),),
                dynamo=True,
                external_data=False,
                verbose=False,
            )


def import_package(package: str) -> Any:
    """Return a package of the extra `onnx`.

    Raises:
        ModelError: it is not installed.
    """
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
        inputs["embedding"] = embedding_BC
    features = network.encode(frame_Bchw, embedding_BC)
    scales = [f"features_{n}" for n in range(len(features))]
    _export(network, network.encode, inputs, scales, folder / "encode.onnx")

    def decode(*scales: Tensor) -> Tensor:
        count = len(features)
        return network.decode(*(list(scales[n * count :][:count]) for n in range(3)))

    inputs = {f"{frame}_{n}": x.clone() for frame in WINDOW for n, x in enumerate(features)}
    _export(network, decode, inputs, ["color"], folder / "decode.onnx")


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
    """One of a network's functions, as a module: what the exporters take."""

    def __init__(self, network: Generator, function: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.function = network, function
        self.train(network.training)  # the mode in which the exporter leaves the network

    def forward(self, *tensors: Tensor) -> Any:
        return self.function(*tensors)


def _export(
    network: Generator,
    function: Callable[..., Any],
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    path: Path,
) -> None:
    """Write a graph of what the function does with these inputs, which is as good for others.

    torch is told to follow the calls: its newer exporter, which reads the code, needs twenty
    times as long for the same graph. That nothing of these inputs' sizes is kept is tried later.
    """
    axes = {
        name: {axis: f"{name}_{axis}" for axis in range(tensor.ndim) if axis != 1}
        for name, tensor in inputs.items()
    }
    with _quiet(), _saying_what_is_inexpressible(path):
        torch.onnx.export(
            _Part(network, function),
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes | {name: {0: "batch"} for name in outputs},
            opset_version=OPSET,
            dynamo=False,
            verbose=False,
        )


@contextmanager
def _saying_what_is_inexpressible(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path.name}: ONNX cannot express this network at every size ({reason}); "
            "use --engine torch"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters say, which is for their developers, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # torch 2.13 always switches on a log that prints graphs; this is the switch.
        with warnings.catch_warnings(), patch.object(torch._C, "_jit_set_onnx_log_enabled"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _error(network: Generator, folder: Path, onnxruntime: Any, size: tuple[int, int, int]) -> float:
    """Return how far ONNX Runtime's color of a window is from torch's, of the largest value."""
    ours, theirs = [], {}
    for seed, frame in enumerate(WINDOW):
        grey_B1hw, frame_Bchw = _frames(network, size, seed)
        embedding_BC = network.embed(grey_B1hw)
        ours.append(network.encode(frame_Bchw, embedding_BC))
        inputs = {"frame": frame_Bchw.numpy()}
        if (folder / "embed.onnx").exists():
            (inputs["embedding"],) = _run(
                onnxruntime, folder / "embed.onnx", {"grey": grey_B1hw.numpy()}
            )
        elif embedding_BC is not None:
            inputs["embedding"] = embedding_BC.numpy()
        for n, scale in enumerate(_run(onnxruntime, folder / "encode.onnx", inputs)):
            theirs[f"{frame}_{n}"] = scale
    (color_Bchw,) = _run(onnxruntime, folder / "decode.onnx", theirs)
    expected_Bchw = network.decode(*ours)
    difference = (expected_Bchw - torch.from_numpy(color_Bchw)).abs().max()
    return float(difference / expected_Bchw.abs().max().clamp(min=1))


def _run(onnxruntime: Any, path: Path, values: dict[str, Any]) -> list[Any]:
    """Return the graph's outputs; it gets only the values that it has inputs for."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    with _saying_what_is_inexpressible(path):
        outputs: list[Any] = session.run(None, {k: v for k, v in values.items() if k in wanted})
    return outputs
