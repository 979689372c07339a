"""From a film to a film in color through the command line: extract, train, render, evaluate."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.clips import audio_packets_of, draw_clip, luma_of, times_of
from vidcolor.cli.app import run

TINY = ("--size", "64", "--ngf", "8", "--ndf", "8", "--batch-size", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a color film, a dataset of it and a model trained for a few steps."""
    folder = tmp_path_factory.mktemp("smoke")
    film = draw_clip(
        folder / "color.mp4", frames=24, width=96, height=80, is_color=True, cuts=(12,)
    )
    data = ("--data", str(folder / "data"))
    assert run(["extract", str(film), "--dataset", "drawn", "--size", "80", *data]) == 0
    out = ("--out", str(folder / "model"), "--max-steps", "3")
    assert run(["train", "--dataset", "drawn", *data, *TINY, *out]) == 0
    return folder


@pytest.fixture
def grey_film(tmp_path):
    return draw_clip(tmp_path / "grey.mp4", frames=15, width=96, height=80, cuts=(7,), audio=2)


def render(film: Path, out: Path, folder: Path, *flags: str) -> None:
    assert run(["render", str(film), str(out), "--model", str(folder / "model"), *flags]) == 0


def since_first(times: list[Fraction]) -> list[int]:
    """Return milliseconds, Matroska's resolution; it also starts a film with its sound at 0."""
    return [round((time - times[0]) * 1000) for time in times]


def test_rendered_film_has_the_luma_times_and_sound_of_its_source(folder, grey_film, tmp_path):
    out = tmp_path / "out.mkv"
    render(grey_film, out, folder, "--codec", "ffv1")
    pairs = list(zip(luma_of(grey_film), luma_of(out), strict=True))
    assert all((mine == theirs).all() for mine, theirs in pairs)
    assert since_first(times_of(out)) == since_first(times_of(grey_film))
    assert audio_packets_of(out) == audio_packets_of(grey_film)


def test_rendered_mp4_has_color_and_exact_times(folder, grey_film, tmp_path):
    out = tmp_path / "out.mp4"
    render(grey_film, out, folder, "--saturation", "4")
    assert times_of(out) == times_of(grey_film)
    assert audio_packets_of(out) == audio_packets_of(grey_film)
    with av.open(str(out)) as container:
        frame = next(container.decode(video=0))
    assert frame.to_ndarray()[frame.height :].std() > 0


def test_the_program_itself_renders(folder, grey_film, tmp_path):
    out = tmp_path / "-o.mov"
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "vidcolor",
            "render",
            "--model",
            folder / "model",
            "--",
            grey_film,
            out,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith("Streams")
    assert len(times_of(out)) == 15
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("-")] == ["-o.mov"]


def test_training_goes_on_where_it_stopped(folder, capsys):
    data = ("--dataset", "drawn", "--data", str(folder / "data"))
    out = ("--out", str(folder / "longer"))
    assert run(["train", *data, *TINY, *out, "--max-steps", "2"]) == 0
    assert run(["train", *data, *TINY, *out, "--max-steps", "4", "--resume"]) == 0
    assert "from step 2" in capsys.readouterr().err


def test_a_film_can_be_trained_on_directly(folder):
    out = folder / "direct"
    words = ["train", "--film", str(folder / "color.mp4"), "--data", str(folder / "data2")]
    assert run([*words, *TINY, "--out", str(out), "--max-steps", "1"]) == 0
    assert (out / "card.toml").is_file()


def test_scores_stand_beside_those_of_grey_and_truth(folder, capsys):
    scores = folder / "scores.json"
    words = ["evaluate", "--model", str(folder / "model"), "--clips", str(folder / "color.mp4")]
    assert (
        run([*words, "--size", "80", "--json", str(scores), "--sheet", str(folder / "s.png")]) == 0
    )
    assert "PSNR" in capsys.readouterr().out
    assert {row["kind"] for row in json.loads(scores.read_text())["mean"]} >= {"result", "grey"}
    assert (folder / "s.png").is_file()


def test_datasets_are_listed_and_packed(folder, capsys):
    data = ("--data", str(folder / "data"))
    assert run(["dataset", "pack", "drawn", *data]) == 0
    assert run(["dataset", "list", *data]) == 0
    assert run(["dataset", "info", "drawn", *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == lines[2]


def test_demo_draws_colors_and_compares(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vidcolor.demo.demo.FRAMES_OF_SHOT", 2)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "default").symlink_to(folder / "model")
    assert run(["demo"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[-2:]] == [
        "wrote demo/film-in-color.mp4",
        "wrote demo/film-in-color.png",
    ]
    assert audio_packets_of(Path("demo/film.mp4")) == audio_packets_of(
        Path("demo/film-in-color.mp4")
    )
    assert Path("demo/film-in-color.png").stat().st_size > 10_000
