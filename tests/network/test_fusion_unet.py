"""The encoder-decoder of seed 003: its counts, what its classifier sees, what learns, what not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vidcolor.color import grey_from_rgb
from vidcolor.errors import ModelError, OptionsError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.network.architectures.fusion_unet import FusionUNet, FusionUNetConfig
from vidcolor.network.architectures.squeezenet import SqueezeNet
from vidcolor.network.card import Card
from vidcolor.network.families import FAMILIES
from vidcolor.network.weights import load_network, save_model
from vidcolor.options.train import TrainOptions
from vidcolor.shots.segments import divide
from vidcolor.training.gan_step import GanTrainer
from vidcolor.training.optimizers import PRETRAINED_RATE

OPTIONS = TrainOptions(
    dataset="none", model="fusion-unet", backbone="squeezenet1_1", random_backbone=True, size=32,
    ngf=8, adversarial_weight=0.0, lr=5e-3,
)  # fmt: skip


def _card(options: TrainOptions) -> Card:
    setup = FAMILIES["fusion-unet"].set_up(options)
    return Card(
        name="fusion", family="fusion-unet", network=vars(setup.config), output=setup.output,
        grey=setup.grey, working_size=64, window=1,
    )  # fmt: skip


def _network(**changes) -> FusionUNet:
    torch.manual_seed(0)
    network = _card(replace(OPTIONS, **changes)).build_network()
    assert isinstance(network, FusionUNet)
    return network.eval()


def _trainer(**changes) -> GanTrainer:
    torch.manual_seed(0)
    options = replace(OPTIONS, **changes)
    setup = FAMILIES["fusion-unet"].set_up(options)
    return GanTrainer(_card(options), setup, options, device=torch.device("cpu"), steps=60)


def _eight_frames() -> torch.Tensor:
    """Return eight one-frame windows (8, 1, 3, 32, 32): a red square on green, elsewhere each."""
    rgb = torch.tensor([0.15, 0.5, 0.2])[:, None, None].expand(8, 3, 32, 32).clone()
    for i, frame in enumerate(rgb):
        frame[:, 8:24, 2 * i : 2 * i + 14] = torch.tensor([0.8, 0.2, 0.15])[:, None, None]
    return rgb[:, None]


def _state(network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _embedding(network, grey) -> torch.Tensor:
    embedding = network.embed(grey)
    assert embedding is not None
    return embedding


def _count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def test_seed003_has_the_originals_number_of_parameters():
    options = replace(OPTIONS, preset="seed003", backbone="xception", ngf=64)
    network = FusionUNet(FAMILIES["fusion-unet"].set_up(options).config)
    assert _count(network.backbone) == 22_855_952
    assert _count(network) - _count(network.backbone) == 7_163_874


def test_our_default_has_the_documented_number_of_parameters():
    network = FusionUNet(FusionUNetConfig(backbone="squeezenet1_1"))
    count = f"{_count(network) - _count(network.backbone):,}"
    assert count in (Path(__file__).parents[2] / "docs/explanation/networks.md").read_text()


@pytest.mark.parametrize(
    ("output", "shape"), [("chroma", (2, 40, 56)), ("ab", (2, 40, 56)), ("bins", (313, 10, 14))]
)
def test_any_size_of_a_multiple_of_eight_is_colored(output, shape):
    network = _network(output=output)
    features = network.encode(torch.rand(2, 1, 40, 56))
    assert network.decode(features, features, features).shape == (2, *shape)


def test_seed003_is_told_probabilities_and_our_default_normalised_scores():
    grey = torch.rand(3, 1, 48, 64)
    assert torch.allclose(_network(preset="seed003").embed(grey).sum(dim=1), torch.ones(3))
    scores = _network().embed(grey)
    assert torch.allclose(scores.mean(dim=1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(scores.std(dim=1), torch.ones(3), atol=0.05)


def test_the_embedding_decides_the_color_of_every_place():
    network, grey = _network(), torch.rand(1, 1, 32, 32)
    one, other = (network.encode(grey, torch.randn(1, 1000))[0] for _ in range(2))
    assert ((one != other).any(dim=1)).all()


def test_the_classifier_is_asked_once_a_shot(monkeypatch):
    colorizer = Colorizer(_card(OPTIONS), _network(), torch.device("cpu"))
    embed, calls = colorizer.network.embed, []

    def counted(grey):
        calls.append(grey)
        return embed(grey)

    monkeypatch.setattr(colorizer.network, "embed", counted)
    random = np.random.default_rng(0)
    shots = [random.random((64, 80), dtype=np.float32).round() for _ in range(2)]
    placed = divide([shots[0]] * 4 + [shots[1]] * 3, luma=lambda frame: frame)
    colored = list(colorizer.colorize(placed, luma=lambda frame: frame, matrix="bt601"))
    assert (len(colored), len(calls)) == (7, 2)


def test_a_frozen_classifier_changes_in_nothing_while_the_rest_learns():
    trainer = _trainer(average=0.9)
    before = _state(trainer.generator)
    for _ in range(3):
        trainer.step(_eight_frames())
    changed = {
        name.partition(".")[0]
        for name, value in trainer.generator.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"encoder", "fusion", "decoder", "head"}


def test_only_what_learns_is_in_the_optimiser():
    def held(**changes) -> int:
        groups = _trainer(**changes).generator_adam.param_groups
        return sum(p.numel() for group in groups for p in group["params"])

    network = _network()
    assert held() == _count(network) - _count(network.backbone)
    assert held(fine_tune=True) == _count(network)


def test_a_fine_tuned_classifier_learns_at_a_fifth_of_the_rate_and_keeps_its_statistics():
    published = _trainer(fine_tune=True, random_backbone=False)
    assert [g["rate"] / OPTIONS.lr for g in published.generator_adam.param_groups] == [
        1.0, PRETRAINED_RATE,
    ]  # fmt: skip
    before = _state(published.generator.backbone)
    published.step(_eight_frames())
    assert not any(map(torch.equal, before.values(), _state(published.generator.backbone).values()))


def test_training_leaves_the_classifiers_batch_norms_in_evaluation():
    network = FusionUNet(FusionUNetConfig(base_channels=8, fine_tune=True))
    norms = [m for m in network.train().backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 40
    assert not any(norm.training for norm in norms)
    assert network.encoder.training


@pytest.mark.parametrize("variance", [1e-9, 1e6])
def test_statistics_outside_half_precision_survive_the_folder(variance, tmp_path):
    network, name = _network(), "encoder.0.1.running_var"
    network.state_dict()[name].fill_(variance)
    save_model(_card(OPTIONS), network, tmp_path)
    _, loaded = load_network(tmp_path)
    assert torch.equal(loaded.state_dict()[name], network.state_dict()[name])


def test_weights_of_the_classifier_come_from_the_file_that_is_named(tmp_path):
    classifier = SqueezeNet()
    torch.save(classifier.state_dict(), tmp_path / "squeezenet.pth")
    options = replace(OPTIONS, random_backbone=False, backbone_weights=tmp_path / "squeezenet.pth")
    setup, network = FAMILIES["fusion-unet"].set_up(options), _network()
    assert setup.load_published is not None
    setup.load_published(network)
    assert all(map(torch.equal, network.backbone.parameters(), classifier.parameters()))


def test_random_weights_are_used_only_when_asked_for(tmp_path):
    assert FAMILIES["fusion-unet"].set_up(OPTIONS).load_published is None
    options = replace(OPTIONS, random_backbone=False, backbone_weights=tmp_path / "missing.pth")
    setup = FAMILIES["fusion-unet"].set_up(options)
    assert setup.load_published is not None
    with pytest.raises(ModelError, match=r"missing\.pth"):
        setup.load_published(_network())


def test_weights_and_none_at_once_are_refused(tmp_path):
    with pytest.raises(OptionsError, match=r"--random-backbone: .*use one of them"):
        FAMILIES["fusion-unet"].set_up(replace(OPTIONS, backbone_weights=tmp_path / "a.pth"))


@pytest.mark.parametrize(
    ("changes", "steps", "factor"),
    [({}, 100, 8), ({"output": "bins"}, 60, 2)],
    ids=["chroma", "bins"],
)
def test_eight_frames_are_learned_by_heart(changes, steps, factor, monkeypatch):
    trainer, frames = _trainer(**changes), _eight_frames()
    # Frozen, it always says the same of the same frames: ask it once.
    with torch.no_grad():
        said = _embedding(trainer.generator, grey_from_rgb(frames[:, 0], "bt601"))
    monkeypatch.setattr(trainer.generator, "embed", lambda _: said)
    losses = [trainer.step(frames)["pixel"] for _ in range(steps)]
    assert losses[-1] < losses[0] / factor
