"""A photo becomes a window as if a camera had moved over it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidcolor.dataset import camera_motion
from vidcolor.dataset.camera_motion import FASTEST, SHAKE, moving_window
from vidcolor.dataset.dataset import FolderFrames, Run
from vidcolor.dataset.sampler import Batches, BatchPlan

FASTEST_PAN = FASTEST[0] * (1 + SHAKE)


def _map(height: int, width: int) -> torch.Tensor:
    """Return a photo that says where its pixels are: x, y in short sides, and 1."""
    short = min(height, width)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((x / short, y / short, torch.ones_like(x)))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (96, 64)])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fastest", [FASTEST, (0.1, 0.05, 20.0)])
def test_no_view_looks_beyond_the_photo(height, width, seed, fastest, monkeypatch):
    monkeypatch.setattr(camera_motion, "FASTEST", fastest)
    photo = _map(3 * height, 3 * width)
    window = moving_window(photo, height, width, np.random.default_rng(seed))
    assert window.shape == (3, 3, height, width)
    for frame in window:
        across, down = frame[0].diff(dim=1), frame[1].diff(dim=0)
        # A repeated border would stand still.
        assert across[1:-1, 1:-1].min() > 0.8 * across.median() > 0
        assert down[1:-1, 1:-1].min() > 0.8 * down.median() > 0
    assert float(window[:, 0].min()) > 0
    assert float(window[:, 0].max()) < photo[0].max() + 0.01


def _movement(window: torch.Tensor) -> np.ndarray:
    """Return by how much the view's middle moves from frame to frame, (2, 2) in short sides."""
    return window[:, :2].mean(dim=(2, 3)).diff(dim=0).numpy()


def test_cameras_move_at_the_speeds_of_film_and_without_jumps():
    photo = _map(120, 120)
    windows = [moving_window(photo, 48, 48, np.random.default_rng(seed)) for seed in range(100)]
    movements = np.stack([_movement(window) for window in windows])
    pans = np.hypot(movements[..., 0], movements[..., 1])
    assert pans.max() < FASTEST_PAN * 1.02
    assert 0.0005 < np.median(pans) < 0.006
    assert np.quantile(pans, 0.9) > 0.01
    changes = np.hypot(*np.moveaxis(movements[:, 1] - movements[:, 0], -1, 0))
    assert changes.max() < 2 * SHAKE * FASTEST[0] * 1.02
    assert np.median(changes) > 0.0002
    zooms = np.log([float(w[0, 0].std() / w[1, 0].std()) for w in windows])
    assert 0.0005 < np.abs(zooms).max() < FASTEST[1] * (1 + SHAKE) * 1.5


def test_nearly_all_of_the_photo_is_seen_and_the_middle_frame_looks_straight_at_it():
    photo = _map(200, 200)
    for seed in range(20):
        middle = moving_window(photo, 64, 64, np.random.default_rng(seed))[1]
        x, y = middle[0], middle[1]
        assert float(x.max() - x.min()) > 0.85
        assert float(x.mean()) == pytest.approx(0.5, abs=0.002)
        assert float(x.diff(dim=0).abs().max()) < 1e-4  # not turned
        assert float(y.mean()) == pytest.approx(0.5, abs=0.002)


def test_a_movement_of_part_of_a_pixel_is_kept():
    photo = _map(200, 200)
    pans = []
    for seed in range(40):
        movements = _movement(moving_window(photo, 64, 64, np.random.default_rng(seed)))
        pans += [*np.abs(movements).ravel() * 64]
    assert sum(0.02 < pan < 0.5 for pan in pans) > 20


@pytest.fixture
def table(tmp_path) -> FolderFrames:
    """Return a photo, and a film of two frames."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for seed, path in zip((0, 1, 2), paths, strict=True):
        coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC))
    return FolderFrames(paths, [Run(0, 1, 0), Run(1, 2, 0)], ["mixed"])


def _plan(**changes) -> BatchPlan:
    values = {
        "batch_size": 3, "height": 64, "width": 64, "window": 3, "augment": True,
        "balance": False, "seed": 5, "still_motion": True,
    }  # fmt: skip
    return BatchPlan(**values | changes)


@pytest.mark.parametrize("augment", [True, False])
def test_a_photo_in_a_batch_moves_and_a_film_is_left_as_it_is(table, augment):
    still, moved = (
        Batches(table, _plan(still_motion=on, augment=augment)).read(0) for on in (False, True)
    )
    for place, index in enumerate(Batches(table, _plan(augment=augment)).indices(0)):
        if index == 0:
            assert torch.equal(still[place, 0], still[place, 1])
            assert not torch.equal(moved[place, 0], moved[place, 1])
            assert not torch.equal(moved[place, 2], moved[place, 1])
            assert (moved[place, 0] - moved[place, 1]).abs().mean() < 0.1
        else:
            assert torch.equal(still[place], moved[place])


def test_a_window_of_one_frame_does_not_move(table):
    alone = [Batches(table, _plan(window=1, still_motion=on)).read(0) for on in (False, True)]
    assert torch.equal(*alone)


def test_movement_is_a_function_of_seed_and_step(table):
    one, other = Batches(table, _plan()), Batches(table, _plan())
    one.read(0)
    assert torch.equal(one.read(7), other.read(7))
    assert not torch.equal(one.read(7), Batches(table, _plan(seed=6)).read(7))


def test_the_first_batch_holds_frames_from_all_over_the_dataset():
    table = FolderFrames([Path("x")] * 2000, [Run(0, 2000, 0)], ["film"])
    for seed in range(5):
        indices = Batches(table, _plan(batch_size=8, seed=seed)).indices(0)
        assert max(indices) - min(indices) > 500
