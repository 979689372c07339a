"""The fields of KubeRay's RayJob that docker/k8s/ uses, as a JSON schema that knows no others.

After the types of ray.io/v1 in KubeRay 1.4 (RayJobSpec, RayClusterSpec, HeadGroupSpec,
WorkerGroupSpec); the templates of pods are checked against Kubernetes' own schema instead.
"""

from collections.abc import Iterator
from typing import Any


def _object(needed: str, optional: str = "", **fields: Any) -> dict[str, Any]:
    known = {name: ANY | fields.pop(name, {}) for name in (needed + " " + optional).split()}
    assert not fields
    return {
        "type": "object",
        "properties": known,
        "required": needed.split(),
        "additionalProperties": False,
    }


ANY: dict[str, Any] = {}
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
YES_OR_NO = {"type": "boolean"}
START_PARAMS = {"type": "object", "additionalProperties": TEXT}

HEAD = _object("rayStartParams template", rayStartParams=START_PARAMS)
WORKERS = _object(
    "groupName minReplicas maxReplicas rayStartParams template",
    "replicas",
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=START_PARAMS,
)
CLUSTER = _object(
    "headGroupSpec",
    "rayVersion workerGroupSpecs",
    rayVersion=TEXT,
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
)
RAY_JOB = _object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=_object("name", "namespace labels annotations", name=TEXT),
    spec=_object(
        "entrypoint rayClusterSpec",
        "backoffLimit shutdownAfterJobFinishes ttlSecondsAfterFinished",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes=YES_OR_NO,
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=CLUSTER,
    ),
)


def pod_templates(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the templates of a RayJob's pods: the head's, then those of the workers."""
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield group["template"]
