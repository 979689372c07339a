"""A model is scored against films' own color, beside grey and the truth itself."""

import json

import cv2
import numpy as np
import pytest
import torch

from tests.clips import picture
from vidcolor.color import rgb_from_ycbcr
from vidcolor.errors import InputError, ModelError, OptionsError, OutputError
from vidcolor.evaluation.evaluate import SampleKeeper, compare_with_truth, evaluate
from vidcolor.evaluation.ground_truth import open_references
from vidcolor.evaluation.report import METRICS
from vidcolor.evaluation.scores import ComparedFrame, FilmScores, scored_images
from vidcolor.images.resize import resize
from vidcolor.inference.colorizer import ColoredFrame, Colorizer
from vidcolor.network.card import Card
from vidcolor.network.lpips import CLASSIFIERS
from vidcolor.network.weights import save_model
from vidcolor.options.evaluate import EvaluateOptions

ERRORS = ("chroma_error", "lab_error", "delta_e2000", "colourfulness_difference")
OVER_TIME = ("cdc", "cdc_chroma", "warp_error")


class Standin(Colorizer):
    """Answers with a function of the truth, which no network is shown."""

    def __init__(self, answer):
        self.answer = answer
        self.shown = []

    def colorize(self, frames, *, luma, matrix, mask=None, keep_features=False, each=None):
        for place in frames:
            self.shown.append(luma(place.frame))
            yield ColoredFrame(place, place.frame.luma_hw, self.answer(place.frame))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Return the folder of a model with random weights."""
    torch.manual_seed(0)
    network = {"base_channels": 2}
    card = Card(
        name="random",
        family="temporal-unet",
        network=network,
        output="chroma",
        grey="bt601",
        working_size=32,
    )
    folder = tmp_path_factory.mktemp("models") / "random"
    save_model(card, card.build_network(), folder)
    return str(folder)


@pytest.fixture
def color_clip(draw):
    return draw("film.mkv", frames=8, width=96, height=72, is_color=True)


def scored(path, answer):
    """Return {kind: scores} of a film whose chroma is answered with."""
    (reference,) = open_references(EvaluateOptions(clips=path, size=64))
    scores = FilmScores({})
    for frame in compare_with_truth(reference, Standin(answer)):
        scores.add(frame, scored_images(frame, reference.matrix))
    return {row.kind: row.scores for row in scores.rows("film")}


def own_color(frame):
    return frame.chroma_2hw


def no_color(frame):
    return np.zeros_like(frame.chroma_2hw)


def test_a_perfect_answer_scores_as_the_truth_does(color_clip):
    scores = scored(color_clip, own_color)
    assert scores["result"]["psnr_db"] > 45  # what leaves the gamut is shrunk here, clipped there
    assert scores["result"]["ssim"] > 0.99
    for key in ERRORS:
        assert scores["result"][key] == pytest.approx(0, abs=0.2), key
    for key in (*OVER_TIME, "colourfulness"):
        assert scores["result"][key] == pytest.approx(scores["truth"][key], rel=0.05), key


def test_an_answer_without_color_scores_exactly_as_the_grey_baseline(color_clip):
    scores = scored(color_clip, no_color)
    assert scores["result"] == scores["grey"]
    assert scores["grey"]["colourfulness"] == pytest.approx(0, abs=1e-9)
    assert scores["grey"]["cdc_chroma"] == scores["grey"]["warp_error"] == 0
    assert scores["grey"]["colourfulness_difference"] < -10


def test_pictures_are_shown_in_the_film_s_matrix():
    # Red by BT.709-6, items 3.2 and 3.3
    luma = np.full((16, 16), 0.2126, dtype=np.float32)
    red = np.empty((2, 16, 16), dtype=np.float32)
    red[0], red[1] = -0.2126 / 1.8556, 0.5
    pictures = scored_images(ComparedFrame(luma, red, red * 2, starts_shot=True), "bt709")
    for kind in ("truth", "result"):  # twice the color is drawn back into the gamut
        assert torch.allclose(
            pictures[kind].rgb_3hw[:, 0, 0], torch.tensor((1.0, 0, 0)).double(), atol=1e-6
        )
    assert torch.allclose(pictures["grey"].rgb_3hw, torch.tensor(0.2126).double())


def test_an_answer_at_a_smaller_working_size_is_enlarged_along_the_luma(color_clip):
    def small(plane):
        return resize(plane, plane.shape[0] // 2, plane.shape[1] // 2)

    class Small(Standin):
        def colorize(self, frames, *, luma, matrix, mask=None, keep_features=False, each=None):
            for place in frames:
                chroma = np.stack([small(plane) for plane in place.frame.chroma_2hw])
                yield ColoredFrame(place, small(place.frame.luma_hw), chroma)

    (reference,) = open_references(EvaluateOptions(clips=color_clip, size=64))
    scores = FilmScores({})
    for frame in compare_with_truth(reference, Small(own_color)):
        assert frame.result_2hw.shape == frame.truth_2hw.shape
        scores.add(frame, scored_images(frame, reference.matrix))
    errors = {row.kind: row.scores["chroma_error"] or 0.0 for row in scores.rows("film")}
    assert errors["result"] < errors["grey"] / 3


def test_the_truth_has_no_error_to_itself_but_changes_over_time(color_clip):
    truth = scored(color_clip, no_color)["truth"]
    assert all(truth[key] is None for key in ("psnr_db", "ssim", "lpips", *ERRORS))
    assert all(truth[key] > 0 for key in (*OVER_TIME, "colourfulness"))


def test_flickering_color_raises_the_warp_error_and_cdc(color_clip):
    number = iter(range(100))
    flickering = scored(color_clip, lambda frame: frame.chroma_2hw * (0.3 + next(number) % 2))
    for key in OVER_TIME:
        assert flickering["result"][key] > 2 * flickering["truth"][key], key


def test_colors_are_scored_as_steady_as_a_render_holds_them(draw):
    film = draw("film.mkv", frames=12, width=96, height=72, is_color=True)
    errors = {}
    for stabilize in (0, 1):
        number = iter(range(100))

        def flickering(frame, number=number):
            return frame.chroma_2hw + np.float32(0.02) * (next(number) % 2)

        (reference,) = open_references(EvaluateOptions(clips=film, size=64))
        scores = FilmScores({})
        for frame in compare_with_truth(reference, Standin(flickering), stabilize=stabilize):
            scores.add(frame, scored_images(frame, reference.matrix))
        rows = scores.rows("film")
        errors[stabilize] = {row.kind: row.scores["warp_error"] or 0.0 for row in rows}
    assert errors[1]["result"] < errors[0]["result"] / 2
    assert errors[1]["truth"] == errors[0]["truth"]


def test_evaluate_passes_on_how_steady_colors_shall_be_held(model, color_clip):
    options = {"model": model, "clips": color_clip, "size": 64, "device": "cpu"}
    found = [evaluate(EvaluateOptions(**options, stabilize=s)) for s in (0, 1)]
    changes = [report.mean[0].scores["warp_error"] or 0.0 for report in found]
    assert changes[1] > 0
    assert changes[1] < changes[0]
    with pytest.raises(OptionsError, match="--stabilize 2"):
        EvaluateOptions(clips=color_clip, stabilize=2)


def test_the_network_is_shown_the_luma_of_the_film_and_nothing_else(color_clip):
    standin = Standin(no_color)
    (reference,) = open_references(EvaluateOptions(clips=color_clip, size=64))
    list(compare_with_truth(reference, standin))
    rgb = torch.from_numpy(picture(0, 0, 96, 72)).permute(2, 0, 1) / 255
    red, green, blue = rgb
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # BT.601
    assert np.abs(standin.shown[0] - luma.numpy()).mean() < 0.01


@pytest.mark.parametrize(
    ("width", "matrix", "full_range", "pix_fmt"),
    [
        (96, 6, False, "yuv420p"),
        (96, 1, False, "yuv444p"),
        (96, 6, True, "yuv420p"),
        (96, 1, False, "yuv422p10le"),
    ],
)
def test_the_truth_is_the_film_in_its_own_matrix_range_and_depth(
    draw, width, matrix, full_range, pix_fmt
):
    path = draw(
        frames=1,
        width=width,
        height=72,
        is_color=True,
        matrix=matrix,
        full_range=full_range,
        pix_fmt=pix_fmt,
    )
    (reference,) = open_references(EvaluateOptions(clips=path, size=72))
    truth = next(next(reference.takes()))
    luma, chroma = torch.from_numpy(truth.luma_hw)[None], torch.from_numpy(truth.chroma_2hw)
    shown = rgb_from_ycbcr(luma, chroma, reference.matrix).permute(1, 2, 0).clamp(0, 1).numpy()
    assert np.abs(shown * 255 - picture(0, 0, width, 72)).mean() < 4


def test_truth_is_scored_at_the_short_side_asked_for_and_never_enlarged(color_clip):
    for size, expected in ((64, (64, 85)), (512, (72, 96))):
        (reference,) = open_references(EvaluateOptions(clips=color_clip, size=size))
        assert next(next(reference.takes())).luma_hw.shape == expected


def test_nothing_is_compared_across_a_cut():
    random = np.random.default_rng(0)

    def shot(level):
        luma = random.random((32, 48), dtype=np.float32)
        chroma = np.full((2, 32, 48), level, dtype=np.float32)
        return [ComparedFrame(luma, chroma, chroma, starts_shot=i == 0) for i in range(5)]

    scores = FilmScores({})
    for frame in (*shot(-0.1), *shot(0.1)):
        scores.add(frame, scored_images(frame, "bt709"))
    truth = scores.rows("film")[-1].scores
    assert truth["warp_error"] == pytest.approx(0, abs=1e-4)
    assert truth["cdc_chroma"] == 0


def test_a_single_frame_has_no_score_over_time(draw):
    path = draw(frames=1, width=96, height=72, is_color=True)
    scores = scored(path, own_color)
    assert all(scores["truth"][key] is None for key in OVER_TIME)
    assert scores["result"]["ssim"] is not None


def test_evaluate_scores_a_folder_of_films_and_writes_what_it_found(draw, model, tmp_path):
    for name in ("b.mp4", "a.mkv"):
        draw(name, frames=6, width=96, height=72, is_color=True)
    (tmp_path / "notes.txt").write_text("no film")
    done = []
    options = EvaluateOptions(
        model=model,
        clips=tmp_path,
        size=64,
        max_frames=5,
        device="cpu",
        json=tmp_path / "out" / "scores.json",
        sheet=tmp_path / "out" / "sheet.png",
    )
    report = evaluate(options, on_progress=lambda count, total: done.append((count, total)))
    assert [row.film for row in report.rows] == ["a.mkv"] * 3 + ["b.mp4"] * 3
    assert {row.frame_count for row in report.rows} == {5}
    assert [count for count, _ in done] == list(range(1, 11))
    read = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert read["mean"][0]["psnr_db"] == report.mean[0].scores["psnr_db"]
    assert set(read["mean"][0]) > {metric.key for metric in METRICS}
    sheet = np.asarray(cv2.imread(str(tmp_path / "out" / "sheet.png")))
    assert sheet.shape[0] > 4 * 64
    assert sheet.shape[1] > 3 * 85
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "scores.json",
        "sheet.png",
    ]


def test_lpips_is_na_with_its_reason_where_the_backbone_is_missing(
    color_clip, model, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    report = evaluate(
        EvaluateOptions(model=model, clips=color_clip, size=64, max_frames=1, device="cpu")
    )
    assert [row.scores["lpips"] for row in report.mean] == [None] * 3
    assert any("alexnet" in note for note in report.notes)


def test_a_classifier_sees_a_distance_where_its_weights_are_given(color_clip, model, tmp_path):
    torch.manual_seed(0)
    layers = CLASSIFIERS["squeezenet1_1"]().state_dict()
    torch.save({f"features.{name}": v for name, v in layers.items()}, tmp_path / "any.pth")
    options = EvaluateOptions(
        model=model, clips=color_clip, size=64, max_frames=1, device="cpu",
        perceptual_backbone=tmp_path / "any.pth",
    )  # fmt: skip
    result, grey, truth = (row.scores["perceptual"] for row in evaluate(options).mean)
    assert result is not None
    assert result > 0
    assert grey is not None
    assert grey > 0
    assert truth is None


def write_dataset(folder):
    """Draw a plain dataset; its test frames are two runs, of wide and of tall pictures."""
    runs = {"train": [(96, 72)], "test": [(96, 72), (72, 96)]}
    for split, sizes in runs.items():
        (folder / split).mkdir(parents=True)
        for run, (width, height) in enumerate(sizes):
            for index in range(5):
                rgb = picture(index, 0, width, height)
                path = folder / split / f"{5 * run + index + 1:05}.png"
                cv2.imwrite(str(path), rgb[:, :, ::-1])


def test_a_dataset_is_scored_on_its_test_frames_run_by_run(tmp_path, model):
    write_dataset(tmp_path / "drawn")
    options = EvaluateOptions(model=model, dataset="drawn", data=tmp_path, size=64, device="cpu")
    (reference,) = open_references(options)
    assert [len(list(take)) for take in reference.takes()] == [5, 5]
    report = evaluate(options)
    assert {row.frame_count for row in report.rows} == {10}
    assert report.rows[0].scores["cdc"] is not None


def test_max_frames_counts_over_the_runs_of_a_source(tmp_path):
    write_dataset(tmp_path / "drawn")
    options = EvaluateOptions(dataset="drawn", data=tmp_path, max_frames=7)
    (reference,) = open_references(options)
    assert reference.frame_count == 7
    assert [len(list(take)) for take in reference.takes()] == [5, 2]


def test_a_picture_of_a_dataset_is_its_own_truth(tmp_path):
    write_dataset(tmp_path / "drawn")
    (reference,) = open_references(EvaluateOptions(dataset="drawn", data=tmp_path, size=72))
    truth = next(next(reference.takes()))
    luma, chroma = torch.from_numpy(truth.luma_hw)[None], torch.from_numpy(truth.chroma_2hw)
    shown = rgb_from_ycbcr(luma, chroma, reference.matrix).permute(1, 2, 0) * 255
    assert np.abs(shown.numpy() - picture(0, 0, 96, 72)).max() < 0.01


def test_a_black_and_white_truth_is_refused_or_left_out_of_the_mean(draw, model, tmp_path):
    grey = draw("grey.mkv", frames=2, width=96, height=72, codec="ffv1", pix_fmt="gray")
    with pytest.raises(InputError, match=r"grey\.mkv: has no color"):
        evaluate(EvaluateOptions(model=model, clips=grey, device="cpu"))
    neutral = draw("neutral.mp4", frames=2, width=96, height=72)
    report = evaluate(EvaluateOptions(model=model, clips=neutral, size=64, device="cpu"))
    assert report.mean[0].scores["psnr_db"] is None
    assert any(note.startswith("neutral.mp4: has no color") for note in report.notes)


def test_what_cannot_be_scored_is_an_error_before_any_work(draw, model, tmp_path):
    clip = draw("film.mp4", frames=1, width=96, height=72, is_color=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no films or photos"):
        evaluate(EvaluateOptions(model=model, clips=tmp_path / "empty"))
    with pytest.raises(InputError):
        evaluate(EvaluateOptions(model=model, clips=tmp_path / "missing.mp4"))
    with pytest.raises(InputError, match="nowhere"):
        evaluate(EvaluateOptions(model=model, dataset="nowhere", data=tmp_path))
    with pytest.raises(ModelError):
        evaluate(EvaluateOptions(model="nobody", clips=clip))
    with pytest.raises(InputError, match="too small to score"):
        evaluate(
            EvaluateOptions(model=model, clips=draw("tiny.mp4", frames=1, width=12, height=12))
        )


def test_a_place_that_cannot_be_written_is_an_error_before_any_work(color_clip, model, tmp_path):
    called = []
    with pytest.raises(OutputError, match="choose another path"):
        evaluate(
            EvaluateOptions(model=model, clips=color_clip, json=tmp_path),
            on_progress=lambda *counts: called.append(counts),
        )
    assert not called


@pytest.mark.parametrize("count", [1, 2, 3, 9, 100])
def test_keepsakes_are_few_and_from_all_over_the_film(count):
    samples = SampleKeeper(2)
    grey = np.zeros((2, 4, 4), dtype=np.float32)
    for index in range(count):
        luma = np.full((4, 4), index / count, dtype=np.float32)
        frame = ComparedFrame(luma, grey, grey, starts_shot=False)
        samples.offer(index, scored_images(frame, "bt709"))
    rows = samples.rows(("grey",))
    places = [number / count for number, _ in rows]
    assert [row[0][0, 0, 0] for _, row in rows] == [round(place * 255) for place in places]
    assert len(rows) == min(count, 2)
    assert places == sorted(set(places))
    if count >= 9:
        assert places[0] < 0.45
        assert places[1] > 0.55


def predictions(colorizer, chosen=(), stabilize=0, **options):
    """Return the chroma of each scored frame by its number, and whether it is compared in time."""
    options |= {"size": 64, "frames": chosen, "stabilize": stabilize}
    (reference,) = open_references(EvaluateOptions(**options))
    frames = list(compare_with_truth(reference, colorizer, chosen, stabilize=stabilize))
    assert len(frames) == reference.frame_count
    return {frame.number: (frame.result_2hw, frame.starts_shot) for frame in frames}


@pytest.mark.parametrize("stabilize", [0, 1])
@pytest.mark.parametrize("chosen", [(0, 17, 29, 30, 69), (3, 47)])
def test_a_chosen_frame_gets_the_color_that_it_has_in_the_whole_film(
    draw, model, monkeypatch, stabilize, chosen
):
    film = draw(frames=70, width=96, height=72, is_color=True, cuts=(30, 40))
    colorizer = Colorizer.load(model, "cpu")
    encode, calls = colorizer.network.encode, []

    def counted(*seen):
        calls.append(seen)
        return encode(*seen)

    monkeypatch.setattr(colorizer.network, "encode", counted)
    whole = predictions(colorizer, clips=film, stabilize=stabilize)
    calls.clear()
    found = predictions(colorizer, chosen, clips=film, stabilize=stabilize)
    assert tuple(found) == chosen
    for number, (chroma, starts_shot) in found.items():
        np.testing.assert_array_equal(chroma, whole[number][0])
        assert starts_shot == (number in chosen)
    assert len(calls) < (66 if stabilize else 20)


def test_chosen_frames_that_follow_each_other_are_compared_in_time(color_clip):
    found = predictions(Standin(own_color), (2, 3, 6), clips=color_clip)
    assert [starts_shot for _, starts_shot in found.values()] == [True, False, True]


def test_frames_of_a_dataset_are_numbered_through_its_test_split(tmp_path, model):
    write_dataset(tmp_path / "drawn")
    where = {"dataset": "drawn", "data": tmp_path}
    colorizer = Colorizer.load(model, "cpu")
    whole = predictions(colorizer, **where)
    for chosen in ((0, 7), (4, 5), (9,)):
        found = predictions(colorizer, chosen, **where)
        assert tuple(found) == chosen
        for number in chosen:
            np.testing.assert_array_equal(found[number][0], whole[number][0])


def test_every_chosen_frame_is_on_the_sheet_and_a_picture_of_its_own(draw, model, tmp_path):
    film = draw(frames=12, width=96, height=72, is_color=True)
    report = evaluate(
        EvaluateOptions(
            model=model,
            clips=film,
            frames=(1, 5, 9, 10),
            size=64,
            device="cpu",
            sheet=tmp_path / "sheet.png",
            pictures=tmp_path / "rows",
        )
    )
    assert {row.frame_count for row in report.rows} == {4}
    sheet = np.asarray(cv2.imread(str(tmp_path / "sheet.png")))
    assert sheet.shape[0] > 4 * 64
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == [
        f"{film.name}-{number:05d}.png" for number in (1, 5, 9, 10)
    ]


def test_frames_that_are_not_there_are_refused(color_clip, tmp_path, model):
    write_dataset(tmp_path / "drawn")
    options = {"model": model, "device": "cpu", "size": 64}
    with pytest.raises(InputError, match=r"--frames 8: film\.mkv has 8 frames, from 0"):
        evaluate(EvaluateOptions(clips=color_clip, frames=(2, 8), **options))
    with pytest.raises(InputError, match="--frames 10: drawn has 10"):
        evaluate(EvaluateOptions(dataset="drawn", data=tmp_path, frames=(10,), **options))
    with pytest.raises(OptionsError, match="the first frame is 0"):
        EvaluateOptions(clips=color_clip, frames=(-1,))
    with pytest.raises(OptionsError, match="--frames and --max-frames exclude each other"):
        EvaluateOptions(clips=color_clip, frames=(1,), max_frames=3)


def panels_of(path, count):
    """Return the pictures of a row, none of them shrunk: 8 pixels lie between them."""
    row = np.asarray(cv2.imread(str(path)))[28:-8, 8:]
    return [part[:, :-8].astype(int) for part in np.split(row, count, axis=1)]


def test_photos_are_scored_one_by_one_and_shown_at_their_size(tmp_path, model):
    photos = tmp_path / "photos"
    photos.mkdir()
    rgb = picture(0, 0, 500, 400)
    cv2.imwrite(str(photos / "b.png"), rgb[:, :, ::-1])
    cv2.imwrite(str(photos / "a.png"), rgb[:300, :400, :1])
    report = evaluate(
        EvaluateOptions(
            model=model,
            clips=photos,
            size=4000,
            device="cpu",
            pictures=tmp_path / "rows",
            sheet=tmp_path / "sheet.png",
        )
    )
    assert [row.film for row in report.rows] == ["a.png"] * 3 + ["b.png"] * 3
    assert [row.in_mean for row in report.rows] == [False] * 3 + [True] * 3
    grey, result, truth = panels_of(tmp_path / "rows" / "b.png-00001.png", 3)
    assert truth.shape == (400, 500, 3)
    assert np.abs(truth - rgb[:, :, ::-1]).max() <= 1
    assert np.ptp(grey, axis=2).max() == 0 < np.ptp(result, axis=2).max()
    grey, result = panels_of(tmp_path / "rows" / "a.png-00000.png", 2)
    assert grey.shape == result.shape == (300, 400, 3)
    assert np.abs(grey[:, :, 0] - rgb[:300, :400, 0]).max() <= 1


def test_photos_are_chosen_by_their_place_in_the_folder(tmp_path):
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number, 0, 96, 72))
    references = open_references(EvaluateOptions(clips=tmp_path, frames=(1, 3)))
    assert [reference.name for reference in references] == ["1.png", "3.png"]


def test_evaluation_colors_by_seed_and_temperature_as_rendering_does(
    color_clip, model, monkeypatch
):
    asked = {}
    load = Colorizer.load

    def noted(name, device, **how):
        asked.update(how)
        return load(name, device, **how)

    monkeypatch.setattr(Colorizer, "load", noted)
    evaluate(
        EvaluateOptions(
            model=model,
            clips=color_clip,
            max_frames=1,
            size=64,
            device="cpu",
            seed=7,
            decode_temperature=0.5,
        )
    )
    assert asked == {"seed": 7, "temperature": 0.5}
    with pytest.raises(OptionsError, match="--decode-temperature 0"):
        EvaluateOptions(clips=color_clip, decode_temperature=0)
