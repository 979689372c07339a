"""Losses in the eyes of a classifier, EfficientNet-Lite with ImageNet weights.

What a picture shows decides which colors are right. As a perceptual loss, the classifier compares
the colored picture with the true one. As a teacher (knowledge distillation, Hinton et al. 2015,
"Distilling the knowledge in a neural network"), it tells an encoder that sees grey what it would
see in color.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.errors import InputError
from vidcolor.network.architectures.backbones import read_weights
from vidcolor.network.architectures.efficientnet import SCALES, EfficientNetLiteClassifier

COMPARED_SCALES = slice(2, None)
"""Of the five: 1/8, 1/16 and 1/32. The finer ones see edges, which grey shows as well."""


class ClassifierLoss:
    """Distances between what a frozen classifier sees, and between that and an encoder's features.

    loss = load_classifier_loss(path)
    value = loss.perceptual(result_B3hw, truth_B3hw)
    """

    def __init__(self, network: EfficientNetLiteClassifier) -> None:
        """Freeze a classifier with its published weights."""
        self._network = network.eval().requires_grad_(False)

    def perceptual(self, rgb_B3hw: Tensor, truth_B3hw: Tensor) -> Tensor:
        """Return the distance, a number, of R'G'B' pictures (B, 3, h, w) in [0, 1]."""
        self._network.to(rgb_B3hw.device)
        features, logits_BK = self._network(rgb_B3hw * 2 - 1)
        return self._distance(features, logits_BK, truth_B3hw)

    def teaching(self, features: Sequence[Tensor], truth_B3hw: Tensor) -> Tensor:
        """Return the distance, a number, of an encoder's features from the classifier's in color.

        Args:
            features: of an encoder of the classifier's architecture, five scales.
            truth_B3hw: the pictures, R'G'B' in [0, 1].
        """
        self._network.to(truth_B3hw.device)
        return self._distance(features, self._network.logits(features[-1]), truth_B3hw)

    def _distance(
        self, features: Sequence[Tensor], logits_BK: Tensor, truth_B3hw: Tensor
    ) -> Tensor:
        """Return the mean relative squared error of the features plus KL of the classes."""
        with torch.no_grad():
            true_features, true_logits_BK = self._network(truth_B3hw * 2 - 1)
        errors = [
            functional.mse_loss(ours, true) / true.square().mean()
            for ours, true in zip(
                features[COMPARED_SCALES], true_features[COMPARED_SCALES], strict=True
            )
        ]
        divergence = functional.kl_div(
            logits_BK.log_softmax(dim=1),
            true_logits_BK.log_softmax(dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return torch.stack(errors).mean() + divergence


def load_classifier_loss(path: Path) -> ClassifierLoss | None:
    """Return the loss in the eyes of a classifier, or None if the file is of another network.

    Args:
        path: EfficientNet-Lite's published ImageNet weights; their shapes tell which Lite.

    Raises:
        ModelError: it is no weights file.
    """
    published = read_weights(path)
    for number in SCALES:
        network = EfficientNetLiteClassifier(number)
        state = network.from_published(published)
        wanted = {name: value.shape for name, value in network.state_dict().items()}
        if wanted == {name: value.shape for name, value in state.items()}:
            network.load_state_dict(state)
            return ClassifierLoss(network)
    return None


def load_teacher(path: Path) -> ClassifierLoss:
    """Return the classifier that teaches an encoder.

    Raises:
        InputError: the file holds no weights of EfficientNet-Lite.
        ModelError: it is no weights file.
    """
    teacher = load_classifier_loss(path)
    if teacher is None:
        raise InputError(f"--teacher {path}: is not EfficientNet-Lite; use its published weights")
    return teacher
