"""Grey stays grey where a mask is black, color is what it was where it is white."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidcolor.errors import InputError, OptionsError, OutputError
from vidcolor.guidance import mask_files
from vidcolor.guidance.mask_edges import chroma_mask, scale_mask, soften
from vidcolor.guidance.mask_files import Masks
from vidcolor.guidance.mask_shapes import shape_from_text
from vidcolor.guidance.open_guidance import read_guidance
from vidcolor.media.decode import read_frames
from vidcolor.media.probe import Film, probe
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import render

RATE = Fraction(25)

WORDS = (
    "half:left", "half:right", "half:top", "half:bottom", "stripes:v,4", "stripes:h,3", "grid:8",
    "rect:10,8,20,16", "noise:0.5,1", "random:2",
)  # fmt: skip


def _render(film: Path, name: str, model: str, **changes) -> Path:
    options = {"model": model, "codec": "ffv1", "device": "cpu"} | changes
    out = film.with_name(name)
    render(film, out, RenderOptions(**options))
    return out


def _planes(path: Path) -> list[np.ndarray]:
    """Return the Cb, Cr planes (2, h, w) of each frame, as they stand in the file."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            planes = []
            for plane in frame.planes[1:]:
                kind = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
                samples = np.frombuffer(memoryview(plane), kind)
                planes.append(samples.reshape(plane.height, -1)[:, : plane.width])
            found.append(np.stack(planes).astype(int))
    return found


def _draw(word: str, height: int, width: int) -> np.ndarray:
    draw = shape_from_text(word)
    assert draw is not None
    return draw(height, width)


def _save(path: Path, mask_hw: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.rint(mask_hw * 255).astype(np.uint8))
    return path


def _film_of(
    path: Path, planes: list[np.ndarray], pix_fmt: str = "gray", rate: Fraction = RATE
) -> Path:
    """Write planes of codes as a lossless film."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=rate)
        video.height, video.width, video.pix_fmt = *planes[0].shape, pix_fmt
        video.codec_context.color_range = 2
        for number, plane in enumerate(planes):
            frame = av.VideoFrame.from_ndarray(plane, format=pix_fmt)
            frame.pts, frame.time_base = number, 1 / rate
            frame.color_range = 2
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray"])
def test_black_is_exactly_grey_and_white_exactly_the_unmasked_color(draw, model, pix_fmt):
    film = draw("film.mkv", frames=1, codec="ffv1", pix_fmt=pix_fmt)
    (plain,) = _planes(_render(film, "plain.mkv", model))
    rows, columns = 48 // plain.shape[1], 64 // plain.shape[2]
    grey = 1 << (9 if "10" in pix_fmt else 7)
    for word in WORDS if pix_fmt == "yuv420p" else WORDS[-1:]:
        (masked,) = _planes(
            _render(film, "out.mkv", model, mask=word, mask_feather=0, overwrite=True)
        )
        # A chroma sample is colored where all the pixels under it are white.
        parts = _draw(word, 48, 64).reshape(48 // rows, rows, 64 // columns, columns)
        is_white = parts.min(axis=(1, 3)) == 1
        np.testing.assert_array_equal(masked[:, is_white], plain[:, is_white])
        assert (masked[:, ~is_white] == grey).all()
        assert is_white.any()
        assert (plain[:, ~is_white] != grey).any()


@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_soft_edges_leak_nothing_into_black_and_reach_no_further_than_they_say(draw, model, size):
    film = draw("film.mkv", frames=2, codec="ffv1", width=size[0], height=size[1],
                pix_fmt="yuv444p")  # fmt: skip
    plain = _planes(_render(film, "plain.mkv", model))
    masked = _planes(_render(film, "masked.mkv", model, mask="half:left", mask_feather=8))
    middle = size[0] // 2
    for ours, whole in zip(masked, plain, strict=True):
        assert (ours[..., middle:] == 128).all()
        np.testing.assert_array_equal(ours[..., : middle - 8], whole[..., : middle - 8])
        edge = np.s_[..., middle - 8 : middle]
        assert (np.abs(ours[edge] - 128) <= np.abs(whole[edge] - 128)).all()
        assert (ours[edge] != whole[edge]).any()


masks = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).choice(
        np.array([0, 0, 0.3, 1, 1, 1], np.float32),
        size=np.random.default_rng(seed).integers(1, 40, 2),
    )
)


@settings(max_examples=60, deadline=None)
@given(masks, st.integers(1, 50), st.integers(1, 50))
def test_a_scaled_mask_is_black_wherever_a_black_pixel_lies_under_it(mask_hw, height, width):
    scaled = scale_mask(mask_hw, height, width)
    assert scaled.shape == (height, width)
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    for y in range(height):
        rows = slice(y * mask_hw.shape[0] // height, -(-(y + 1) * mask_hw.shape[0] // height))
        for x in range(width):
            columns = slice(x * mask_hw.shape[1] // width, -(-(x + 1) * mask_hw.shape[1] // width))
            under = mask_hw[rows, columns]
            if under.max() == 0:
                assert scaled[y, x] == 0
            if under.min() == 1:
                assert scaled[y, x] == 1


@settings(max_examples=60, deadline=None)
@given(masks, st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_softening_only_takes_away_and_only_near_black(mask_hw, down, across, seed):
    luma_hw = np.random.default_rng(seed).random(mask_hw.shape, dtype=np.float32)
    soft = soften(mask_hw, luma_hw, (down, across))
    assert (soft[mask_hw == 0] == 0).all()
    assert (soft <= mask_hw).all()
    assert (soft >= 0).all()
    padded = np.pad(mask_hw == 0, ((2 * down,) * 2, (2 * across,) * 2))
    near = np.lib.stride_tricks.sliding_window_view(padded, (4 * down + 1, 4 * across + 1))
    far_from_black = ~near.any(axis=(2, 3))
    np.testing.assert_array_equal(soft[far_from_black], mask_hw[far_from_black])


def test_color_fades_in_evenly_on_an_even_picture():
    soft = soften(_draw("half:left", 20, 40), np.full((20, 40), 0.5, np.float32), (3, 3))
    fade = soft[10]
    assert (fade[20:] == 0).all()
    assert (np.diff(fade[13:21]) < 0).all()
    assert (fade[:14] == 1).all()
    assert fade[19] < 0.2


def test_a_soft_edge_moves_to_the_edge_of_the_picture():
    luma_hw = np.full((20, 40), 0.2, np.float32)
    luma_hw[:, :18] = 0.7  # the object ends two pixels before the mask does
    mask_hw = _draw("half:left", 20, 40)
    fade = soften(mask_hw, luma_hw, (2, 2))[10]
    even = soften(mask_hw, np.full_like(luma_hw, 0.2), (2, 2))[10]
    assert fade[17] > even[17]
    assert (fade[18:20] < even[18:20]).all()
    assert fade[17] - fade[18] > 2 * (even[17] - even[18])


def test_the_feather_is_counted_in_pixels_of_the_film():
    luma_hw = np.full((24, 32), 0.5, np.float32)
    soft = chroma_mask(_draw("half:left", 48, 64), luma_hw, 8, (48, 64))
    assert (soft[:, :12] == 1).all()
    assert (soft[:, 12:16] < 1).all()
    assert (soft[:, 16:] == 0).all()
    tall = chroma_mask(_draw("half:top", 48, 32), luma_hw, 8, (48, 32))
    assert (tall[:8] == 1).all()
    assert (tall[8:12] < 1).all()


@pytest.mark.parametrize("radius", range(1, 7))
def test_white_far_from_black_is_exactly_one_whatever_the_window(radius):
    luma_hw = np.random.default_rng(radius).random((60, 80), dtype=np.float32)
    soft = soften(_draw("half:left", 60, 80), luma_hw, (radius, radius))
    assert (soft[:, : 40 - 2 * radius] == 1).all()


def test_a_still_holds_for_the_whole_film_at_any_size(draw, model):
    film = draw("film.mkv", frames=4, codec="ffv1", pix_fmt="yuv444p")
    mask = _save(film.with_name("mask.png"), _draw("half:top", 12, 16))
    masked = _planes(_render(film, "masked.mkv", model, mask=str(mask), mask_feather=0))
    plain = _planes(_render(film, "plain.mkv", model))
    for ours, whole in zip(masked, plain, strict=True):
        np.testing.assert_array_equal(ours[:, :24], whole[:, :24])
        assert (ours[:, 24:] == 128).all()


def test_grey_in_a_mask_is_part_of_the_color(draw, model):
    film = draw("film.mkv", frames=1, codec="ffv1", pix_fmt="yuv444p")
    mask = _save(film.with_name("mask.png"), np.full((48, 64), 0.5))
    (half,) = _planes(_render(film, "masked.mkv", model, mask=str(mask)))
    (whole,) = _planes(_render(film, "plain.mkv", model))
    np.testing.assert_allclose(half - 128, (whole - 128) / 2, atol=1.1)


def test_what_jpeg_makes_of_black_is_black(draw, model):
    film = draw("film.mkv", frames=1, codec="ffv1", pix_fmt="yuv444p", width=64, height=48)
    mask = _save(film.with_name("mask.jpg"), _draw("half:left", 48, 64) * 0.97 + 0.02)
    (ours,) = _planes(_render(film, "masked.mkv", model, mask=str(mask), mask_feather=0))
    (whole,) = _planes(_render(film, "plain.mkv", model))
    assert (ours[..., 40:] == 128).all()
    np.testing.assert_array_equal(ours[..., :24], whole[..., :24])


def _column_masks(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return masks of codes, the n-th black but for column n."""
    planes = [np.zeros((height, width), np.uint8) for _ in range(count)]
    for number, plane in enumerate(planes):
        plane[:, number % width] = 255
    return planes


def _masks(film: Film, mask: Path) -> Masks:
    return read_guidance(film, RenderOptions(mask=str(mask))).open_masks(film)


def _white_columns(path: Path, mask: Path, **span) -> list[list[int]]:
    """Return the columns that are white in the masks of a film, frame by frame."""
    film = probe(path)
    masks = _masks(film, mask)
    return [
        np.flatnonzero(masks.at((f.pts - film.first_pts) * f.time_base).any(axis=0)).tolist()
        for f in read_frames(film, **span)
    ]


@pytest.mark.parametrize("kind", ["film", "folder", "pattern"])
def test_a_frame_has_the_mask_of_its_own_number(draw, kind):
    # 29.97 frames a second on a clock of milliseconds: no time is exact.
    film = draw("film.mkv", frames=8, first_seconds=0.3, rate=Fraction(30000, 1001))
    planes = _column_masks(8)
    if kind == "film":
        mask = _film_of(film.with_name("mask.mkv"), planes, rate=Fraction(30000, 1001))
    else:
        for number, plane in enumerate(planes):
            _save(film.with_name("masks") / f"{number + 1:03d}.png", plane / 255)
        mask = film.with_name("masks") / ("%03d.png" if kind == "pattern" else "")
    assert _white_columns(film, mask) == [[n] for n in range(8)]


def test_a_part_of_the_film_has_the_masks_of_that_part(draw):
    film = draw("film.mp4", frames=40)
    mask = _film_of(film.with_name("mask.mkv"), _column_masks(40))
    span = {"start": Fraction(1), "end": Fraction(6, 5)}
    assert _white_columns(film, mask, **span) == [[n] for n in range(25, 30)]


def test_masks_follow_times_that_vary(draw):
    times = tuple(Fraction(n) for n in ("0", "0.04", "0.2", "0.24", "0.4"))
    film = draw("film.mkv", times=times)
    mask = _film_of(film.with_name("mask.mkv"), _column_masks(11))
    assert _white_columns(film, mask) == [[0], [1], [5], [6], [10]]


def test_a_mask_film_of_fewer_frames_a_second_holds_each(draw):
    film = draw("film.mkv", frames=6, rate=Fraction(24))
    mask = _film_of(film.with_name("mask.mkv"), _column_masks(3), rate=Fraction(12))
    assert _white_columns(film, mask) == [[0], [0], [1], [1], [2], [2]]


def test_a_mask_film_that_ends_holds_its_last_picture_and_says_so(draw, caplog):
    film = draw("film.mkv", frames=6)
    mask = _film_of(film.with_name("mask.mkv"), _column_masks(3))
    assert _white_columns(film, mask) == [[0], [1], [2], [2], [2], [2]]
    assert caplog.text.count("ends at 0.12 s; its last picture is used from there on") == 1


def test_a_mask_film_that_is_long_enough_is_not_said_to_end_nor_is_a_still(draw, caplog):
    film = draw("film.mkv", frames=6)
    _white_columns(film, _film_of(film.with_name("m.mkv"), _column_masks(6)))
    _white_columns(film, _save(film.with_name("mask.png"), np.ones((4, 4))))
    assert "--mask" not in caplog.text


def test_a_render_that_goes_on_finds_the_masks_where_it_is(draw, model):
    film = draw(
        "film.mkv",
        frames=130,
        cuts=(30, 70, 95),
        codec="ffv1",
        pix_fmt="yuv444p",
        first_seconds=0.3,
    )
    mask = _film_of(film.with_name("mask.mkv"), _column_masks(130))
    options = RenderOptions(model=model, codec="ffv1", device="cpu", mask=str(mask), mask_feather=0)
    whole = film.with_name("whole.mkv")
    render(film, whole, options)

    def stop(done: int) -> None:
        if done == 80:
            raise KeyboardInterrupt

    out = film.with_name("out.mkv")
    with pytest.raises(KeyboardInterrupt):
        render(film, out, options, on_frame=stop)
    other = _film_of(film.with_name("other.mkv"), _column_masks(131)[1:])
    for change in ({"mask": str(other)}, {"mask": "half:left"}, {"mask": None}):
        with pytest.raises(OutputError, match="another mask"):
            render(film, out, replace(options, **change))
    with pytest.raises(OutputError, match="--mask-feather 0, not 4"):
        render(film, out, replace(options, mask_feather=4))
    moved = mask.rename(mask.with_name("moved.mkv"))
    resumed = render(film, out, replace(options, mask=str(moved)))
    assert resumed.resumed_frame_count == 70
    for number, (ours, once) in enumerate(zip(_planes(out), _planes(whole), strict=True)):
        np.testing.assert_array_equal(ours, once)
        colored = np.flatnonzero((ours != 128).any(axis=(0, 1))).tolist()
        assert colored in ([number % 64], [])


@pytest.mark.parametrize("look_back", [mask_files.LOOK_BACK_SECONDS, 0])
def test_any_order_of_asking_gives_the_same_masks(draw, monkeypatch, look_back):
    monkeypatch.setattr(mask_files, "LOOK_BACK_SECONDS", look_back)
    film = probe(draw("film.mkv", frames=60))
    mask = _film_of(film.path.with_name("mask.mkv"), _column_masks(60))
    reader = _masks(film, mask)
    for number in (50, 51, 3, 4, 59, 0, 59):
        mask_hw = reader.at(Fraction(number, 25))
        assert np.flatnonzero(mask_hw.any(axis=0)).tolist() == [number]


LABELS = np.array([[0, 3], [7, 300]]).repeat(24, axis=0).repeat(32, axis=1)


def _palette_picture(path: Path) -> Path:
    """Write a PNG with a palette whose indices are labels and whose colors mean nothing."""
    frame = av.VideoFrame(64, 48, "pal8")
    indices = np.where(LABELS == 300, 9, LABELS).astype(np.uint8)
    frame.planes[0].update(indices.tobytes())
    palette = np.full((256, 4), 255, np.uint8)
    palette[:, :3] = np.random.default_rng(1).integers(0, 255, (256, 3))
    frame.planes[1].update(palette.tobytes())
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = 64, 48, "pal8"
    codec.time_base = Fraction(1, 25)
    packets = [*codec.encode(frame), *codec.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
    return path


@pytest.mark.parametrize("kind", ["grey16.png", "palette.png", "film.mkv"])
def test_only_picked_labels_are_colored(draw, model, kind):
    film = draw("film.mkv", frames=2, codec="ffv1", pix_fmt="yuv444p")
    mask, last = film.with_name(f"labels-{kind}"), 9
    if kind == "grey16.png":
        cv2.imwrite(str(mask), LABELS.astype(np.uint16))
        last = 300
    elif kind == "palette.png":
        _palette_picture(mask)
    else:
        _film_of(mask, [np.where(LABELS == 300, 9, LABELS).astype(np.uint8)] * 2)
    masked = _planes(
        _render(film, "out.mkv", model, mask=str(mask), pick=f"3,{last}", mask_feather=0)
    )
    plain = _planes(_render(film, "plain.mkv", model))
    is_picked = np.isin(LABELS, (3, 300))
    for ours, whole in zip(masked, plain, strict=True):
        np.testing.assert_array_equal(ours[:, is_picked], whole[:, is_picked])
        assert (ours[:, ~is_picked] == 128).all()


def test_a_label_that_is_not_there_is_said_once(draw, model, caplog):
    film = draw("film.mkv", frames=3, codec="ffv1")
    mask = _film_of(film.with_name("labels.mkv"), [np.full((48, 64), 3, np.uint8)] * 3)
    _render(film, "out.mkv", model, mask=str(mask), pick="3,5")
    assert caplog.text.count("label 5 is not in it at 0.00 s; it has 3") == 1
    assert "white" not in caplog.text


def test_a_mask_without_white_leaves_the_film_grey_and_says_so_once(draw, model, caplog):
    film = draw("film.mkv", frames=3, codec="ffv1")
    mask = _film_of(film.with_name("mask.mkv"), [np.zeros((48, 64), np.uint8)] * 3)
    out = _render(film, "out.mkv", model, mask=str(mask))
    assert all((planes == 128).all() for planes in _planes(out))
    assert caplog.text.count("nothing in it is white at 0.00 s; the film stays grey") == 1


def test_a_mask_is_meant_for_the_film_as_it_is_shown(draw, model):
    # A quarter turn: what is stored on the left is shown at the top.
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    film = draw("film.mp4", frames=1, pix_fmt="yuv444p", display_matrix=turned)
    found = probe(film).display_matrix
    assert found is not None
    assert found[:2] == (0, 65536)
    plain = _planes(_render(film, "plain.mp4", model, codec="libx264", crf=0))[0]
    still = _save(film.with_name("mask.png"), _draw("half:top", 64, 48))
    for number, mask in enumerate(("half:top", str(still))):
        ours = _planes(
            _render(film, f"{number}.mp4", model, codec="libx264", crf=0, mask=mask, mask_feather=0)
        )[0]
        np.testing.assert_array_equal(ours[..., :32], plain[..., :32])
        assert (ours[..., 32:] == 128).all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("half:middle", "is not a valid half mask; write half:left"),
        ("stripes:v,0", "is not a valid stripes mask; write stripes:v,4"),
        ("grid:0", "is not a valid grid mask"),
        ("noise:2,1", "is not a valid noise mask"),
        ("rect:1,2,3", "is not a valid rect mask; write rect:40,30,200,100"),
    ],
)
def test_words_that_describe_no_mask_are_refused(draw, model, mask, message):
    with pytest.raises(OptionsError, match=message):
        _render(draw("film.mkv", frames=1), "out.mkv", model, mask=mask)


def test_what_is_no_mask_is_refused_before_the_first_frame(draw, model):
    film = draw("film.mkv", frames=1)
    text = film.with_name("notes.png")
    text.write_text("not a picture")
    with pytest.raises(InputError, match=r"--mask .*none\.png: no such file"):
        _render(film, "out.mkv", model, mask=str(film.with_name("none.png")))
    with pytest.raises(InputError, match=r"--mask .*notes\.png: "):
        _render(film, "out.mkv", model, mask=str(text))
    colors = film.with_name("colors.png")
    cv2.imwrite(str(colors), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match=r"has colors \(rgb24\), not labels"):
        _render(film, "out.mkv", model, mask=str(colors), pick="1")
    with pytest.raises(OptionsError, match="half:left has no labels"):
        _render(film, "out.mkv", model, mask="half:left", pick="1")
    with pytest.raises(OptionsError, match="--pick '1;2': is not a list of labels"):
        RenderOptions(mask="m.png", pick="1;2")
    with pytest.raises(OptionsError, match="--pick 1: needs labels"):
        RenderOptions(pick="1")
    with pytest.raises(OptionsError, match="--mask-feather -1"):
        RenderOptions(mask_feather=-1)
    assert sorted(path.suffix for path in film.parent.iterdir()) == [".mkv", ".png", ".png"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(WORDS), st.integers(1, 70), st.integers(1, 70))
def test_every_drawn_mask_has_the_size_asked_for_and_is_black_or_white(word, height, width):
    mask_hw = _draw(word, height, width)
    assert mask_hw.shape == (height, width)
    assert mask_hw.dtype == np.float32
    assert set(np.unique(mask_hw)) <= {0, 1}


def test_drawn_masks_are_what_their_words_say():
    np.testing.assert_array_equal(_draw("stripes:v,4", 1, 8)[0], [1, 1, 0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(_draw("stripes:h,3", 3, 1)[:, 0], [1, 0, 1])
    np.testing.assert_array_equal(_draw("grid:2", 3, 4), [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]])
    np.testing.assert_array_equal(_draw("rect:1,0,2,1", 2, 4), [[0, 1, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(_draw("half:bottom", 2, 1)[:, 0], [0, 1])
    assert _draw("noise:0.3,1", 3200, 3200).mean() == pytest.approx(0.3, abs=0.02)
    assert (_draw("random:1", 50, 50) != _draw("random:2", 50, 50)).any()
