"""A network that takes masks learns color where they are white and grey where they are black."""

import json
from dataclasses import asdict
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch

from tests.clips import draw_clip
from vidcolor.color import chroma_from_rgb, keep_color, luma_from_rgb
from vidcolor.errors import InputError, ModelError, OptionsError
from vidcolor.guidance.mask_sampling import KINDS, MaskSampler
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.decode import read_frames, unit_luma
from vidcolor.media.probe import probe
from vidcolor.network.architectures.masked_unet import MaskedUNet
from vidcolor.network.card import Card
from vidcolor.network.families import FAMILIES
from vidcolor.network.weights import load_network
from vidcolor.options.train import TrainOptions
from vidcolor.shots.segments import divide
from vidcolor.training.gan_step import GanTrainer
from vidcolor.training.losses import HUBER_DELTA, pixel_loss
from vidcolor.training.train import train

CPU = torch.device("cpu")


def _options(**changes) -> TrainOptions:
    values: dict[str, Any] = {
        "dataset": "none", "model": "masked-unet", "size": 64, "ngf": 8, "ndf": 8,
        "batch_size": 2, "samples": 2, "device": "cpu",
    }  # fmt: skip
    return TrainOptions(**(values | changes))


def _trainer(draw_masks=None, **changes) -> GanTrainer:
    torch.manual_seed(0)
    options = _options(**changes)
    setup = FAMILIES[options.model].set_up(options)
    card = Card(name="m", family=options.model, network=asdict(setup.config), output=setup.output,
                grey=setup.grey, working_size=64, window=1)  # fmt: skip
    return GanTrainer(card, setup, options, device=CPU, steps=100, draw_masks=draw_masks)


def _sampler(kinds: str | None = None, seed: int = 0, size: int = 64) -> MaskSampler:
    return MaskSampler(kinds, seed=seed, height=size, width=size)


def test_a_mask_depends_on_seed_step_and_place_alone():
    whole = _sampler().draw(5, range(8))
    assert whole.shape == (8, 1, 64, 64)
    assert torch.equal(torch.cat([_sampler().draw(5, [i]) for i in range(8)]), whole)
    for other in (_sampler(seed=1).draw(5, range(8)), _sampler().draw(6, range(8))):
        assert not torch.equal(other, whole)


def test_every_sample_draws_a_kind_of_its_own_and_masks_are_black_or_white():
    masks = _sampler(size=48).draw(0, range(200))
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    full = masks.flatten(1).all(dim=1).float().mean()
    assert abs(full - 1 / len(KINDS)) < 0.1
    assert len({bytes(mask.numpy()) for mask in masks}) > 100


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_had_alone_and_differs_from_sample_to_sample(kind):
    masks = _sampler(kind).draw(0, range(40))
    shares = masks.flatten(1).mean(dim=1)
    assert (shares.min() == 1) if kind == "full" else (shares.min() < 0.9)
    assert len({bytes(mask.numpy()) for mask in masks}) >= (1 if kind == "full" else 4)


def test_masks_of_a_folder_are_made_black_and_white_and_fit(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (50, 1))
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    (mask,) = _sampler(str(tmp_path)).draw(0, [0])
    assert torch.equal(mask[0], (torch.arange(64) >= 32).float().expand(64, 64))


@pytest.mark.parametrize("kind", ["grey", "colors"])
def test_some_labels_of_a_picture_are_picked_whole(tmp_path, kind):
    labels = np.repeat(np.repeat([[0, 300], [7, 2000]], 8, axis=0), 8, axis=1)
    picture = labels.astype(np.uint16)
    if kind == "colors":
        picture = np.random.default_rng(0).integers(0, 255, (2001, 3)).astype(np.uint8)[labels]
    cv2.imwrite(str(tmp_path / "labels.png"), picture)
    masks = _sampler(f"labels:{tmp_path}").draw(0, range(400))
    quarters = masks.unfold(2, 32, 32).unfold(3, 32, 32).flatten(4).squeeze(1)
    assert torch.equal(quarters.amin(dim=3), quarters.amax(dim=3))
    picked = {tuple(mask.flatten().tolist()) for mask in quarters.amin(dim=3)}
    assert len(picked) == 15  # all but none of four


def test_what_is_no_kind_of_mask_is_refused(frames, tmp_path):
    with pytest.raises(OptionsError, match="--masks rings: is neither a folder nor a kind of mask"):
        _sampler("halves,rings")
    with pytest.raises(InputError, match="has no pictures"):
        _sampler(str(tmp_path))
    with pytest.raises(OptionsError, match="--masks noise: temporal-unet takes no masks"):
        train(_options(dataset=str(frames), out=tmp_path / "m", model="temporal-unet",
                       masks="noise"))  # fmt: skip
    assert not (tmp_path / "m").exists()


def test_color_that_is_not_kept_is_grey_of_the_same_luma():
    rgb = torch.rand(2, 3, 8, 8)
    mask = (torch.rand(2, 1, 8, 8) < 0.5).float()
    kept = keep_color(rgb, mask, "bt601")
    chroma = chroma_from_rgb(rgb, "bt601") * mask
    assert torch.allclose(chroma_from_rgb(kept, "bt601"), chroma, atol=1e-6)
    assert torch.allclose(luma_from_rgb(kept, "bt601"), luma_from_rgb(rgb, "bt601"), atol=1e-6)


def test_the_discriminators_real_is_grey_masked_color_and_mask_its_fake_what_was_made():
    trainer = _trainer(_sampler("halves").draw)
    seen = []
    trainer.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rgb = torch.rand(2, 1, 3, 64, 64)
    trainer.step(rgb)
    real, fake = seen[:2]
    mask = _sampler("halves").draw(0, range(2))
    grey = luma_from_rgb(rgb[:, 0], "bt601")
    colour = chroma_from_rgb(rgb[:, 0], "bt601") * 2 * mask
    assert torch.allclose(real, torch.cat((grey * 2 - 1, colour, mask * 2 - 1), dim=1), atol=1e-6)
    assert torch.equal(fake[:, 0], real[:, 0])
    assert torch.equal(fake[:, 3], real[:, 3])
    assert not torch.allclose(fake[:, 1:3], real[:, 1:3])


def test_without_masks_the_network_is_asked_for_color_everywhere():
    trainer = _trainer()
    shown = trainer.run_generator(torch.rand(2, 1, 3, 64, 64))
    assert shown.mask_B1hw is None
    assert trainer._planes(shown, lambda s: s.truth_Bchw).shape[1] == 3


def test_the_pixel_error_counts_all_pixels_color_inside_and_grey_outside():
    trainer = _trainer(_sampler("halves").draw)
    shown = trainer.run_generator(torch.rand(2, 1, 3, 64, 64))
    assert shown.mask_B1hw is not None
    assert (shown.truth_Bchw.abs() * (1 - shown.mask_B1hw)).max() < 1e-6
    expected = (shown.predicted_Bchw - shown.truth_Bchw).square().mean()
    assert torch.allclose(trainer.terms.of(shown)["pixel"][1], expected)


def test_hubers_error_is_square_near_the_truth_and_absolute_far_from_it():
    for distance, expected in (
        (HUBER_DELTA / 2, HUBER_DELTA / 8),
        (0.5, 0.5 - HUBER_DELTA / 2),
    ):
        error = pixel_loss(torch.full((1, 2, 4, 4), distance), torch.zeros(1, 2, 4, 4), "huber")
        assert error.item() == pytest.approx(expected)
    assert _trainer(pixel_loss="huber").setup.pixel_loss == "huber"


def test_the_network_learns_to_leave_grey_what_is_black():
    trainer = _trainer(_sampler("halves").draw, lr=4e-3, adversarial_weight=0.0, batch_size=4)
    ground = torch.tensor((0.3, 0.6, 0.2))[:, None, None].expand(3, 64, 64)
    rgb = (ground * torch.linspace(0.3, 1, 4)[:, None, None, None])[:, None]
    first = trainer.step(rgb)["pixel"]
    for _ in range(59):
        last = trainer.step(rgb)["pixel"]
    assert last < first / 10
    mask = _sampler("halves").draw(0, range(4))
    chroma = trainer.chroma(rgb, mask).abs()
    inside, outside = (chroma * mask).sum(), (chroma * (1 - mask)).sum()
    assert outside < inside / 2


def test_the_log_says_how_much_color_leaks_out_of_masks(frames, tmp_path, caplog):
    caplog.set_level("INFO", "vidcolor")
    folder = train(
        _options(dataset=str(frames), out=tmp_path / "m", masks="halves,noise", epochs=1)
    )
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (record,) = [record for record in map(json.loads, lines) if "leakage" in record]
    assert record["leakage"] > 0
    assert f"{record['leakage']:.2f} codes of chroma leak out of masks" in caplog.text
    # Half of the picture is wanted grey: that much less than its whole chroma is to be had.
    assert record["test_grey"] < 30
    assert load_network(folder)[0].training["options"]["masks"] == "halves,noise"


def test_what_leaks_is_what_is_outside_of_masks(frames, tmp_path, monkeypatch):
    def chroma(trainer, rgb, mask):
        return (mask * 0.4 + (1 - mask) * 0.1).expand(-1, 2, -1, -1)

    monkeypatch.setattr(GanTrainer, "chroma", chroma)
    folder = train(_options(dataset=str(frames), out=tmp_path / "m", masks="halves", max_steps=1))
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["leakage"] == pytest.approx(25.5)


def test_each_step_and_each_process_has_masks_of_its_own(monkeypatch):
    asked = []

    def draw(step, places):
        asked.append((step, list(places)))
        return torch.ones(2, 1, 64, 64)

    trainer = _trainer(draw, adversarial_weight=0.0)
    trainer.step(torch.rand(2, 1, 3, 64, 64))
    monkeypatch.setattr(trainer.accelerator, "share", lambda count: range(2, 4))
    trainer.step(torch.rand(2, 1, 3, 64, 64))
    assert asked == [(0, [0, 1]), (1, [2, 3])]


def test_a_resumed_training_sees_the_masks_of_an_uninterrupted_one(frames, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(_options(dataset=str(frames), out=whole, epochs=2))
    train(_options(dataset=str(frames), out=parts, epochs=1))
    train(_options(dataset=str(frames), out=parts, epochs=2, resume=True))
    weights, resumed = (load_network(folder)[1].state_dict() for folder in (whole, parts))
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)
    with pytest.raises((ModelError, OptionsError), match="--masks noise"):
        train(_options(dataset=str(frames), out=parts, epochs=3, resume=True, masks="noise"))


def test_a_trained_network_is_shown_the_mask_of_each_frame_and_keeps_its_statistics(tmp_path):
    film = probe(draw_clip(tmp_path / "film.mkv", frames=3, width=96, height=64))
    trainer = _trainer()
    colorizer = Colorizer(trainer.card, trainer.result, CPU, size=48, batch=2)
    before = {name: value.clone() for name, value in trainer.result.state_dict().items()}
    seen: list[torch.Tensor] = []
    mask_layer = cast(MaskedUNet, trainer.result).convolutions[1]
    mask_layer.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    placed = divide(read_frames(film), luma=unit_luma)
    masks = iter(_sampler("halves").draw(0, range(3))[:, 0].numpy())
    list(colorizer.colorize(placed, luma=unit_luma, matrix="bt601", mask=lambda _: next(masks)))
    drawn = _sampler("halves", size=64).draw(0, range(3))
    for number in range(3):
        shown = seen[number // 2][number % 2, 0, :48, :72]
        small = torch.nn.functional.interpolate(drawn[number][None], (48, 72), mode="nearest")
        assert (shown != small[0, 0]).float().mean() < 0.05
    after = trainer.result.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
