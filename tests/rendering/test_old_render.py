"""A render that version 848aaec began is resumed, or refused in one line."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import luma_of, times_of
from tests.golden.make import chroma_of
from tests.rendering.make_interrupted import MODEL, OPTIONS, WORK
from vidcolor._version import __version__
from vidcolor.cli.app import run

OLD = Path(__file__).parents[1] / "data" / "render-848aaec"
OLD_VERSIONS = {"vidcolor": "0.1.0", "PyAV": "18.1.0"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder with the film, the model and the work folder of the old version."""
    shutil.copy(OLD / "film.mkv", tmp_path)
    shutil.copytree(OLD / "work", tmp_path / WORK)
    with tarfile.open(MODEL) as archive:
        archive.extractall(tmp_path / "model", filter="data")
    return tmp_path


def _versions(folder: Path, versions: dict[str, str]) -> None:
    """Say in the journal that other versions made it."""
    journal = folder / WORK / "journal.jsonl"
    first, *rest = journal.read_text().splitlines(keepends=True)
    work: dict[str, Any] = json.loads(first)["work"]
    assert {name: work[name] for name in versions} == OLD_VERSIONS
    journal.write_text(json.dumps({"work": {**work, **versions}}) + "\n" + "".join(rest))


def _render(folder: Path, out: str, *more: str) -> int:
    words = ["render", *OPTIONS, "--model", str(folder / "model"), *more]
    return run([*words, str(folder / "film.mkv"), str(folder / out)])


def test_an_old_render_resumes_and_ends_as_one_of_today(folder, capsys):
    _versions(folder, {"vidcolor": __version__, "PyAV": av.__version__})
    report = folder / "report.json"
    assert _render(folder, "out.mkv", "--report", str(report)) == 0
    assert json.loads(report.read_text())["resumed_frame_count"] == 30
    assert _render(folder, "whole.mkv") == 0
    out, whole = folder / "out.mkv", folder / "whole.mkv"
    assert times_of(out) == times_of(whole)
    assert np.array_equal(luma_of(out), luma_of(whole))
    # The old frames came from another CPU, which may round otherwise.
    frames = range(90)
    assert np.abs(chroma_of(out, frames) - chroma_of(whole, frames)).max() <= 1


def test_an_old_render_is_refused_in_one_line_where_the_version_is_another(folder, capsys):
    _versions(folder, {"vidcolor": "0.0.9", "PyAV": av.__version__})
    assert _render(folder, "out.mkv") == 4
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert f"vidcolor 0.0.9, not {__version__}" in line
    assert "--restart" in line
    assert (folder / WORK / "00000.nut").is_file()
    assert _render(folder, "out.mkv", "--restart") == 0
