"""The colorizer: encode once, windows that keep to their shot, any size, the film's matrix."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.models import NOISY, NOISY_FAMILY, TINY
from vidcolor.color import convert_chroma
from vidcolor.errors import ModelError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.network.blocks import remove_spectral_norms
from vidcolor.network.families import FAMILIES
from vidcolor.shots.segments import PlacedFrame, divide


def _colorizer(**changes) -> Colorizer:
    torch.manual_seed(0)
    card = replace(TINY, **changes)
    network = card.build_network().eval()
    remove_spectral_norms(network)
    return Colorizer(card, network, torch.device("cpu"))


def _scene(seed: int, frames: int, height: int = 64, width: int = 80) -> list[np.ndarray]:
    """Return a still scene of soft blobs under a little grain."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((1, 1, 5, 6), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0, 0].numpy()
    grain = random.normal(0, 0.01, (frames, height, width))
    return [np.clip(smooth + g, 0, 1).astype(np.float32) for g in grain]


def _colorize(colorizer, frames, matrix="bt601"):
    placed = divide(frames, luma=lambda frame: frame)
    return list(colorizer.colorize(placed, luma=lambda frame: frame, matrix=matrix))


@pytest.mark.parametrize("frame_count", [0, 1, 2, 3, 7])
def test_as_many_frames_come_out_as_went_in(frame_count):
    frames = _scene(0, frame_count)
    colored = _colorize(_colorizer(), frames)
    assert [c.place.frame is f for c, f in zip(colored, frames, strict=True)] == [
        True
    ] * frame_count


def test_every_frame_is_encoded_once(monkeypatch):
    colorizer = _colorizer()
    encode, calls = colorizer.network.encode, []

    def counted(frame, embedding):
        calls.append(frame)
        return encode(frame, embedding)

    monkeypatch.setattr(colorizer.network, "encode", counted)
    _colorize(colorizer, _scene(0, 6))
    assert len(calls) == 6


def test_batches_have_one_shape_and_begin_anew_with_each_segment(monkeypatch):
    colorizer = _colorizer()
    colorizer.batch = 4
    shapes: dict[str, list[int]] = {"encode": [], "decode": []}
    for name, calls in shapes.items():
        whole = getattr(colorizer.network, name)

        def noted(*args, _whole=whole, _calls=calls):
            first = args[0] if isinstance(args[0], torch.Tensor) else args[0][0]
            _calls.append(len(first))
            return _whole(*args)

        monkeypatch.setattr(colorizer.network, name, noted)
    placed = [PlacedFrame(frame, n == 0, n // 6) for n, frame in enumerate(_scene(0, 13))]
    colored = list(colorizer.colorize(placed, luma=lambda frame: frame, matrix="bt601"))
    assert [c.place for c in colored] == placed
    assert shapes == {"encode": [4] * 5, "decode": [4] * 5}  # 4 + 2, 4 + 2, 1 of 4


def test_streaming_gives_what_three_encoder_passes_give():
    colorizer = _colorizer()
    frames = _scene(0, 5)
    for i, colored in enumerate(_colorize(colorizer, frames)):
        window = [
            torch.from_numpy(frames[j])[None, None] for j in (max(i - 1, 0), i, min(i + 1, 4))
        ]
        padded = [torch.nn.functional.pad(w, (0, 16, 0, 0), mode="replicate") for w in window]
        with torch.inference_mode():
            direct = colorizer.network.decode(*[colorizer.network.encode(w) for w in padded])
        expected = direct[0, :, :64, :80].numpy() / 2
        np.testing.assert_allclose(colored.chroma_2hw, expected, atol=1e-6)


def test_nothing_crosses_a_cut():
    colorizer = _colorizer()
    first, second = _scene(1, 4), _scene(2, 4)
    together = _colorize(colorizer, first + second)
    apart = _colorize(colorizer, first) + _colorize(colorizer, second)
    assert [i for i, c in enumerate(together) if c.place.starts_shot] == [0, 4]
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_array_equal(a.chroma_2hw, b.chroma_2hw)


def test_a_model_without_neighbours_ignores_them():
    colorizer = _colorizer(window=1)
    frames = _scene(0, 3)
    alone = _colorize(colorizer, frames[1:2])[0]
    np.testing.assert_array_equal(_colorize(colorizer, frames)[1].chroma_2hw, alone.chroma_2hw)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (91, 161), (64, 300), (301, 64)])
def test_any_size_and_shape_is_colored_at_the_working_size(height, width):
    colored = _colorize(_colorizer(), _scene(0, 2, height, width))[0]
    h, w = colored.luma_hw.shape
    assert min(h, w) == 64
    assert colored.chroma_2hw.shape == (2, h, w)
    assert np.isfinite(colored.chroma_2hw).all()


def test_chroma_is_meant_in_the_films_matrix():
    frames = _scene(0, 1)
    own = _colorize(_colorizer(), frames, "bt601")[0].chroma_2hw
    hd = _colorize(_colorizer(), frames, "bt709")[0].chroma_2hw
    expected = convert_chroma(torch.from_numpy(own), "bt601", "bt709").numpy()
    np.testing.assert_allclose(hd, expected, atol=1e-6)
    assert not np.allclose(hd, own, atol=1e-5)


def test_chroma_is_multiplied_by_the_saturation_on_the_card():
    frames = _scene(0, 2)
    own, more = _colorize(_colorizer(), frames), _colorize(_colorizer(saturation=1.5), frames)
    for one, other in zip(own, more, strict=True):
        np.testing.assert_allclose(other.chroma_2hw, one.chroma_2hw * 1.5, atol=1e-6)
        assert np.abs(one.chroma_2hw).max() > 1e-3


@pytest.mark.parametrize("grey", ["bt601", "lab"])
def test_a_network_that_predicts_rgb_gives_its_chroma_only(grey):
    network = {"base_channels": 8, "output": "rgb", "first_norm": True, "spectral_norm": False}
    colorizer = _colorizer(network=network, output="rgb", grey=grey)
    colored = _colorize(colorizer, _scene(0, 2))[0]
    assert colored.chroma_2hw.shape == (2, 64, 80)
    assert np.abs(colored.chroma_2hw).max() <= 0.5


def test_values_that_are_no_numbers_are_an_error_and_never_a_frame():
    colorizer = _colorizer()
    with torch.no_grad():
        next(colorizer.network.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        _colorize(colorizer, _scene(0, 1))


def _noisy_colorizer(monkeypatch, seed: int) -> Colorizer:
    monkeypatch.setitem(FAMILIES, NOISY.family, NOISY_FAMILY)
    torch.manual_seed(0)
    return Colorizer(NOISY, NOISY.build_network(), torch.device("cpu"), seed=seed)


def test_a_seed_decides_among_the_results_of_a_network_that_takes_noise(monkeypatch):
    frames = _scene(0, 3)
    first, again, other = (
        np.stack([c.chroma_2hw for c in _colorize(_noisy_colorizer(monkeypatch, seed), frames)])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


@pytest.mark.parametrize("batch", [1, 4])
def test_noise_is_the_same_in_all_frames_of_a_shot_however_it_is_divided(monkeypatch, batch):
    colorizer = _noisy_colorizer(monkeypatch, 1)
    colorizer.batch = batch
    frame = _scene(0, 1)[0]
    placed = [PlacedFrame(frame, n == 0, n // 5) for n in range(12)]
    colored = list(colorizer.colorize(placed, luma=lambda frame: frame, matrix="bt601"))
    assert np.ptp(colored[0].chroma_2hw) > 0.1
    for each in colored[1:]:
        np.testing.assert_allclose(each.chroma_2hw, colored[0].chroma_2hw, atol=1e-6)
