"""The images and how they are started: linted, and what their files promise."""

import copy
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import ValidationError, validate

from tests.kuberay import RAY_JOB, pod_templates
from vidcolor.cli.app import app

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile*"))
COMPOSE = ROOT / "docker" / "compose.yaml"
MANIFESTS = sorted((ROOT / "docker" / "k8s").glob("*.yaml"))
KUBERNETES = "1.31"
"""An old version that is still looked after: what it knows, newer ones know."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tool(name: str) -> Path:
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"make .venv/.developing installs {name}"
    return path


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return (keyword, rest) of each instruction, continued lines joined."""
    lines = [
        line
        for line in dockerfile.read_text().replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_linter_finds_nothing(dockerfile):
    result = subprocess.run(
        [tool("hadolint"), dockerfile], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_container_does_not_run_as_root(dockerfile):
    users = [rest for keyword, rest in instructions(dockerfile) if keyword == "USER"]
    assert users
    assert users[-1] not in ("root", "0")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_libraries_are_installed_before_the_source_is_copied(dockerfile):
    steps = instructions(dockerfile)
    installed = [n for n, (_, rest) in enumerate(steps) if "--requirement pyproject" in rest]
    assert max(installed) < steps.index(("COPY", "vidcolor vidcolor"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_all_that_is_copied_exists_and_reaches_the_daemon(dockerfile):
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    for keyword, rest in instructions(dockerfile):
        if keyword == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source.split('/')[0]}" in let_through


def test_all_that_the_package_is_built_from_is_copied():
    needed = {"vidcolor", "models", PROJECT["readme"], *PROJECT["license-files"]}
    for dockerfile in DOCKERFILES:
        copied = {
            source
            for keyword, rest in instructions(dockerfile)
            if keyword == "COPY"
            for source in rest.split()[:-1]
        }
        assert needed <= copied


def test_images_hold_what_a_cluster_and_prometheus_need():
    (dockerfile,) = DOCKERFILES
    installing = [rest for keyword, rest in instructions(dockerfile) if keyword == "RUN"]
    chosen = [set(re.findall(r"--extra (\w+)", line)) for line in installing]
    chosen = [extras for extras in chosen if extras]
    assert len(chosen) == 2
    for extras in chosen:
        assert {"cluster", "metrics", "ffmpeg"} <= extras <= set(PROJECT["optional-dependencies"])


def test_every_build_of_torch_that_is_asked_for_is_a_stage():
    (dockerfile,) = DOCKERFILES
    steps = instructions(dockerfile)
    stages = {
        rest.split(" AS ")[1] for keyword, rest in steps if keyword == "FROM" and " AS " in rest
    }
    default = next(rest for keyword, rest in steps if keyword == "ARG")
    asked = {default.removeprefix("TORCH=")}
    asked |= set(re.findall(r"--build-arg TORCH=(\w+)", dockerfile.read_text()))
    asked |= {
        service["build"]["args"]["TORCH"]
        for service in documents(COMPOSE)[0]["services"].values()
        if "args" in service.get("build", {})
    }
    assert {f"torch-{build}" for build in asked} == {"torch-cpu", "torch-cuda"} <= stages


def compose_errors(path: Path) -> str:
    result = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout if result.returncode else ""


def test_compose_file_is_one():
    assert compose_errors(COMPOSE) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("replicas:", "replica:"), ("condition: service_healthy", "condition: ready"),
     ("profiles: [cluster]", "profiles: cluster")],
)  # fmt: skip
def test_a_mistake_in_the_compose_file_would_be_found(right, wrong, tmp_path):
    text = COMPOSE.read_text()
    assert right in text
    path = tmp_path / "compose.yaml"
    path.write_text(text.replace(right, wrong))
    assert compose_errors(path) != ""


def services() -> dict[str, dict[str, Any]]:
    (compose,) = documents(COMPOSE)
    return dict(compose["services"])


def test_services_run_images_that_are_built_there_as_an_ordinary_user():
    built = {}
    for service in services().values():
        assert not service["user"].startswith(("root", "0"))
        if "build" in service:
            context = ROOT / "docker" / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).is_file()
            built[service["image"]] = service["build"]
    assert {service["image"] for service in services().values()} == set(built)


def test_a_cluster_is_a_head_some_workers_and_a_batch_on_one_folder():
    found = services()
    assert set(found) == {"vidcolor", "vidcolor-cuda", "head", "worker", "batch"}
    for name in ("head", "worker", "batch"):
        assert found[name]["profiles"] == ["cluster"]
        assert found[name]["volumes"] == found["vidcolor"]["volumes"]
    assert found["worker"]["deploy"]["replicas"] == "${WORKERS:-2}"
    for name in ("worker", "batch"):
        assert found[name]["depends_on"] == {"head": {"condition": "service_healthy"}}
        assert "--address=head:6379" in str(found[name]["command"])
    assert "--port=6379" in found["head"]["command"]
    for name in ("head", "batch"):  # workers alone render
        assert "--num-cpus=0" in str(found[name]["command"])


def ray_commands() -> list[list[str]]:
    """Return the words after `ray` with which each machine of the cluster is started."""
    found = services()
    script = found["batch"]["command"][0].splitlines()
    joining = [shlex.split(line)[1:-1] for line in script if line.startswith("ray ")]
    return [found["head"]["command"], found["worker"]["command"], *joining]


@pytest.mark.parametrize("words", ray_commands(), ids=" ".join)
def test_ray_knows_the_options_that_its_machines_are_started_with(words):
    pytest.importorskip("ray")
    from ray.scripts.scripts import cli

    command, *options = words
    context = cli.commands[command].make_context(command, list(options))
    assert context.args == []


def vidcolor_commands() -> list[str]:
    lines = [line for line in services()["batch"]["command"][0].splitlines() if "vidcolor" in line]
    jobs = [each for path in MANIFESTS for each in documents(path) if each["kind"] == "RayJob"]
    return [lines[0].removeprefix("exec "), *(job["spec"]["entrypoint"] for job in jobs)]


@pytest.mark.parametrize("line", vidcolor_commands())
def test_what_a_cluster_runs_is_understood(line):
    program, *words = shlex.split(line)
    assert program == "vidcolor"
    app.parse_args(words, exit_on_error=False, print_error=False)


def check(document: dict[str, Any]) -> None:
    """Raise what is wrong with a manifest, in KubeRay's parts and in Kubernetes' own."""
    if document["kind"] != "RayJob":
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        return
    validate(document, RAY_JOB)
    for template in pod_templates(document):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "any"}}
        kubernetes_validate.validate(pod | {"template": template}, KUBERNETES, strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifest_is_one(path):
    for document in documents(path):
        check(document)


def ray_job() -> dict[str, Any]:
    (job,) = documents(ROOT / "docker" / "k8s" / "batch.yaml")
    return copy.deepcopy(job)  # aliases of YAML are one object


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "entryPoint"), "vidcolor"),
        (("spec", "backoffLimit"), "2"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "replica"), 4),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "container"), []),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "volumes", 0, "pvc"), {}),
    ],
)
def test_a_mistake_in_a_manifest_would_be_found(place, value):
    job = ray_job()
    check(job)
    at = job
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        check(job)


def test_pods_mount_volumes_that_there_are_and_are_nobody_special():
    (claim,) = documents(ROOT / "docker" / "k8s" / "films.yaml")
    for template in pod_templates(ray_job()):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["films"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_cluster_runs_one_image_and_a_version_of_ray_that_it_holds():
    from packaging.requirements import Requirement

    job = ray_job()
    images = {c["image"] for t in pod_templates(job) for c in t["spec"]["containers"]}
    assert images == {"vidcolor:cuda"}
    wanted = [Requirement(line) for line in PROJECT["optional-dependencies"]["cluster"]]
    (ray,) = [each for each in wanted if each.name == "ray"]
    assert job["spec"]["rayClusterSpec"]["rayVersion"] in ray.specifier
