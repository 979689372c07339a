"""Backends that run the two halves of a network: torch on CPU or CUDA, or ONNX Runtime on CPU."""

import logging
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from vidcolor.errors import ModelError
from vidcolor.inference.onnx_cache import graphs_of
from vidcolor.inference.onnx_export import WINDOW, import_package
from vidcolor.network.generator import Features, Generator
from vidcolor.options.values import Device, Engine

log = logging.getLogger(__name__)


class Backend(Protocol):
    """Encodes frames, decodes windows: a `Generator` does, and so do those below."""

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return what `Generator.encode` does."""

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return what `Generator.decode` does."""


class AutocastBackend:
    """A network under torch's autocast: float16 where that is faster on a GPU.

    Values above 65504 become infinite, which can happen with any network trained in float32: check
    the result.
    """

    def __init__(self, network: Generator) -> None:
        self.network = network

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return features, mostly in float16."""
        with torch.autocast(frame_Bchw.device.type, torch.float16):
            return self.network.encode(frame_Bchw, embedding_BC)

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return color, possibly in float16."""
        with torch.autocast(current[0].device.type, torch.float16):
            return self.network.decode(previous, current, next_)


class OnnxBackend:
    """A network's graphs in ONNX Runtime, on the CPU; several threads may call it at once."""

    def __init__(self, graphs: Path) -> None:
        """Load the graphs.

        Args:
            graphs: a folder that `onnx_export.write_graphs` wrote.

        Raises:
            ModelError: ONNX Runtime is not installed, or cannot read them.
        """
        self._encode, self._decode = (_session(graphs / f"{n}.onnx") for n in ("encode", "decode"))

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return what `Generator.encode` does."""
        inputs = {"frame": frame_Bchw}
        if embedding_BC is not None:
            inputs["embedding"] = embedding_BC
        return _run(self._encode, inputs)

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return what `Generator.decode` does."""
        frames = zip(WINDOW, (previous, current, next_), strict=True)
        inputs = {f"{frame}_{n}": x for frame, scales in frames for n, x in enumerate(scales)}
        return _run(self._decode, inputs)[0]


def _session(path: Path) -> Any:
    onnxruntime = import_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    # Our own threads run in parallel, a frame each; the memory they free is for others.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # errors are raised
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"{path}: ONNX Runtime cannot read it: {error}; remove its folder and run again"
        ) from error


def _run(session: Any, values: dict[str, Tensor]) -> list[Tensor]:
    """Return the graph's outputs; it gets only the values that it has inputs for."""
    wanted = {value.name for value in session.get_inputs()}
    try:
        found = session.run(None, {k: v.numpy() for k, v in values.items() if k in wanted})
    except Exception as error:
        if "bad_alloc" in str(error):  # a C++ exception for lack of memory
            raise MemoryError(str(error)) from error
        raise
    return [torch.from_numpy(array) for array in found]


FEWEST_FRAMES = 150
"""For ONNX Runtime: exporting and loading take 1.8 s on a CPU, and it saves 12 ms a frame."""


def choose_engine(device: Device, model: Path, frame_count: int | None = None) -> Engine:
    """Return torch or onnx, and log what was chosen and why.

    The choice for a film is the same whether the graphs exist already or not.

    Args:
        device: where the network runs.
        model: its folder.
        frame_count: of the film; None: many.
    """
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        log.info("engine: torch (on CUDA)")
        return "torch"
    if frame_count is not None and frame_count < FEWEST_FRAMES:
        log.info("engine: torch (for fewer than %d frames)", FEWEST_FRAMES)
        return "torch"
    try:
        graphs_of(model)
    except ModelError as error:
        log.info("engine: torch (%s)", error)
        return "torch"
    log.info("engine: onnx (faster than torch on a CPU)")
    return "onnx"
