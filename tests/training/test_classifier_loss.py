"""A classifier as perceptual loss, and as teacher of an encoder that sees grey."""

from pathlib import Path

import pytest
import torch

from tests.network.test_efficient_unet import published_encoder
from vidcolor.errors import InputError, OptionsError
from vidcolor.network.architectures.efficientnet import EfficientNetLiteClassifier
from vidcolor.network.lpips import CLASSIFIERS
from vidcolor.options.train import TrainOptions
from vidcolor.training.classifier_loss import ClassifierLoss, load_classifier_loss, load_teacher
from vidcolor.training.setup import prepare_training


def _published(classifier: EfficientNetLiteClassifier) -> dict[str, torch.Tensor]:
    """Return its weights under the published names."""
    ours = {"head.0.": "_conv_head.", "head.1.": "_bn1.", "classes.": "_fc."}
    return published_encoder(classifier.features) | {
        name.replace(prefix, theirs): value
        for name, value in classifier.state_dict().items()
        for prefix, theirs in ours.items()
        if name.startswith(prefix)
    }


@pytest.fixture(scope="module")
def lite0(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.save(_published(EfficientNetLiteClassifier(0)), path)
    return path


@pytest.fixture(scope="module")
def loss(lite0) -> ClassifierLoss:
    found = load_classifier_loss(lite0)
    assert found is not None
    return found


def test_equal_pictures_have_no_distance_and_others_have_one(loss):
    rgb_B3hw = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert float(loss.perceptual(rgb_B3hw, rgb_B3hw)) == pytest.approx(0, abs=1e-6)
    assert float(loss.perceptual(rgb_B3hw.flip(1), rgb_B3hw)) > 0


def test_a_student_that_sees_what_the_teacher_sees_has_nothing_to_learn(loss, lite0):
    rgb_B3hw = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    student = EfficientNetLiteClassifier(0)
    student.load_state_dict(student.from_published(torch.load(lite0)))
    student.eval()
    grey_B3hw = rgb_B3hw.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    seen, guessed = (student.features(x * 2 - 1) for x in (rgb_B3hw, grey_B3hw))
    assert float(loss.teaching(seen, rgb_B3hw).detach()) == pytest.approx(0, abs=1e-6)
    taught = loss.teaching(guessed, rgb_B3hw)
    assert float(taught.detach()) > 0
    taught.backward()
    assert all(w.grad.abs().sum() > 0 for w in student.features.parameters() if w.grad is not None)
    assert student.features.stem[0].weight.grad is not None


def test_another_classifier_is_none_and_no_teacher(tmp_path):
    weights = {f"features.{k}": w for k, w in CLASSIFIERS["squeezenet1_1"]().state_dict().items()}
    torch.save(weights, tmp_path / "other.pth")
    assert load_classifier_loss(tmp_path / "other.pth") is None
    with pytest.raises(InputError, match="is not EfficientNet-Lite"):
        load_teacher(tmp_path / "other.pth")


def test_a_teacher_needs_weights_and_the_family_that_it_teaches(tmp_path, lite0):
    with pytest.raises(OptionsError, match="add --teacher FILE"):
        TrainOptions(dataset="a", teacher_weight=1.0)
    options = TrainOptions(dataset=str(_frames(tmp_path)), teacher_weight=1.0, teacher=lite0,
                           size=64, ngf=8, ndf=8, device="cpu")  # fmt: skip
    with pytest.raises(OptionsError, match="is for efficient-unet"):
        prepare_training(options)


def _frames(folder: Path) -> Path:
    import cv2
    import numpy as np

    frames = folder / "frames"
    frames.mkdir()
    for i in range(4):
        picture = np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)
        cv2.imwrite(str(frames / f"{i + 1:05d}.png"), picture)
    return frames
