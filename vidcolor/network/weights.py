"""Models on disk: validated when loaded, saved atomically."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vidcolor.errors import ModelError
from vidcolor.files import atomic_write
from vidcolor.network.architectures.backbones import read_weights
from vidcolor.network.blocks import load_plain_state, plain_state, remove_spectral_norms
from vidcolor.network.card import WEIGHTS as WEIGHTS
from vidcolor.network.card import (
    Card,
    card_from_text,
    read_card,
    text_from_card,
    write_card,
)
from vidcolor.network.generator import Generator

CARD_KEY = "vidcolor.card"
"""Where the header of a model's one file has the card."""


def load_network(folder: Path) -> tuple[Card, Generator]:
    """Return the card and the network of a model's folder, in evaluation mode on the CPU.

    Raises:
        ModelError: card or weights are missing, damaged, not finite, or don't fit each other.
    """
    card = read_card(folder)
    network = card.build_network().eval()
    remove_spectral_norms(network)
    path = folder / WEIGHTS
    try:
        state = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: the model's weights are missing; train or download it again"
        ) from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not safetensors weights: {error}") from error
    broken = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise ModelError(f"{path}: {broken[0]} has values that are not finite; train it again")
    try:
        load_plain_state(network, {name: value.float() for name, value in state.items()})
    except ValueError as error:
        raise ModelError(
            f"{path}: the weights do not fit the card: {error}; take the card that came with them"
        ) from error
    return card, network


def save_model(card: Card, network: nn.Module, folder: Path) -> None:
    """Write card and weights to the folder, each atomically.

    Weights are stored in float16; biases, norms and their statistics are few and stay float32,
    for a variance may be too large or too small for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().to("cpu", torch.float16 if _is_weight(value) else value.dtype)
        for name, value in plain_state(network).items()
    }
    # Written by us: safetensors' own writer hides the file from other users.
    with atomic_write(folder / WEIGHTS) as draft:
        draft.write_bytes(safetensors.torch.save({k: v.contiguous() for k, v in state.items()}))
    write_card(card, folder)


def pack_model(folder: Path, path: Path) -> None:
    """Write a model as one file: its weights, with the card in their header.

    Raises:
        ModelError: card or weights are missing or damaged.
    """
    card, state = read_card(folder), read_weights(folder / WEIGHTS)
    with atomic_write(path) as draft:
        draft.write_bytes(safetensors.torch.save(state, {CARD_KEY: text_from_card(card)}))


def packed_card(path: Path) -> Card | None:
    """Return the card in the header of safetensors weights; None if it has none.

    Raises:
        ModelError: it is not such a file, or the card has missing or unknown keys.
    """
    try:
        with safetensors.safe_open(path, "pt") as weights:
            text = (weights.metadata() or {}).get(CARD_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not safetensors weights: {error}") from error
    return None if text is None else card_from_text(text, path)


def _is_weight(value: Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1


def start_from_model(network: nn.Module, folder: Path) -> None:
    """Copy a model's weights into a network that is to be trained further.

    Raises:
        ModelError: the model is of another shape.
    """
    card, source = load_network(folder)
    try:
        load_plain_state(network, source.state_dict())
    except ValueError as error:
        raise ModelError(f"model {card.name!r}: cannot start from it: {error}") from error


def load_imagenet_encoder(network: Generator, path: Path) -> None:
    """Copy published ImageNet weights into the network's encoder, `features`.

    Args:
        network: one whose encoder is a published one.
        path: the published file; only its tensors are read.

    Raises:
        ModelError: no such file, not a weights file, or not those of the network's encoder.
    """
    state = network.from_published(read_weights(path))
    encoder = {k: v.shape for k, v in network.state_dict().items() if k.startswith("features.")}
    missing = [name for name, shape in encoder.items() if not _has(state, name, shape)]
    if missing or not encoder:
        reason = f"{missing[0]} does not fit" if encoder else "the network has no such encoder"
        raise ModelError(
            f"{path}: {reason}; --init takes ImageNet weights for squeeze-unet (SqueezeNet 1.1) "
            "and residual-encoder (VGG-16, with --ngf 64), those of EfficientNet-Lite for "
            "efficient-unet, or a model's name"
        )
    network.load_state_dict(network.state_dict() | {name: state[name] for name in encoder})


def _has(state: dict[str, Tensor], name: str, shape: torch.Size) -> bool:
    return name in state and state[name].shape == shape


def is_weights_file(name: str) -> bool:
    """Tell whether `--init` names a published weights file rather than a model."""
    return Path(name).suffix in {".pth", ".pt"}
