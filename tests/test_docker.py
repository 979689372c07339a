"""The images: linted, and what their files promise."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile*"))
HADOLINT = Path(sys.executable).with_name("hadolint")


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return (keyword, rest) of each instruction, continued lines joined."""
    lines = [
        line
        for line in dockerfile.read_text().replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_linter_finds_nothing(dockerfile):
    assert HADOLINT.exists(), "make .venv/.developing installs hadolint"
    result = subprocess.run([HADOLINT, dockerfile], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_container_does_not_run_as_root(dockerfile):
    users = [rest for keyword, rest in instructions(dockerfile) if keyword == "USER"]
    assert users
    assert users[-1] not in ("root", "0")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_libraries_are_installed_before_the_source_is_copied(dockerfile):
    steps = instructions(dockerfile)
    installed = next(n for n, (_, rest) in enumerate(steps) if "--requirement pyproject" in rest)
    copied = next(n for n, step in enumerate(steps) if step == ("COPY", "vidcolor vidcolor"))
    assert installed < copied


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_all_that_is_copied_exists_and_reaches_the_daemon(dockerfile):
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    for keyword, rest in instructions(dockerfile):
        if keyword == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source.split('/')[0]}" in let_through


def test_all_that_the_package_is_built_from_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {"vidcolor", "models", project["project"]["readme"]}
    needed |= set(project["project"]["license-files"])
    for dockerfile in DOCKERFILES:
        copied = {
            source
            for keyword, rest in instructions(dockerfile)
            if keyword == "COPY"
            for source in rest.split()[:-1]
        }
        assert needed <= copied


def test_compose_file_builds_what_is_there_as_an_ordinary_user():
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    assert set(services) == {"vidcolor", "vidcolor-cuda"}
    for service in services.values():
        context = ROOT / "docker" / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()
        assert not service["user"].startswith(("root", "0"))
