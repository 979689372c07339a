"""Networks side by side: the same budget, the same truth, and nothing done twice."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from tests.clips import picture
from tests.faults import ROOT
from tests.models import TINY
from vidcolor.errors import InputError, OptionsError
from vidcolor.experiments import compare_models as module
from vidcolor.experiments.compare_models import compare_models, cost_of, read_rows
from vidcolor.network.blocks import remove_spectral_norms
from vidcolor.network.families import FAMILIES
from vidcolor.options.evaluate import CompareOptions
from vidcolor.options.train import TrainOptions
from vidcolor.training.train import train

ROWS = """\
[train]
size = 64
batch_size = 2
epochs = 9
max_steps = 3
ngf = 8
ndf = 8

[rows.three]
model = "temporal-unet"

[rows.alone]
model = "temporal-unet"
window = 1
lr = 1e-4
"""


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "rows.toml"
    path.write_text(ROWS)
    return path


@pytest.fixture
def options(tmp_path) -> CompareOptions:
    """Return what a comparison on eight drawn frames takes."""
    for split, count in (("train", 6), ("test", 2)):
        folder = tmp_path / "frames" / split
        folder.mkdir(parents=True)
        for number in range(count):
            rgb = picture(number, 0, 96, 64)
            cv2.imwrite(str(folder / f"{number:05d}.png"), rgb[:, :, ::-1])
    return CompareOptions(
        dataset=str(tmp_path / "frames"), out=tmp_path / "out", size=64, device="cpu"
    )


def test_every_row_is_trained_scored_and_put_side_by_side(recipe, options):
    told: list[tuple[str, int | None]] = []
    compared = compare_models(
        recipe, options, on_row=lambda name, at: told.append((name, at.step if at else None))
    )
    assert told == [(n, s) for n in ("three", "alone") for s in (1, 2, 3, None)]
    assert [(row.name, row.steps) for row in compared] == [("three", 3), ("alone", 3)]
    assert [row.options["window"] for row in compared] == ["None", "1"]
    assert compared[0].scores["grey"] == compared[1].scores["grey"]
    assert compared[0].scores["result"] != compared[1].scores["result"]
    table = json.loads((options.out / "table.json").read_text())
    assert [row["parameters"] for row in table] == [row.parameters for row in compared]
    lines = (options.out / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| three",
        "| alone",
        "| grey",
        "| truth",
    ]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    sheet = cv2.imread(str(options.out / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] > 4 * 96
    for name in ("curves.png", "scores.png"):
        assert cv2.imread(str(options.out / name)) is not None


def test_what_is_done_is_not_done_again(recipe, options, monkeypatch):
    first = compare_models(recipe, options)
    recipe.write_text(ROWS.replace("lr = 1e-4", "lr = 2e-4"))
    trained: list[TrainOptions] = []

    def noted(row, **_how):
        trained.append(row)
        return train(row)

    monkeypatch.setattr(module, "train", noted)
    with pytest.raises(OptionsError, match=r"other options: --lr 0\.0002"):
        compare_models(recipe, options)
    assert [row.lr for row in trained] == [2e-4]
    recipe.write_text(ROWS)
    assert compare_models(recipe, options)[0] == first[0]
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("text", "error", "complaint"),
    [
        ("rows", InputError, "is not valid TOML"),
        ("rows = 3", OptionsError, r"must have tables \[rows.NAME\]"),
        ("[train]\nsize = 64", OptionsError, r"must have tables \[rows.NAME\]"),
        ("[rows.a]\nlearning = 1", OptionsError, "learning"),
        ("[rows.a]\nlr = -1.0", OptionsError, "--lr"),
        (None, InputError, "pipelines/compare.toml"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(recipe, options, text, error, complaint):
    recipe.unlink() if text is None else recipe.write_text(text)
    with pytest.raises(error, match=complaint):
        compare_models(recipe, options)
    assert not options.out.exists()


@pytest.mark.parametrize("name", ["compare", "compare-extensions"])
def test_the_comparisons_that_ship_can_be_meant(name):
    rows = read_rows(ROOT / f"pipelines/{name}.toml", CompareOptions(dataset="any"))
    for row in rows.values():
        family = FAMILIES[row.model]
        setup = family.set_up(replace(row, window=row.window or family.windows[0]))
        assert isinstance(setup.config, family.config)


def test_paths_of_a_recipe_are_paths(recipe, options):
    recipe.write_text(f'{ROWS}backbone_weights = "a.pth"\n')
    assert read_rows(recipe, options)["alone"].backbone_weights == Path("a.pth")


def test_every_family_is_compared():
    rows = read_rows(ROOT / "pipelines/compare.toml", CompareOptions(dataset="any"))
    assert {row.model for row in rows.values()} == set(FAMILIES)


def test_a_networks_cost_is_that_of_its_convolutions():
    network = TINY.build_network().eval()
    remove_spectral_norms(network)
    macs, seconds = cost_of(network, 64)
    first = 9 * 1 * 8 * 32 * 32
    assert macs * 1e6 > first
    assert cost_of(network, 128)[0] == pytest.approx(4 * macs)
    assert seconds > 0
