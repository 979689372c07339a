"""What README, docs/, recipes, cards and the Makefile say is true of the program."""

import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import cv2
import pytest

from tests.clips import draw_clip
from tests.models import TINY
from tests.packaging import option_reference
from vidcolor.batch.batch import Outcome
from vidcolor.cli.app import app, run
from vidcolor.errors import VidcolorError
from vidcolor.media.stream_report import StreamAccount
from vidcolor.network.card import Card
from vidcolor.network.weights import save_model
from vidcolor.pipeline.journal import Published, Segment
from vidcolor.rendering.render import Rendered

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/**/*.md")]
WRITTEN = [
    p for p in PAGES if p.name not in ("options.md", "CHANGELOG.md") and "models" not in p.parts
]
"""Pages but for the generated one and those of models, which keep the words of their training."""
TUTORIAL = ROOT / "docs/tutorial/from-box-to-screen.md"
RECIPES = sorted(ROOT.glob("pipelines/*.toml"))
CARDS = sorted(ROOT.glob("models/*/card.toml"))
MAKEFILE = (ROOT / "Makefile").read_text()
MAKE_VALUES = {
    "IN": "in.mp4", "OUT": "out.mp4", "FILM": "film.mkv", "DATASET": "zootopia",
    "CLIPS": "films", "FILMS": "old-films", "PHOTOS": "photos",
}  # fmt: skip


def shell_lines(page: Path) -> list[str]:
    """Return the command lines of a page's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]
    return [line.removeprefix(".venv/bin/") for line in lines if line]


def commands(program: str) -> list[str]:
    lines = {line for page in PAGES for line in shell_lines(page)}
    inline = {
        found for page in PAGES for found in re.findall(rf"`({program} [^`]+)`", page.read_text())
    }
    return sorted(line for line in lines | inline if line.startswith(f"{program} "))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def parse(words: list[str]) -> None:
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch):
    monkeypatch.chdir(ROOT)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_readme_begins_with_the_two_commands():
    first, second, *_ = shell_lines(ROOT / "README.md")
    assert (first.split()[:2], second.split()[:2]) == (["make", "demo"], ["make", "test"])


def test_readme_takes_two_screens_at_most():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def a_small_default_model() -> None:
    """Put a tiny network where `default` is looked up first: what it colors does not matter."""
    save_model(TINY, TINY.build_network(), Path("models/default"))


def run_here(line: str) -> None:
    assert run(shlex.split(line)[1:]) == 0, line


def test_the_readmes_three_commands_work(tmp_path, monkeypatch):
    lines = [line for line in shell_lines(ROOT / "README.md") if line.startswith("vidcolor ")]
    assert [line.split()[1] for line in lines] == ["preview", "render", "compare"]
    monkeypatch.chdir(tmp_path)
    a_small_default_model()
    draw_clip(Path("in.mp4"), frames=8, audio=1)
    for line in lines:
        run_here(line)
    assert {"in-preview.png", "out.mp4", "page.html"} <= {path.name for path in tmp_path.iterdir()}


def test_the_tutorials_commands_work(tmp_path, monkeypatch):
    """On a smaller film than the demo's; a key frame is colored in between, as a user does."""
    lines = shell_lines(TUTORIAL)
    before = ["make demo", "source .venv/bin/activate", "cp demo/film.mp4 reel.mp4"]
    assert lines[:3] == before
    monkeypatch.chdir(tmp_path)
    a_small_default_model()
    draw_clip(Path("reel.mp4"), frames=56, cuts=(28,), width=128, height=80, rate=24, audio=1)
    for name, text in re.findall(r"^```toml (\S+)\n(.*?)^```", TUTORIAL.read_text(), re.M | re.S):
        Path(name).write_text(text)
    for line in lines[3:]:
        run_here(line)
        if line.startswith("vidcolor keyframes"):
            color_a_key_frame(Path("to-color"))
        if "--write-sidecar" in line:
            with Path("reel.vidcolor.toml").open("a") as sidecar:
                sidecar.write("saturation = 0.6\ntemperature = 15\n")
    made = {path.name for path in tmp_path.iterdir()}
    assert {"reel-preview.png", "calm.png", "shots.png", "guided.png"} <= made
    assert {"part.mp4", "reel-color.mp4", "page.html"} <= made


def color_a_key_frame(folder: Path) -> None:
    path = min(folder.iterdir())
    grey_hw = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert grey_hw is not None
    cv2.imwrite(str(path), cv2.applyColorMap(grey_hw, cv2.COLORMAP_AUTUMN))


def test_options_page_is_what_the_options_say():
    assert option_reference.PAGE.read_text() == option_reference.page(), "run make reference"


def test_options_page_has_every_command():
    assert set(option_reference.ORDER) == option_reference.commands()


OPTIONS = set(re.findall(r"(?<=`)--[a-z0-9-]+(?=`)", option_reference.PAGE.read_text()))


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_options_that_a_page_names_exist(page):
    named = re.findall(r"`(--[A-Za-z0-9_-]+)[^`]*`", page.read_text())
    assert set(named) <= OPTIONS | FOREIGN


FOREIGN = {
    "--path", "--large", "--batch_size", "--weight_decay", "--num_epoch", "--lamb", "--numG",
    "--numD", "--patchGAN", "--use_lsgan", "--use_self_attn", "--save", "--gpu", "--model_G",
    "--model_D",  # seed 002's program
    "--num-cpus", "--bench", "--build-arg", "--help",  # ray, simulate_fleet.py, docker
}  # fmt: skip


@pytest.mark.parametrize(
    "record", [Card, Segment, Published, Rendered, StreamAccount, Outcome], ids=lambda r: r.__name__
)
def test_files_page_has_every_key_of_a_record(record):
    page = (ROOT / "docs/reference/files.md").read_text()
    assert [field.name for field in fields(record) if f"`{field.name}`" not in page] == []


def test_metrics_that_are_documented_are_served():
    page = (ROOT / "docs/how-to/monitor.md").read_text()
    named = set(re.findall(r"`(vidcolor_\w+)`", page))
    program = (ROOT / "vidcolor/cli/metrics_server.py").read_text()
    assert {name for name in named if name.removesuffix("_total") not in program} == set()
    assert named


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_page_keeps_to_american_spelling(page):
    prose = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.M | re.S)
    found = re.findall(r"\w*(?:colour|neighbour|behaviour|optimis|minimis|recognis)\w*", prose)
    assert not found


def test_index_lists_every_page():
    index = (ROOT / "docs/README.md").read_text()
    pages = [page for page in ROOT.glob("docs/**/*.md") if page.name != "README.md"]
    missing = [
        name for p in pages if f"({(name := str(p.relative_to(ROOT / 'docs')))})" not in index
    ]
    assert not missing


def test_architecture_page_has_the_layers_of_the_contract():
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    table = page.partition("## Layers")[2].partition("## Decisions")[0]
    rows = [re.findall(r"vidcolor/(\w+)(?:/|\.py)`", row.split("|")[1])
            for row in table.splitlines() if row.startswith("| `")]  # fmt: skip
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [
        set(layer.split(" | ")) - {"_version"} for layer in contracts["contracts"][0]["layers"]
    ]
    assert [set(row) for row in rows] == layers


@pytest.mark.parametrize("line", commands("vidcolor"))
def test_documented_command_is_understood(line):
    words = shlex.split(line)[1:]
    if "COMMAND" in words or words[-1] == "--help":
        return
    if " ".join(words) not in option_reference.commands():
        parse(words)


@pytest.mark.parametrize("line", commands("torchrun"))
def test_documented_training_of_several_processes_is_understood(line):
    words = shlex.split(line)
    assert words[words.index("-m") + 1] == "vidcolor"
    parse(words[words.index("-m") + 2 :])


@pytest.mark.parametrize("line", commands("make"))
def test_documented_make_target_exists(line):
    words = [word for word in shlex.split(line)[1:] if "=" not in word]
    assert set(words) <= targets()
    values = {word.split("=")[0] for word in shlex.split(line)[1:] if "=" in word}
    assert values <= {*MAKE_VALUES, "ARGS"}


def test_help_is_the_first_target_and_lists_every_other():
    assert re.search(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)[1] == "help"  # type: ignore[index]
    printed = subprocess.run(["make"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", printed, re.MULTILINE)) == targets()


@pytest.mark.parametrize("target", ["demo", "frames", "zootopia", "jane-eyre", "train", "evaluate"])
def test_make_target_calls_the_program_rightly(target):
    printed = subprocess.run(
        ["make", "-n", target, *(f"{name}={value}" for name, value in MAKE_VALUES.items())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.splitlines() if line.startswith(".venv/bin/vidcolor ")]
    assert len(lines) == 1
    parse(shlex.split(string.Template(lines[0]).substitute(MAKE_VALUES))[1:])


def test_make_gallery_shows_clips_photos_and_every_film_of_a_folder(tmp_path):
    for name in ("one.mp4", "with blanks.mkv", "-dash.mp4"):
        (tmp_path / name).touch()
    tell = f"{sys.executable} -c 'import sys, json; print(json.dumps(sys.argv[1:]))'"
    printed = subprocess.run(
        ["make", "-s", "-o", ".venv/.installed", f"VIDCOLOR={tell}", "gallery",
         "CLIPS=my clips", f"FILMS={tmp_path}", "PHOTOS=photos"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout  # fmt: skip
    commands = [json.loads(line) for line in printed.splitlines()]
    for words in commands:
        parse(words)
    assert [words[0] for words in commands] == ["evaluate"] * 2 + ["preview"] * 3
    assert "--clips=my clips" in commands[0]
    films = {words[-1]: words[1] for words in commands[2:]}
    assert films == {
        str(tmp_path / name): f"--out=gallery/{name}.png"
        for name in ("one.mp4", "with blanks.mkv", "-dash.mp4")
    }


def test_make_gallery_passes_over_what_is_no_film_and_stops_at_any_other_fault(tmp_path):
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.mp4").touch()
    for code, is_done, count in ((3, True, 2), (5, False, 1)):
        ended = subprocess.run(
            ["make", "-s", "-o", ".venv/.installed", f"VIDCOLOR=sh -c 'echo; exit {code}'",
             "gallery", f"FILMS={tmp_path}"],
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert (ended.returncode == 0) == is_done
        assert len(ended.stdout.splitlines()) == count


def install_lines(path: str) -> str:
    """Return what `make install` would run, with another PATH."""
    return subprocess.run(
        ["make", "-n", "-W", "pyproject.toml", "install"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": path},
    ).stdout


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has CUDA")
def test_a_machine_without_cuda_gets_the_cpu_build_of_torch():
    assert "-c requirements/cpu.txt" in install_lines(os.environ["PATH"])


def test_a_machine_with_cuda_gets_the_cuda_build_of_torch(tmp_path):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)
    lines = install_lines(f"{tmp_path}:{os.environ['PATH']}")
    assert "--editable '.[ffmpeg]'" in lines
    assert "cpu" not in lines


RECIPE_TABLES = [
    (recipe, verb)
    for recipe in RECIPES
    if not recipe.stem.startswith("compare")
    for verb in tomllib.loads(recipe.read_text())
]


@pytest.mark.parametrize(("recipe", "verb"), RECIPE_TABLES, ids=str)
def test_recipe_can_be_meant(recipe, verb):
    tables = tomllib.loads(recipe.read_text())
    words = [verb, "--recipe", str(recipe), *(["film.mkv"] if verb == "extract" else [])]
    needed = [] if "dataset" in tables[verb] or verb == "batch" else ["--dataset", "any"]
    parse([*words, *needed])


def test_recipes_of_the_originals_are_there():
    assert {"zootopia", "jane-eyre"} <= {recipe.stem for recipe in RECIPES}


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.parent.name)
def test_card_loads_and_has_weights_and_a_page(card):
    from vidcolor.network.card import read_card

    assert read_card(card.parent).name == card.parent.name
    assert (card.parent / "weights.safetensors").is_file()
    assert (card.parent / "README.md").is_file()


def test_the_default_model_ships():
    assert "default" in {card.parent.name for card in CARDS}


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_named_files_exist(page):
    text = page.read_text()
    for link, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if "://" not in link:
            target = page.parent / link if link else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), f"{link}#{anchor}"
    for name in re.findall(r"`((?:vidcolor|tests|docs|docker|requirements)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


def test_pictures_are_small():
    pictures = [p for p in (ROOT / "docs").iterdir() if p.suffix in (".jpg", ".png")]
    assert all(picture.stat().st_size < 200_000 for picture in pictures)


def test_exit_codes_in_the_readme_are_those_of_the_errors():
    text = re.sub(r"\s+", " ", (ROOT / "README.md").read_text())
    for error in VidcolorError.__subclasses__():
        word = {"Options": "usage"}.get(error.__name__[:-5], error.__name__[:-5].lower())
        assert f"{error.exit_code} {word}" in text
