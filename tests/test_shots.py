"""The cut detector."""

import numpy as np

from vidcolor.shots import CutDetector


def _cuts(frames):
    detector = CutDetector()
    return [i for i, frame in enumerate(frames) if detector.is_cut(frame.astype(np.float32))]


def _scene(seed: int, shift: float = 0.0):
    """Return smooth blobs at 90 x 160 that move to the right by `shift` pixels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:90, 0:160]
    picture = np.zeros((90, 160))
    for _ in range(12):
        cy, cx, size = random.uniform(0, 90), random.uniform(0, 160), random.uniform(6, 25)
        distance = (y - cy) ** 2 + (x - cx - shift) ** 2
        picture += random.uniform(-1, 1) * np.exp(-distance / size**2)
    return 0.5 + 0.4 * picture / np.abs(picture).max()


def test_cuts_are_found_where_scenes_change_and_nowhere_else():
    frames = [_scene(seed, shift) for seed in range(8) for shift in range(0, 12, 2)]
    assert _cuts(frames) == list(range(6, 48, 6))


def test_flicker_and_grain_are_no_cuts():
    random = np.random.default_rng(0)
    scene = _scene(3)
    frames = [
        np.clip(scene * random.uniform(0.8, 1.1) + random.normal(0, 0.03, scene.shape), 0, 1)
        for _ in range(30)
    ]
    assert _cuts(frames) == []


def test_black_frames_with_noise_are_one_shot():
    random = np.random.default_rng(0)
    assert _cuts([0.02 + random.normal(0, 0.004, (90, 160)) for _ in range(20)]) == []
