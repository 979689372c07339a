"""List the models and what their cards say."""

import logging
from collections.abc import Mapping
from pathlib import Path

from vidcolor.errors import ModelError
from vidcolor.files import digest
from vidcolor.network.card import WEIGHTS, Card, read_card
from vidcolor.network.library import list_models

log = logging.getLogger(__name__)

Table = tuple[list[str], list[list[str]]]
"""Columns, and rows of as many words."""

UNKNOWN = "n/a"


def table_of_models() -> Table:
    """Return the models of this machine; warn of a card that cannot be read."""
    rows = []
    for folder in list_models():
        try:
            rows.append(_row(folder, read_card(folder)))
        except ModelError as error:
            log.warning("%s", error)
    return ["model", "family", "MB", "PSNR, dB", "chroma error", "licence", "folder"], rows


def _row(folder: Path, card: Card) -> list[str]:
    result = card.scores.get("result", {})
    scores = [_number(result.get(key)) for key in ("psnr_db", "chroma_error")]
    return [folder.name, card.family, _megabytes(folder), *scores, card.licence, str(folder)]


def describe_model(folder: Path) -> list[str]:
    """Return what a model is and where it comes from, one line each.

    Raises:
        ModelError: it has no card, or the card cannot be read.
    """
    card = read_card(folder)
    weights = folder / WEIGHTS
    said = {
        "model": card.name,
        "folder": folder,
        "licence": card.licence,
        "added from": card.origin,
        "family": card.family,
        **{f"network {key}": value for key, value in card.network.items()},
        "sees": f"{card.window} frames of {card.grey} grey, short side {card.working_size} pixels",
        "predicts": card.output,
        "weights": f"{_megabytes(folder)} MB",
        "SHA-256": digest(weights) if weights.is_file() else UNKNOWN,
        **{f"training {key}": value for key, value in card.training.items()},
    }
    return [f"{key}: {_word(value)}" for key, value in said.items() if value != ""]


def table_of_scores(card: Card) -> Table:
    """Return a model's scores next to those of grey and of the truth; no rows without scores."""
    columns = {name: values for name, values in card.scores.items() if isinstance(values, dict)}
    metrics = dict.fromkeys(metric for values in columns.values() for metric in values)
    rows = [
        [metric, *(_number(values.get(metric)) for values in columns.values())]
        for metric in metrics
    ]
    return ["score", *columns], rows


def _megabytes(folder: Path) -> str:
    weights = folder / WEIGHTS
    return f"{weights.stat().st_size / 1e6:.1f}" if weights.is_file() else UNKNOWN


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else UNKNOWN


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_word(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_word, value))
    return str(value)
