"""What computes the two halves of a network: torch on a CPU, on CUDA, or ONNX Runtime on a CPU."""

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
    """A network whose products are of half precision, which GPUs have units for, and sums whole.

    A value above 65504 in it becomes infinite: nothing that is trained in single precision is safe
    from that, so the result is to be looked at.
    """

    def __init__(self, network: Generator) -> None:
        self.network = network

    def encode(self, frame_Bchw: Tensor, embedding_BC: Tensor | None = None) -> Features:
        """Return features, mostly in half precision."""
        with torch.autocast(frame_Bchw.device.type, torch.float16):
            return self.network.encode(frame_Bchw, embedding_BC)

    def decode(self, previous: Features, current: Features, next_: Features) -> Tensor:
        """Return colour, perhaps in half precision."""
        with torch.autocast(current[0].device.type, torch.float16):
            return self.network.decode(previous, current, next_)


class OnnxBackend:
    """A network's graphs in ONNX Runtime, on the CPU; several threads may call it at once."""

    def __init__(self, graphs: Path) -> None:
        """Load the graphs.

        Args:
            graphs: a folder with what `graphs.write_graphs` wrote.

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
    # Threads of our own work side by side, a frame each; what they free is for others.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"{path}: ONNX Runtime cannot read it: {error}; remove its folder, it is made again"
        ) from error


def _run(session: Any, values: dict[str, Tensor]) -> list[Tensor]:
    """Return what a graph makes of the values, of which it takes those that it looks at."""
    wanted = {value.name for value in session.get_inputs()}
    try:
        found = session.run(None, {k: v.numpy() for k, v in values.items() if k in wanted})
    except Exception as error:
        if "bad_alloc" in str(error):  # all that is left of C++'s exception
            raise MemoryError(str(error)) from error
        raise
    return [torch.from_numpy(array) for array in found]


FEWEST_FRAMES = 150
"""For ONNX Runtime: making graphs and loading it take 1.8 s of a CPU, it saves 12 ms a frame."""


def choose_engine(device: Device, model: Path, frame_count: int | None = None) -> Engine:
    """Return torch or onnx, and log what was chosen and why.

    The choice for a film is the same whether graphs are there already or not.

    Args:
        device: where the network shall run.
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
