"""Renders give the frames that version 848aaec gave: see tests/golden/make.py."""

from pathlib import Path

import numpy as np
import pytest

from tests.golden.make import (
    DEFAULT_CASES,
    ROOT,
    TINY_CASES,
    cases,
    chroma_of,
    default_weights,
    draw,
)
from vidcolor.cli.app import run

GOLDENS = Path(__file__).with_name("frames.npz")
MEAN_TOLERANCE, MAX_TOLERANCE = 0.1, 3.0
"""Codes of 8 bits. CPUs sum in different orders, so a value between two codes may be rounded to
either, and a stabilizer that follows another vector moves a few pixels on an edge by more. On one
kind of CPU the difference is 0."""


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("golden")
    draw(folder)
    return cases(folder)


def _difference(words: list[str], golden: np.ndarray) -> np.ndarray:
    assert run(words) == 0
    chroma = chroma_of(Path(words[-1]))
    assert chroma.shape == golden.shape
    return np.abs(chroma - golden.astype(np.float32) / 4)


@pytest.mark.parametrize("case", [*DEFAULT_CASES, *TINY_CASES])
def test_frames_are_the_golden_ones(words, case):
    goldens = np.load(GOLDENS)
    if case in DEFAULT_CASES and default_weights(ROOT) != str(goldens["default weights"]):
        pytest.fail("models/default has other weights: run tests/golden/make.py and look at both")
    difference = _difference(words[case], goldens[case])
    mean, largest = float(difference.mean()), float(difference.max())
    told = (
        f"{case}: chroma differs by {mean:.3f} codes (mean), {largest:.2f} (max), "
        f"{np.percentile(difference, 99):.2f} (99 of 100 pixels), {difference.std():.3f} (spread)"
    )
    assert mean <= MEAN_TOLERANCE, told
    assert largest <= MAX_TOLERANCE, told


def test_a_small_change_of_color_would_be_seen(words):
    *options, film, out = words["tiny"]
    changed = [*options, "--saturation", "0.98", film, str(Path(out).with_name("changed.mkv"))]
    assert _difference(changed, np.load(GOLDENS)["tiny"]).mean() > MEAN_TOLERANCE
