"""What is built of the checkout holds all of it, and works away from it."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.clips import draw_clip

ROOT = Path(__file__).parents[2]
BUILD = """
import sys
from setuptools.build_meta import build_sdist, build_wheel
dist = sys.argv[1]  # which building changes
build_wheel(dist)
build_sdist(dist)
"""
USE = """
import sys
import vidcolor
from vidcolor.cli.app import run
print(vidcolor.__file__)
assert run(["models", "list"]) == 0
assert run(["render", "--device", "cpu", *sys.argv[1:]]) == 0
"""


def _tracked(*folders: str) -> set[str]:
    """Return the checkout's files in some folders that git knows, or will know."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a folder with the wheel and the sdist; they are built of a copy."""
    folder = tmp_path_factory.mktemp("built")
    checkout, dist = folder / "checkout", folder / "dist"
    dist.mkdir()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in (*_tracked("vidcolor", "models"), "pyproject.toml", project["readme"], "LICENSE"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(dist)], cwd=checkout, check=True, capture_output=True
    )
    return dist


def test_wheel_and_sdist_hold_every_file_of_the_package(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    package = _tracked("vidcolor")
    models = {
        name
        for name in _tracked("models")
        if Path(name).name in ("card.toml", "weights.safetensors", "README.md", "__init__.py")
    }
    assert package | models <= inside
    named = zipfile.ZipFile(wheel).namelist()
    assert package | {f"vidcolor/{name}" for name in models} <= set(named)


def test_the_wheel_lists_models_and_renders_away_from_the_checkout(built, tmp_path):
    site, film = tmp_path / "site", draw_clip(tmp_path / "film.mkv", frames=4, codec="ffv1")
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    used = subprocess.run(
        [sys.executable, "-c", USE, str(film), str(tmp_path / "out.mkv")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert used.returncode == 0, used.stderr
    assert used.stdout.splitlines()[0] == str(site / "vidcolor" / "__init__.py")
    assert "default" in used.stdout
    assert (tmp_path / "out.mkv").is_file()
