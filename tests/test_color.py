"""Color arithmetic: matrices, gamut, Lab, greys."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidcolor import color

MATRICES = list(color.KR_KB)
unit = st.floats(0, 1)
rgb_strategy = st.tuples(unit, unit, unit)
matrix_strategy = st.sampled_from(MATRICES)


def _pixel(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


@given(rgb_strategy, matrix_strategy)
def test_rgb_survives_the_way_to_ycbcr_and_back(rgb, matrix):
    rgb_311 = _pixel(rgb)
    luma = color.luma_from_rgb(rgb_311, matrix)
    chroma = color.chroma_from_rgb(rgb_311, matrix)
    assert chroma.abs().max() <= 0.5 + 1e-12
    assert torch.allclose(color.rgb_from_ycbcr(luma, chroma, matrix), rgb_311, atol=1e-12)


@given(unit, st.tuples(st.floats(-2, 2), st.floats(-2, 2)), matrix_strategy)
def test_fitting_into_the_gamut_keeps_luma_and_hue_and_never_adds_color(luma, chroma, matrix):
    luma_111, chroma_211 = _pixel((luma,)), _pixel(chroma)
    fitted = color.fit_gamut(luma_111, chroma_211, matrix)
    rgb = color.rgb_from_ycbcr(luma_111, fitted, matrix)
    assert rgb.min() >= -1e-9
    assert rgb.max() <= 1 + 1e-9
    assert torch.allclose(color.luma_from_rgb(rgb, matrix), luma_111, atol=1e-9)
    assert fitted.norm() <= chroma_211.norm() + 1e-12
    cross = fitted[0] * chroma_211[1] - fitted[1] * chroma_211[0]
    assert cross.abs().max() < 1e-9


@given(rgb_strategy, matrix_strategy)
def test_colors_inside_the_gamut_are_left_alone(rgb, matrix):
    rgb_311 = _pixel(rgb) * 0.98 + 0.01
    luma = color.luma_from_rgb(rgb_311, matrix)
    chroma = color.chroma_from_rgb(rgb_311, matrix)
    assert torch.allclose(color.fit_gamut(luma, chroma, matrix), chroma, atol=1e-12)


@given(rgb_strategy, matrix_strategy, matrix_strategy)
def test_converted_chroma_shows_the_same_red_and_blue(rgb, source, target):
    rgb_311 = _pixel(rgb)
    luma = color.luma_from_rgb(rgb_311, source)
    chroma = color.convert_chroma(color.chroma_from_rgb(rgb_311, source), source, target)
    shown = color.rgb_from_ycbcr(luma, chroma, target)
    assert torch.allclose(shown[[0, 2]], rgb_311[[0, 2]], atol=1e-9)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        # IEC 61966-2-1 primaries under D65, as in Bruce Lindbloom's calculator, two decimals.
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((1, 1, 1), (100, 0, 0)),
    ],
)
def test_lab_of_the_primaries(rgb, lab):
    got = color.lab_from_rgb(_pixel(rgb)).flatten().numpy()
    np.testing.assert_allclose(got, lab, atol=0.02)


@given(unit)
def test_grey_has_no_chroma_in_lab(value):
    assert color.lab_from_rgb(_pixel((value,) * 3))[1:].abs().max() < 1e-9


def test_saturated_blue_is_nearly_black_in_luma_but_not_in_lightness():
    blue = _pixel((0, 0, 1))
    assert color.grey_from_rgb(blue, "bt709").item() == pytest.approx(0.0722)
    assert color.grey_from_rgb(blue, "lab").item() == pytest.approx(0.323, abs=1e-3)


@given(unit, st.sampled_from(["bt601", "bt709", "lab"]))
def test_the_grey_of_a_grey_film_is_that_of_its_grey_pixels(value, grey):
    from_film = color.grey_from_luma(_pixel((value,)), grey)
    from_picture = color.grey_from_rgb(_pixel((value,) * 3), grey)
    assert torch.allclose(from_film, from_picture, atol=1e-12)


@given(rgb_strategy, st.sampled_from(["chroma", "rgb"]), st.sampled_from(["bt601", "bt709"]))
def test_a_perfect_prediction_gives_the_true_chroma(rgb, output, grey):
    assert _error_of_perfect_prediction(rgb, output, grey) < 1e-12


@given(rgb_strategy, st.sampled_from(["bt601", "bt709", "lab"]))
def test_a_perfect_prediction_of_ab_gives_the_true_chroma_to_half_a_code(rgb, grey):
    assert _error_of_perfect_prediction(rgb, "ab", grey) < 0.5 / 255


def _error_of_perfect_prediction(rgb, output, grey) -> float:
    rgb_311, matrix = _pixel(rgb), color.matrix_of(grey)
    target = color.target_from_rgb(rgb_311, output, grey)
    assert target.abs().max() <= 1 + 1e-12
    luma = color.luma_from_rgb(rgb_311, matrix)
    chroma = color.chroma_from_prediction(target, luma, output, grey)
    return float((chroma - color.chroma_from_rgb(rgb_311, matrix)).abs().max())


@given(rgb_strategy)
def test_rgb_survives_the_way_to_lab_and_back(rgb):
    rgb_311 = _pixel(rgb)
    assert torch.allclose(color.rgb_from_lab(color.lab_from_rgb(rgb_311)), rgb_311, atol=1e-9)


@given(unit)
def test_no_ab_is_no_chroma(luma):
    chroma = color.chroma_from_ab(torch.zeros(2, 1, 1).double(), _pixel((luma,)), "bt709")
    assert chroma.abs().max() < 1e-9


@given(st.floats(0.05, 1), st.floats(1, 100), matrix_strategy)
def test_a_balance_tints_grey_by_how_bright_it_is_and_leaves_black(luma, amount, matrix):
    luma_1hw = torch.tensor([0.0, luma / 2, luma]).reshape(1, 1, 3)
    grey_2hw = torch.zeros(2, 1, 3)
    for name, blueward, redward in (("temperature", -1, 1), ("tint", 1, 1)):
        for sign in (-1, 1):
            wanted = {"temperature": 0.0, "tint": 0.0} | {name: sign * amount}
            cb, cr = color.balance(luma_1hw, grey_2hw, matrix, **wanted).reshape(2, 3).tolist()
            assert cb[0] == cr[0] == 0
            assert blueward * sign * cb[2] > 0
            assert redward * sign * cr[2] > 0
            assert cb[1] == pytest.approx(cb[2] / 2, abs=1e-6)


def test_no_balance_leaves_chroma_as_it_is():
    chroma_2hw = torch.rand(2, 4, 5) - 0.5
    same = color.balance(torch.rand(1, 4, 5), chroma_2hw, "bt709", temperature=0, tint=0)
    assert torch.equal(same, chroma_2hw)
