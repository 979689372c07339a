"""Old film's damage: each kind shows where it should, and the color to be learned stays."""

import pytest
import torch
from torch.nn import functional

from tests.models import TINY
from vidcolor.network.architectures import temporal_unet
from vidcolor.options.train import TrainOptions
from vidcolor.training import film_damage as module
from vidcolor.training.film_damage import damage_film
from vidcolor.training.gan_step import GanTrainer

LIMITS = ("SOFTNESS", "VIGNETTE", "CONTRAST", "GAMMA", "VEIL", "FLICKER", "GRAIN", "SPECKS")


def _flat(level: float, batch: int = 16, frames: int = 3, size: int = 48) -> torch.Tensor:
    return torch.full((batch, frames, 1, size, size), level)


@pytest.fixture
def only(monkeypatch):
    """Leave one kind of damage: `only("GRAIN")`."""

    def leave(kind: str) -> None:
        for limit in (*LIMITS, "SCRATCH"):
            if limit != kind:
                monkeypatch.setattr(module, limit, 0.0)

    return leave


def test_strength_0_changes_nothing():
    grey = torch.rand(2, 3, 1, 32, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(damage_film(grey, 0.0, seed=1), grey, atol=1e-5)


def test_the_look_is_a_function_of_the_seed_and_leaves_other_random_numbers_alone():
    grey, state = _flat(0.5, batch=2), torch.get_rng_state()
    first, again, other = (damage_film(grey, 1.0, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_result_is_grey_in_its_range_and_shape(frames, level):
    grey = _flat(level, frames=frames)[..., :40]
    aged = damage_film(grey, 1.0, seed=3)
    assert aged.shape == grey.shape
    assert 0 <= float(aged.min()) <= float(aged.max()) <= 1


def test_grain_is_strong_in_middle_grey_weak_in_black_and_white_and_joins_neighbours(only):
    only("GRAIN")
    spread = {level: damage_film(_flat(level), 1.0, seed=4).std() for level in (0.02, 0.5, 0.98)}
    assert spread[0.5] > 3 * spread[0.02] > 0
    assert spread[0.5] > 3 * spread[0.98] > 0
    grain = damage_film(_flat(0.5), 1.0, seed=4) - 0.5
    beside = (grain[..., 1:] * grain[..., :-1]).mean() / (grain**2).mean()
    far = (grain[..., 8:] * grain[..., :-8]).mean() / (grain**2).mean()
    assert beside > 0.2
    assert abs(far) < 0.05
    between_frames = (grain[:, 0] * grain[:, 1]).mean() / (grain**2).mean()
    assert abs(between_frames) < 0.05


def test_grain_has_the_deviation_that_is_meant(only):
    only("GRAIN")
    grain = damage_film(_flat(0.5, batch=64), 1.0, seed=5) - 0.5
    # Amounts are uniform between 0 and GRAIN: their root mean square is GRAIN / sqrt(3).
    assert float(grain.std()) == pytest.approx(module.GRAIN / 3**0.5, rel=0.15)


def test_flicker_differs_between_the_frames_of_a_window(only):
    only("FLICKER")
    light = damage_film(_flat(0.5), 1.0, seed=6).mean(dim=(2, 3, 4))
    assert light.std(dim=1).mean() > 0.005


@pytest.mark.parametrize("kind", ["GAMMA", "CONTRAST", "VEIL"])
def test_a_print_has_one_tone_in_the_frames_of_a_window_and_others_in_others(only, kind):
    only(kind)
    light = damage_film(_flat(0.3), 1.0, seed=6).mean(dim=(2, 3, 4))
    assert light.std(dim=1).max() < 1e-6
    assert light.std(dim=0).min() > 0.01


def test_the_lens_is_dark_at_the_corners_alone(only):
    only("VIGNETTE")
    light = damage_film(_flat(0.8), 1.0, seed=7).mean(dim=(0, 1, 2))
    assert light[24, 24] > 0.79
    assert light[0, 0] < 0.8 * (1 - 0.3 * module.VIGNETTE)
    assert light[24, 0] > light[0, 0]


def test_softness_takes_detail_and_keeps_brightness(only):
    only("SOFTNESS")
    stripes = _flat(0.2, size=224)
    stripes[..., ::2] = 0.8
    soft = damage_film(stripes, 1.0, seed=8)
    assert soft.std() < 0.8 * stripes.std()
    assert float(soft.mean()) == pytest.approx(0.5, abs=0.01)


def test_dust_is_small_rare_both_white_and_black_and_gone_in_the_next_frame(only):
    only("SPECKS")
    aged = damage_film(_flat(0.5, size=96), 1.0, seed=9)
    is_dust = (aged - 0.5).abs() > 0.1
    assert 0.00005 < float(is_dust.float().mean()) < module.SPECKS
    assert bool((aged > 0.7).any())
    assert bool((aged < 0.3).any())
    assert not bool((is_dust[:, 0] & is_dust[:, 1]).any())
    blocks = functional.max_pool2d(is_dust.flatten(0, 1).float(), 12)
    assert float(blocks.mean()) < 0.1


def test_scratches_run_down_the_picture_and_stay_near_their_place(only):
    only("SCRATCH")
    aged = damage_film(_flat(0.5, batch=32, size=96), 1.0, seed=10)
    columns = (aged - 0.5).abs().mean(dim=(2, 3))  # (B, T, w)
    is_scratched = columns.amax(dim=2) > 0.02
    assert 0.1 < float(is_scratched.float().mean()) < 0.9
    assert bool((is_scratched.all(dim=1) == is_scratched.any(dim=1)).float().mean() > 0.8)
    rows = (aged - 0.5).abs().mean(dim=(2, 4))
    assert rows.amax() < 0.05  # no line across
    places = columns.argmax(dim=2)[is_scratched.all(dim=1)].float()
    assert (places[:, 0] - places[:, 1]).abs().median() < 5


def _seen_in_a_step(**changes) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the generator, and what the discriminator as real, was shown."""
    options = TrainOptions(dataset="any", ngf=8, ndf=8, size=64, **changes)
    setup = temporal_unet.FAMILY.set_up(options)
    torch.manual_seed(0)
    trainer = GanTrainer(TINY, setup, options, device=torch.device("cpu"), steps=1)
    shown: list[torch.Tensor] = []
    for network in (trainer.generator.get_submodule("encoders.0"), trainer.discriminator):
        network.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0].detach()))
    trainer.step(torch.rand(1, 3, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return shown[0], shown[1]


def test_the_generator_alone_is_shown_old_film_and_the_truth_stays():
    clean_grey, clean_truth = _seen_in_a_step()
    old_grey, old_truth = _seen_in_a_step(film_look=1.0)
    assert torch.equal(old_truth, clean_truth)
    assert not torch.allclose(old_grey, clean_grey, atol=0.01)
    assert torch.equal(old_grey, _seen_in_a_step(film_look=1.0)[0])
    assert not torch.equal(old_grey, _seen_in_a_step(film_look=1.0, seed=1)[0])
