"""The stabiliser: color that keeps to the moving picture, and no frame that looks further."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidcolor.images.optical_flow import find_motion, warp
from vidcolor.inference.colorizer import ColoredFrame
from vidcolor.pipeline.stabilizer import (
    CHROMA_DIFFERENCE,
    STABILIZER_REACH,
    reach,
    stabilize_chroma,
)
from vidcolor.shots.segments import PlacedFrame

HEIGHT, WIDTH = 96, 160
CODE = 1 / 224


def texture(seed, height, width):
    """Return soft blobs in [0, 1]."""
    blobs = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    soft = cv2.GaussianBlur(blobs, (0, 0), 3)
    return (soft - soft.min()) / (soft.max() - soft.min())


def film_of(lumas, chromas, cuts=(0,)):
    """Return colored frames, numbered; a shot begins at each cut."""
    return [
        ColoredFrame(PlacedFrame(number, number in cuts, 0), luma.astype(np.float32), chroma)
        for number, (luma, chroma) in enumerate(zip(lumas, chromas, strict=True))
    ]


def trembling(count, codes, seed=0):
    """Return how much each frame's Cb, Cr (2, 1, 1) is off."""
    random = np.random.default_rng(seed)
    return random.normal(0, codes * CODE, (count, 2, 1, 1)).astype(np.float32)


def panning(count, speed=2):
    """Return luma and chroma of a picture that moves to the left."""
    scene = np.stack([texture(seed, HEIGHT, WIDTH + speed * count) for seed in range(3)])
    frames = [scene[:, :, speed * n : speed * n + WIDTH] for n in range(count)]
    return [f[0] for f in frames], [(f[1:] - 0.5) * 0.4 for f in frames]


def spinning(count):
    """Return luma and chroma of a picture that turns and grows, faster and faster."""
    scene = np.stack([texture(seed, HEIGHT, WIDTH) for seed in range(3)])
    frames = []
    for number in range(count):
        turn = cv2.getRotationMatrix2D((WIDTH / 3, HEIGHT / 2), 0.15 * number**1.5, 1.02**number)
        layers = [
            cv2.warpAffine(layer, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
            for layer in scene
        ]
        frames.append(np.stack(layers))
    return [f[0] for f in frames], [(f[1:] - 0.5) * 0.4 for f in frames]


def moving_disc(count, contrast, speed=3, codes=56.0):
    """Return luma and chroma of a red disc that crosses a blue wall, and where it was and is not.

    Args:
        count: frames.
        contrast: by how much the disc is brighter than the wall, of 1.
        speed: pixels that it moves in a frame.
        codes: how far its Cr is from the wall's.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    wall, disc = 0.35 + 0.2 * texture(1, HEIGHT, WIDTH), 0.35 + 0.2 * texture(2, 60, 60) + contrast
    lumas, chromas, trails = [], [], []
    for number in range(count):
        across = 20 + speed * number
        cover = np.clip(20.5 - np.hypot(x - across, y - 48), 0, 1)
        place = np.array(((1, 0, across - 30), (0, 1, 18)), np.float32)
        surface = cv2.warpAffine(disc, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        lumas.append(wall + (surface - wall) * cover)
        red, blue = np.array((-0.4, 0.8)) * codes * CODE, np.array((0.4, -0.2)) * codes * CODE
        chroma = blue[:, None, None] + (red - blue)[:, None, None] * cover
        chromas.append(chroma.astype(np.float32))
        trails.append((x < across) & (np.hypot(x - across, y - 48) > 23))
    return lumas, chromas, trails


def change(frames):
    """Return how much chroma changes along the motion of the luma, in codes, on average."""
    changes = []
    for before, now in pairwise(frames):
        motion = find_motion(before.luma_hw, now.luma_hw)
        moved = warp(motion.backward_2hw.new_tensor(before.chroma_2hw), motion.backward_2hw)
        off = np.hypot(*(now.chroma_2hw - moved.numpy()))
        changes.append(off[motion.visible_hw.numpy()].mean())
    return np.mean(changes) / CODE


def errors(frames, chromas):
    """Return how far each frame's chroma is from what it should be, codes (T, h, w)."""
    off = [np.abs(f.chroma_2hw - c).max(axis=0) for f, c in zip(frames, chromas, strict=True)]
    return np.stack(off) / CODE


def test_color_that_trembles_is_held_steady():
    lumas, chromas = panning(30)
    film = film_of(lumas, chromas + trembling(30, 4))
    steadied = list(stabilize_chroma(film, 1))
    assert change(steadied) < change(film) / 4
    assert errors(steadied, chromas).mean() < errors(film, chromas).mean() / 2


def test_color_that_moves_with_the_picture_stays_as_it_is():
    lumas, chromas = panning(20)
    off = errors(list(stabilize_chroma(film_of(lumas, chromas), 1)), chromas)
    assert off.mean() < 0.5
    assert np.quantile(off, 0.99) < 3


@pytest.mark.parametrize("contrast", [0.25, 0.1, 0.0])
@pytest.mark.parametrize("speed", [1, 3, 7])
def test_a_moving_shape_leaves_no_ghost_behind_it(contrast, speed):
    lumas, chromas, trails = moving_disc(20, contrast, speed)
    off = errors(list(stabilize_chroma(film_of(lumas, chromas), 1)), chromas)
    behind = np.concatenate([frame[trail] for frame, trail in zip(off, trails, strict=True)])
    assert behind.max() < 8  # disc and wall are 56 codes apart
    assert behind.mean() < 0.2
    assert off.mean() < 0.3


def test_nor_does_a_pale_one_whose_luma_gives_it_away():
    lumas, chromas, trails = moving_disc(20, 0.25, codes=14)
    off = errors(list(stabilize_chroma(film_of(lumas, chromas), 1)), chromas)
    behind = np.concatenate([frame[trail] for frame, trail in zip(off, trails, strict=True)])
    assert behind.max() < 3
    assert np.quantile(behind, 0.999) < 1


def test_colors_follow_motion_that_differs_from_place_to_place_and_gathers_speed():
    lumas, chromas = spinning(20)
    film = film_of(lumas, chromas + trembling(20, 4))
    off = errors(list(stabilize_chroma(film, 1)), chromas)
    assert off.mean() < 0.62 * errors(film, chromas).mean()


def test_colors_that_pulse_within_a_second_are_calmed():
    still, frames = SMALL_FILM[0], 60
    pulse = np.sin(np.arange(frames) * (2 * np.pi / 16)).astype(np.float32)
    chromas = [np.full_like(still.chroma_2hw, 5 * CODE * p) for p in pulse]
    film = film_of([still.luma_hw] * frames, chromas)
    for frame in list(stabilize_chroma(film, 1))[STABILIZER_REACH:-STABILIZER_REACH]:
        assert np.abs(frame.chroma_2hw).max() < 0.3 * 5 * CODE


@given(st.floats(-20, 20), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_two_frames_weigh_as_they_agree(codes, strength):
    still = SMALL_FILM[0]
    chromas = [np.full_like(still.chroma_2hw, n * codes * CODE) for n in range(2)]
    weight = strength * (1 - 2 * (codes * CODE / CHROMA_DIFFERENCE) ** 2)
    first, second = stabilize_chroma(film_of([still.luma_hw] * 2, chromas), strength)
    share = max(weight, 0) / (1 + max(weight, 0))
    np.testing.assert_allclose(first.chroma_2hw, share * codes * CODE, atol=1e-6)
    np.testing.assert_allclose(second.chroma_2hw, (1 - share) * codes * CODE, atol=1e-6)


def test_brightness_that_flickers_as_a_whole_is_no_obstacle():
    lumas, chromas = panning(30)
    gains = np.random.default_rng(1).uniform(0.6, 1, 30)
    flickering = [luma * gain for luma, gain in zip(lumas, gains, strict=True)]
    off = [
        errors(list(stabilize_chroma(film_of(seen, chromas + trembling(30, 4)), 1)), chromas).mean()
        for seen in (lumas, flickering)
    ]
    assert off[1] < 1.15 * off[0]


def test_no_strength_leaves_the_frames_as_they_are():
    film = film_of(*panning(5))
    assert all(a is b for a, b in zip(stabilize_chroma(film, 0), film, strict=True))
    assert reach(0) == 1


def test_more_strength_holds_steadier():
    lumas, chromas = panning(20)
    film = film_of(lumas, chromas + trembling(20, 4))
    changes = [change(list(stabilize_chroma(film, strength))) for strength in (0, 0.1, 0.4, 1)]
    assert changes == sorted(changes, reverse=True)
    assert changes[1] < 0.95 * changes[0]


def test_nothing_crosses_a_cut():
    lumas, chromas = panning(16)
    film = film_of(lumas * 2, [*chromas, *(-chroma for chroma in chromas)], cuts=(0, 16))
    halves = [*stabilize_chroma(film[:16], 1), *stabilize_chroma(film[16:], 1)]
    for together, apart in zip(stabilize_chroma(film, 1), halves, strict=True):
        np.testing.assert_array_equal(together.chroma_2hw, apart.chroma_2hw)


def test_a_frame_alone_in_its_shot_stays_as_it_is():
    lumas, chromas = panning(3)
    film = film_of(lumas, chromas, cuts=(0, 1, 2))
    for before, after in zip(film, stabilize_chroma(film, 1), strict=True):
        np.testing.assert_array_equal(after.chroma_2hw, before.chroma_2hw)


LONG = 3 * STABILIZER_REACH


@given(st.integers(0, LONG - 1), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_a_frame_depends_on_its_reach_and_on_nothing_else(number, more_before, more_after):
    first = max(0, number - STABILIZER_REACH - more_before)
    part = [
        replace(frame, place=replace(frame.place, starts_shot=n == 0))
        for n, frame in enumerate(SMALL_FILM[first : number + STABILIZER_REACH + more_after + 1])
    ]
    alone = list(stabilize_chroma(part, 1))[number - first]
    np.testing.assert_array_equal(alone.chroma_2hw, SMALL_STEADIED[number].chroma_2hw)


def small_film():
    lumas, chromas = panning(LONG, speed=1)
    corner = np.s_[..., :32, :40]
    chromas = [c[corner] for c in chromas + trembling(LONG, 4)]
    return film_of([luma[corner] for luma in lumas], chromas)


SMALL_FILM = small_film()
SMALL_STEADIED = list(stabilize_chroma(SMALL_FILM, 1))


def test_the_farthest_frame_within_reach_counts():
    changed = [
        replace(f, chroma_2hw=f.chroma_2hw + 0.02) if f.place.frame == STABILIZER_REACH else f
        for f in SMALL_FILM
    ]
    for number in (0, 2 * STABILIZER_REACH):
        after = list(stabilize_chroma(changed, 1))[number].chroma_2hw
        assert np.abs(after - SMALL_STEADIED[number].chroma_2hw).max() > 1e-5


@given(st.lists(st.floats(-6, 6), min_size=1, max_size=20), st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_an_average_lies_between_what_is_averaged(codes, strength):
    still = SMALL_FILM[0]
    chromas = [np.full_like(still.chroma_2hw, code * CODE) for code in codes]
    film = film_of([still.luma_hw] * len(codes), chromas)
    for frame in stabilize_chroma(film, strength):
        assert frame.chroma_2hw.min() >= min(codes) * CODE - 1e-6
        assert frame.chroma_2hw.max() <= max(codes) * CODE + 1e-6


def test_frames_come_as_far_behind_as_they_reach_and_no_further():
    drawn = []

    def frames():
        for frame in SMALL_FILM:
            drawn.append(frame.place.frame)
            yield frame

    for frame in stabilize_chroma(frames(), 1):
        assert drawn[-1] - frame.place.frame <= STABILIZER_REACH


def test_what_the_network_drew_finely_stays_as_fine():
    still = SMALL_FILM[0]
    checks = np.indices(still.luma_hw.shape).sum(axis=0) % 2 * np.float32(0.1)
    film = film_of([still.luma_hw] * 5, [np.stack((checks, -checks))] * 5)
    for frame in stabilize_chroma(film, 1):
        np.testing.assert_allclose(frame.chroma_2hw, film[0].chroma_2hw, atol=1e-6)


def test_what_comes_from_outside_the_picture_does_not_count():
    lumas, chromas = panning(8, speed=6)
    edge = np.s_[..., -6:]
    off = errors(list(stabilize_chroma(film_of(lumas, chromas), 1)), chromas)
    assert off[edge].mean() < 1


def test_grey_stays_grey():
    lumas, chromas = panning(6)
    film = film_of(lumas, [np.zeros_like(chroma) for chroma in chromas])
    assert all((frame.chroma_2hw == 0).all() for frame in stabilize_chroma(film, 1))


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (32, 32), (33, 47), (16, 400), (200, 31)])
def test_any_size_and_shape_is_steadied(size):
    lumas = [texture(number, *size) if min(size) > 1 else np.ones(size) for number in range(3)]
    chromas = [np.full((2, *size), 0.01 * n, np.float32) for n in range(3)]
    for frame in stabilize_chroma(film_of(lumas, chromas), 1):
        assert frame.chroma_2hw.shape == (2, *size)
        assert frame.chroma_2hw.dtype == np.float32
        assert np.isfinite(frame.chroma_2hw).all()


def test_as_many_threads_as_there_are_give_one_result():
    threads, results = cv2.getNumThreads(), []
    lumas, chromas = panning(6)
    film = film_of(lumas, chromas + trembling(6, 4))
    try:
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            results.append(np.stack([frame.chroma_2hw for frame in stabilize_chroma(film, 1)]))
    finally:
        cv2.setNumThreads(threads)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_across_a_dissolve_averaging_fades_out_and_in_again():
    lumas, chromas = panning(30, speed=0)
    tremble = trembling(30, 4)
    frames = film_of(lumas, [c + t for c, t in zip(chromas, tremble, strict=True)], cuts=(0, 15))
    steadied = list(stabilize_chroma(frames, 1.0))
    shares = [min(1.0, 0.5 + abs(number - 15) / 16) for number in range(30)]
    dissolving = [
        replace(frame, place=replace(frame.place, shot_weight=share))
        for frame, share in zip(frames, shares, strict=True)
    ]
    for own, full, faded, share in zip(
        frames, steadied, stabilize_chroma(dissolving, 1.0), shares, strict=True
    ):
        correction = full.chroma_2hw - own.chroma_2hw
        expected = own.chroma_2hw + (2 * share - 1) * correction
        np.testing.assert_allclose(faded.chroma_2hw, expected, atol=1e-6)
