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
from pathlib import Path

import pytest

from vidcolor.cli.app import app
from vidcolor.errors import VidcolorError

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/**/*.md")]
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


def test_readme_begins_with_the_two_commands():
    first, second, *_ = shell_lines(ROOT / "README.md")
    assert (first.split()[:2], second.split()[:2]) == (["make", "demo"], ["make", "test"])


@pytest.mark.parametrize("line", commands("vidcolor"))
def test_documented_command_is_understood(line):
    words = shlex.split(line)[1:]
    if "COMMAND" in words or words[-1] == "--help":
        return
    if len(words) == 1:
        assert words[0] in app
        return
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


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link
    for name in re.findall(r"`((?:vidcolor|tests|docs|docker|requirements)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


def test_pictures_are_small():
    pictures = [p for p in (ROOT / "docs").iterdir() if p.suffix in (".jpg", ".png")]
    assert all(picture.stat().st_size < 200_000 for picture in pictures)


def test_usage_names_the_options_that_there_are(capsys):
    app(["render", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    table = re.findall(r"^\| (`--.*?) \|", (ROOT / "docs/usage.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", " ".join(table))) <= known


def test_exit_codes_in_the_readme_are_those_of_the_errors():
    text = re.sub(r"\s+", " ", (ROOT / "README.md").read_text())
    for error in VidcolorError.__subclasses__():
        word = {"Options": "usage"}.get(error.__name__[:-5], error.__name__[:-5].lower())
        assert f"{error.exit_code} {word}" in text
