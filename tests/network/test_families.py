"""What each family of networks promises: published counts, that it learns, what its noise does."""

from dataclasses import asdict
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidcolor.color import chroma_from_ab, chroma_from_rgb, lab_from_rgb, luma_from_rgb
from vidcolor.dataset.dataset import Run
from vidcolor.dataset.sampler import Batches, BatchPlan
from vidcolor.errors import ModelError, OptionsError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.network.architectures.ab_classifier import AbClassifier, AbClassifierConfig
from vidcolor.network.architectures.fullres_gan import FullResGan, FullResGanConfig
from vidcolor.network.architectures.fully_connected import FullyConnected, FullyConnectedConfig
from vidcolor.network.architectures.residual_encoder import ResidualEncoder, ResidualEncoderConfig
from vidcolor.network.bins import ab_bins, rebalancing_weights, smoothed_prior, soft_encode
from vidcolor.network.card import Card
from vidcolor.network.families import FAMILIES
from vidcolor.network.outputs import as_coarse_as
from vidcolor.network.weights import load_imagenet_encoder
from vidcolor.options.train import TrainOptions
from vidcolor.shots.segments import divide
from vidcolor.training.gan_step import GanTrainer
from vidcolor.training.setup import prepare_training

CPU = torch.device("cpu")
SEED000 = FullResGanConfig(noisy_layers=(0,), tiled_noise=False)


def _count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def _card(options: TrainOptions) -> Card:
    setup = FAMILIES[options.model].set_up(options)
    return Card(
        name="small",
        family=options.model,
        network=asdict(setup.config),
        output=setup.output,
        grey=setup.grey,
        working_size=options.size,
        window=1,
    )


def _trainer(family: str, *, counts: Tensor | None = None, **changes) -> GanTrainer:
    """Return a trainer of a small network, without a discriminator unless asked."""
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "dataset": "drawn", "model": family, "size": 32, "ngf": 8, "ndf": 8, "batch_size": 8,
        "lr": 3e-3, "adversarial_weight": 0.0,
    }  # fmt: skip
    options = TrainOptions(**(values | changes))
    setup = FAMILIES[options.model].set_up(options)
    return GanTrainer(_card(options), setup, options, device=CPU, steps=100, color_counts=counts)


def _frames(count: int = 8, size: int = 32) -> Tensor:
    """Return windows of one frame (B, 1, 3, h, w): a dark red disc on its way over light green."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    green, red = torch.tensor([0.45, 0.75, 0.4]), torch.tensor([0.6, 0.15, 0.1])
    shade_1hw = 0.85 + 0.15 * (x / size)[None]
    frames = []
    for i in range(count):
        centre = size * (0.25 + 0.5 * i / max(count - 1, 1))
        is_disc = (x - centre) ** 2 + (y - size / 2) ** 2 < (size / 4) ** 2
        frames.append(torch.where(is_disc, red[:, None, None], green[:, None, None]) * shade_1hw)
    return torch.stack(frames)[:, None]


def _colorizer(trainer: GanTrainer, **changes) -> Colorizer:
    return Colorizer(trainer.card, trainer.result, CPU, **changes)


def _colored(colorizer: Colorizer, rgb_B13hw: Tensor) -> np.ndarray:
    frames = [luma_from_rgb(rgb, "bt601")[0].numpy() for rgb in rgb_B13hw[:, 0]]
    placed = divide(frames, luma=lambda frame: frame)
    colored = colorizer.colorize(placed, luma=lambda frame: frame, matrix="bt601")
    return np.stack([c.chroma_2hw for c in colored])


def test_the_fullres_generator_has_the_originals_parameters_but_for_its_fully_connected_layer():
    own = _count(FullResGan(SEED000))
    pixels = 90 * 120
    fully_connected, norm = 100 * pixels + pixels, 2
    assert own == 481_652
    assert own + fully_connected + norm == 1_572_454


def test_the_ab_classifier_has_the_originals_number_of_parameters():
    assert _count(AbClassifier(AbClassifierConfig())) == 30_727_801


def test_the_residual_encoder_has_the_originals_number_of_parameters():
    network = ResidualEncoder(ResidualEncoderConfig())
    assert _count(network) == 8_139_221
    # VGG-16's convolutions from conv1_1 to conv4_3.
    assert _count(network.features) == 7_635_264


def test_the_fully_connected_network_has_the_originals_number_of_parameters():
    assert _count(FullyConnected(FullyConnectedConfig(output="rgb"))) == 5_248_000


@pytest.mark.parametrize("preset", ["default", "seed000"])
def test_no_layer_of_the_fullres_generator_strides_and_each_sees_the_lightness_first(preset):
    config = SEED000 if preset == "seed000" else FullResGanConfig()
    network = FullResGan(config).eval()
    seen: list[Tensor] = []
    for convolution in network.convolutions:
        convolution.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    grey = torch.rand(1, 1, 17, 23)
    features = network.encode(network.frame(grey))
    network.decode(features, features, features)
    assert len(seen) == 6
    assert all(torch.equal(x[:, :1], grey * 2 - 1) for x in seen)
    hidden = [0, 128, 64, 64, 64, 32]
    noisy = [layer in config.noisy_layers for layer in range(6)]
    assert [x.shape[1] for x in seen] == [1 + n + h for n, h in zip(noisy, hidden, strict=True)]


def test_the_ab_classifier_goes_down_to_an_eighth_and_up_to_a_quarter():
    network = AbClassifier(AbClassifierConfig(base_channels=8)).eval()
    sizes, x = [], torch.rand(1, 1, 64, 96)
    for block in network.blocks:
        x = block(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[:3] == [(8, 32, 48), (16, 16, 24), (32, 8, 12)]
    assert sizes[3:] == [(64, 8, 12)] * 4
    assert network.decode([x], [x], [x]).shape == (1, 313, 16, 24)
    dilations = {c.dilation for c in network.blocks[4:6].modules() if hasattr(c, "dilation")}
    assert dilations == {(2, 2)}


@pytest.mark.parametrize("family", ["fullres-gan", "ab-classifier"])
def test_a_frames_borders_are_colored_as_its_middle_is(family):
    network = _trainer(family).generator.eval()
    features = network.encode(network.frame(torch.full((1, 1, 64, 64), 0.4)))
    predicted = network.decode(features, features, features)
    middle = predicted[..., 8:9, 8:9].expand_as(predicted)
    torch.testing.assert_close(predicted, middle, atol=1e-4, rtol=1e-4)


def _entropy(frames_B13hw: Tensor) -> float:
    """Return what the cross entropy of bins cannot fall below: the soft labels' own."""
    ab_B2hw = lab_from_rgb(frames_B13hw[:, 0])[:, 1:]
    shares = soft_encode(functional.avg_pool2d(ab_B2hw, 4), ab_bins())
    return -float((shares * shares.clamp(min=1e-12).log()).sum(dim=1).mean())


@pytest.mark.parametrize(
    ("family", "steps", "lr", "factor"),
    [
        ("fullres-gan", 60, 3e-3, 15),
        ("ab-classifier", 60, 1e-3, 4),
        ("residual-encoder", 60, 3e-3, 20),
        ("fully-connected", 60, 3e-3, 100),
    ],
)
def test_a_family_overfits_eight_frames(family, steps, lr, factor):
    trainer, frames = _trainer(family, lr=lr), _frames()
    floor = _entropy(frames) if family == "ab-classifier" else 0.0
    losses = [trainer.step(frames)["pixel"] for _ in range(steps)]
    assert losses[-1] - floor < (losses[0] - floor) / factor


def test_the_ab_classifier_overfits_one_picture_to_30_decibels_of_chroma():
    corners = torch.tensor(
        [[[0.45, 0.75, 0.4], [0.6, 0.25, 0.2]], [[0.3, 0.4, 0.7], [0.7, 0.65, 0.5]]]
    )
    picture = corners.movedim(-1, 0).repeat_interleave(32, 1).repeat_interleave(32, 2)[None, None]
    trainer = _trainer("ab-classifier", size=64, batch_size=1, lr=1e-3)
    for _ in range(120):
        trainer.step(picture)
    error = trainer.chroma(picture) - chroma_from_rgb(picture[:, 0], "bt601")
    assert -10 * torch.log10(error.square().mean()) > 30


def _gradients(family: str, adversarial_weight: float) -> Tensor:
    """Return what a step's gradient is at the logits, with no pixel loss."""
    trainer = _trainer(family, pixel_weight=0.0, adversarial_weight=adversarial_weight)
    gradients: list[Tensor] = []

    def watch(_module, _inputs, output):
        output.register_hook(gradients.append)

    layers = [m for m in trainer.generator.modules() if isinstance(m, torch.nn.Conv2d)]
    layers[-1].register_forward_hook(watch)
    trainer.step(_frames())
    return gradients[0]


@pytest.mark.parametrize("family", ["ab-classifier", "fullres-gan"])
def test_the_discriminator_teaches_the_generator(family):
    assert _gradients(family, 1.0).norm() > 0
    assert _gradients(family, 0.0).norm() == 0


def test_the_statistics_of_batch_norm_move_in_training_and_rest_at_render():
    trainer = _trainer("fullres-gan")
    norms = [m for m in trainer.generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]

    def means() -> Tensor:
        return torch.cat([cast(Tensor, norm.running_mean) for norm in norms])

    fresh = means()
    trainer.step(_frames())
    moved = means()
    assert (moved != fresh).any()
    _colored(_colorizer(trainer), _frames(2))
    assert torch.equal(means(), moved)


def test_the_discriminator_sees_truth_as_coarse_as_the_generated_color():
    stripes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 2, 32, 32)
    coarse = as_coarse_as(torch.zeros(1, 313, 8, 8), stripes)
    assert coarse.shape == stripes.shape
    assert coarse.abs().max() < 1e-6
    assert as_coarse_as(torch.zeros(1, 2, 32, 32), stripes) is stripes


def test_the_discriminator_is_shown_truth_no_finer_than_the_forged_color():
    trainer = _trainer("ab-classifier", adversarial_weight=1.0)
    shown: list[Tensor] = []
    trainer.discriminator.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    frames = torch.rand(8, 1, 3, 32, 32)
    trainer.step(frames)
    truth = lab_from_rgb(frames[:, 0])[:, 1:] / 110
    assert shown[0][:, 1:].std() < truth.std() / 2


@pytest.mark.parametrize("preset", ["default", "seed000"])
def test_the_seed_decides_the_colors_of_a_shot_which_do_not_flicker(preset):
    trainer = _trainer("fullres-gan", preset=preset)
    trainer.step(_frames())
    still = _frames(1).expand(3, -1, -1, -1, -1)
    one, again, other = (_colored(_colorizer(trainer, seed=seed), still) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-4
    assert all(np.array_equal(one[0], frame) for frame in one)


def test_a_seed_means_the_same_colors_at_any_size():
    trainer = _trainer("fullres-gan")
    trainer.step(_frames())
    flat = torch.full((1, 1, 3, 64, 64), 0.4)
    small, large = (_colored(_colorizer(trainer, seed=3, size=size), flat) for size in (32, 64))
    np.testing.assert_allclose(small[..., :4, :4], large[..., :4, :4], atol=1e-5)


def test_every_step_draws_noise_of_its_own_made_of_the_seed():
    trainer, again = (_trainer("fullres-gan", lr=1e-12) for _ in range(2))
    losses = [trainer.step(_frames())["pixel"] for _ in range(2)]
    assert losses[0] != losses[1]
    assert [again.step(_frames())["pixel"] for _ in range(2)] == losses
    assert _trainer("fullres-gan", lr=1e-12, seed=1).step(_frames())["pixel"] != losses[0]


def test_a_resumed_training_draws_the_noise_of_an_uninterrupted_one():
    whole, stopped, resumed = (_trainer("fullres-gan") for _ in range(3))
    losses = [whole.step(_frames())["pixel"] for _ in range(4)]
    for _ in range(2):
        stopped.step(_frames())
    resumed.load_state(stopped.state())
    assert [resumed.step(_frames())["pixel"] for _ in range(2)] == losses[2:]


@pytest.mark.parametrize(("temperature", "share"), [(0.01, 1.0), (1.0, 0.6)])
def test_the_temperature_goes_from_the_mode_to_the_mean_at_render(monkeypatch, temperature, share):
    colorizer = _colorizer(_trainer("ab-classifier"), temperature=temperature)
    bins_Q2 = ab_bins()
    first, second = 120, 180
    shares = torch.full((1, 313, 8, 8), 1e-20)
    shares[:, first], shares[:, second] = 0.6, 0.4
    monkeypatch.setattr(colorizer.network, "decode", lambda *_: shares.log())
    ab_2 = share * bins_Q2[first] + (1 - share) * bins_Q2[second]
    grey = torch.full((1, 1, 3, 32, 32), 0.5)
    wanted = chroma_from_ab(ab_2[:, None, None].expand(2, 32, 32), grey[0, 0, :1], "bt601")
    np.testing.assert_allclose(_colored(colorizer, grey)[0], wanted.numpy(), atol=2e-3)


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of the eight frames."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, rgb_3hw in enumerate(_frames()[:, 0]):
        codes = (rgb_3hw * 255).round().byte().permute(1, 2, 0).numpy()
        cv2.imwrite(str(folder / f"{i:05d}.png"), codes[..., ::-1])
    return folder


def _weights_of_bins(folder, **changes) -> Tensor | None:
    options = TrainOptions(
        dataset=str(folder), model="ab-classifier", size=32, ngf=8, ndf=8, crop=False, **changes
    )
    return prepare_training(options).trainer.terms.color_weights


def test_bins_weigh_by_all_frames_alike_however_they_are_counted_and_only_if_asked(pictures):
    one, other = (_weights_of_bins(pictures, batch_size=size, rebalance=0.5) for size in (8, 2))
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one, other)
    ab = functional.avg_pool2d(lab_from_rgb((_frames()[:, 0] * 255).round() / 255)[:, 1:], 4)
    prior = smoothed_prior(soft_encode(ab, ab_bins()).sum(dim=(0, 2, 3)), ab_bins())
    torch.testing.assert_close(one, rebalancing_weights(prior, 0.5), rtol=1e-3, atol=1e-4)
    assert _weights_of_bins(pictures, batch_size=8) is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model": "ab-classifier", "rarity": 0.5}, "--rarity 0.5: is not for ab-classifier"),
        (
            {"model": "ab-classifier", "pixel_loss": "l1"},
            "--pixel-loss l1: is not for ab-classifier",
        ),
        ({"model": "fullres-gan", "rebalance": 0.5}, "--rebalance 0.5: is not for fullres-gan"),
        ({"model": "ab-classifier", "preset": "seed000"}, "--preset seed000: ab-classifier"),
        ({"model": "fullres-gan", "batch_size": 1}, "--batch-size 1: batch norm"),
        ({"model": "residual-encoder", "output": "ab"}, "--output ab: residual-encoder"),
        ({"model": "fully-connected", "window": 3}, "--window 3: fully-connected"),
    ],
)
def test_what_a_family_does_not_have_is_refused(pictures, changes, complaint):
    with pytest.raises(OptionsError, match=complaint):
        prepare_training(
            TrainOptions(**({"dataset": str(pictures), "size": 32, "ngf": 8} | changes))
        )


def test_a_batch_holds_frames_from_all_over_the_film():
    class Table:
        runs = (Run(first=0, count=2000, source=0),)
        source_names = ("film",)

        def __len__(self) -> int:
            return 2000

        def read(self, index: int) -> np.ndarray:
            raise NotImplementedError

    plan = BatchPlan(
        batch_size=20, height=8, width=8, window=1, augment=False, balance=False, seed=0
    )
    indices = Batches(Table(), plan).indices(0)
    assert max(indices) - min(indices) > 500


def test_vggs_published_weights_fit_the_residual_encoder_and_others_are_refused(tmp_path):
    published = ResidualEncoder(ResidualEncoderConfig(base_channels=8)).features.state_dict()
    state = {f"features.{name}": torch.full_like(v, 0.5) for name, v in published.items()}
    torch.save(state | {"classifier.0.bias": torch.zeros(3)}, tmp_path / "vgg.pth")
    network = ResidualEncoder(ResidualEncoderConfig(base_channels=8))
    load_imagenet_encoder(network, tmp_path / "vgg.pth")
    assert all((p == 0.5).all() for p in network.features.parameters())
    assert {*network.features} == {"0", "2", "5", "7", "10", "12", "14", "17", "19", "21"}
    del state["features.21.bias"]
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(ModelError, match=r"features\.21\.bias does not fit"):
        load_imagenet_encoder(network, tmp_path / "cut.pth")
    with pytest.raises(ModelError, match=r"features\.0\.weight does not fit"):
        load_imagenet_encoder(
            ResidualEncoder(ResidualEncoderConfig(base_channels=16)), tmp_path / "vgg.pth"
        )


def test_the_fully_connected_network_sees_a_grid_of_32_and_fits_any_frame():
    network = FullyConnected(FullyConnectedConfig(hidden_units=32)).eval()
    fine = torch.tensor([0.2, 0.6]).repeat(64).expand(1, 1, 96, 128)
    blurred = torch.full((1, 1, 96, 128), 0.4)
    a, b = ([network.encode(frame)] * 3 for frame in (fine, blurred))
    assert network.decode(*a).shape == (1, 2, 96, 128)
    torch.testing.assert_close(network.decode(*a), network.decode(*b))
