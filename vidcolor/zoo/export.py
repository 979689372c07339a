"""Export models: as one file for another vidcolor, or as ONNX graphs for another engine."""

import shutil
from pathlib import Path

from vidcolor.errors import OutputError
from vidcolor.files import atomic_folder
from vidcolor.inference.onnx_export import write_embedding, write_graphs
from vidcolor.network.card import CARD
from vidcolor.network.library import find_model
from vidcolor.network.weights import load_network, pack_model


def export_file(name: str, out: Path | None = None) -> Path:
    """Write a model as one file, which `add.add_model` takes, and return its path.

    Args:
        name: of the model, or its folder.
        out: the file; default: the model's name and .safetensors.

    Raises:
        ModelError: the model does not exist, or it is damaged.
        OutputError: the file already exists, or it cannot be written.
    """
    folder = find_model(name)
    out = out or Path(f"{folder.absolute().name}.safetensors")
    _require_free(out)
    try:
        pack_model(folder, out)
    except OSError as error:
        raise _not_written(out, error) from error
    return out


def export_graphs(name: str, out: Path | None = None) -> tuple[Path, float]:
    """Write a model's card and its ONNX graphs to a folder, which appears when it is complete.

    Args:
        name: of the model, or its folder.
        out: the folder; default: the model's name and -onnx.

    Returns:
        The folder, and the error of the graphs' color (`onnx_export.write_graphs`).

    Raises:
        ModelError: the model does not exist, it is damaged, or ONNX cannot express it or is not
            installed.
        OutputError: the folder already exists, or it cannot be written.
    """
    folder = find_model(name)
    out = out or Path(f"{folder.absolute().name}-onnx")
    _require_free(out)
    _, network = load_network(folder)
    try:
        with atomic_folder(out) as draft:
            write_embedding(network, draft)
            error = write_graphs(network, draft)
            shutil.copyfile(folder / CARD, draft / CARD)
    except OSError as problem:
        raise _not_written(out, problem) from problem
    return out, error


def _require_free(out: Path) -> None:
    if out.exists():
        raise OutputError(f"{out}: already exists; remove it, or choose another with --out")


def _not_written(out: Path, error: OSError) -> OutputError:
    return OutputError(f"{out}: {error.strerror}; choose another place with --out")
