"""A model's ONNX graphs, made once for each user and machine."""

import hashlib
from pathlib import Path

import torch

from vidcolor.errors import ModelError
from vidcolor.files import atomic_folder, cache, wait_for_lock
from vidcolor.inference.fold import fold_norms
from vidcolor.inference.onnx_export import import_package, write_graphs
from vidcolor.network.card import CARD, WEIGHTS
from vidcolor.network.weights import load_network


def graphs_of(model: Path) -> Path:
    """Return the folder of a model's graphs, which are made if they are not there.

    Several processes may ask at once: one makes them, the others wait.

    Raises:
        ModelError: ONNX is not installed, cannot express the network, or the folder cannot be
            written; or the model is damaged.
    """
    import_package("onnxruntime")
    graphs = cache() / "graphs" / _name(model)
    if graphs.is_dir():
        return graphs
    try:
        graphs.parent.mkdir(parents=True, exist_ok=True)
        with (graphs.parent / "lock").open("w") as lock:
            wait_for_lock(lock)
            if not graphs.is_dir():
                _make(model, graphs)
    except OSError as error:
        raise ModelError(
            f"{graphs.parent}: {error.strerror}; fix that, or set VIDCOLOR_HOME to another folder"
        ) from error
    return graphs


def _make(model: Path, graphs: Path) -> None:
    _, network = load_network(model)
    fold_norms(network)
    with atomic_folder(graphs) as draft:
        write_graphs(network, draft)


def _name(model: Path) -> str:
    """Return a SHA-256 of all that the graphs follow from: model, networks' code and torch."""
    whole = hashlib.sha256(torch.__version__.encode())
    code = Path(__file__).parents[1]
    sources = sorted([*code.glob("network/**/*.py"), *code.glob("inference/*.py")])
    for path in (model / CARD, model / WEIGHTS, *sources):
        if path.is_file():
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
