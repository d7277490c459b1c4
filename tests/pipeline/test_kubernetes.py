"""What Kubernetes is handed, held against the schemas of the operator and of Kubernetes itself."""

from __future__ import annotations

import copy
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster.batch import manifest
from fdgrad_dask.pipeline.cluster.open import opened
from fdgrad_dask.pipeline.config.cluster import Kubernetes

SECTION = Kubernetes(
    kind="kubernetes",
    encrypted=False,
    image="registry/fdgrad:1",
    workers=3,
    threads=4,
    memory_limit="16 GiB",
    gpus=1,
    claims={"era5": "/data"},
)
WORKFLOW = Path(__file__).parent.parent.parent / "workflows" / "kubernetes"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The operator's schema of a DaskCluster, in which a misspelt key is an error."""
    operator = pytest.importorskip("dask_kubernetes.operator")
    pytest.importorskip("jsonschema")
    charts = Path(operator.__file__).parent / "deployment" / "helm" / "dask-kubernetes-operator"
    path = charts / "crds" / "daskcluster.yaml"
    definition = yaml.safe_load(path.read_text())
    assert definition["spec"]["names"]["kind"] == "DaskCluster"
    (version,) = definition["spec"]["versions"]
    whole = closed(version["schema"]["openAPIV3Schema"])
    whole["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return whole


def closed(schema: Any) -> Any:
    """The schema with no keys but those that it names; Kubernetes would drop others unseen."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = bool(made.get("x-kubernetes-preserve-unknown-fields"))
    return made


def errors(value: Any, schema: dict[str, Any]) -> list[str]:
    import jsonschema

    return [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value)
    ]


def test_the_operator_takes_it(schema: dict[str, Any]) -> None:
    assert errors(manifest(SECTION, "fdgrad-me-1"), schema) == []


def test_the_schema_would_find_a_misspelt_key(schema: dict[str, Any]) -> None:
    wrong = copy.deepcopy(manifest(SECTION, "fdgrad-me-1"))
    wrong["spec"]["worker"]["spec"]["containers"][0]["volumeMount"] = []
    assert "volumeMount" in errors(wrong, schema)[0]


def test_workers_have_what_they_need_and_the_scheduler_no_gpu() -> None:
    pytest.importorskip("dask_kubernetes")
    spec = manifest(SECTION, "fdgrad-me-1")["spec"]
    (worker,), (scheduler,) = (spec[part]["spec"]["containers"] for part in ("worker", "scheduler"))
    needs = {"cpu": "4", "memory": str(16 * 2**30), "nvidia.com/gpu": "1"}
    assert worker["resources"] == {"requests": needs, "limits": needs}
    assert "nvidia.com/gpu" not in str(scheduler)
    assert spec["worker"]["replicas"] == 3
    environment = {item["name"]: item["value"] for item in worker["env"]}
    assert environment["NPROC"] == "4"
    assert environment["JAX_PLATFORMS"] == "cuda"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == str(4 * 2**30)
    arguments = " ".join(worker["args"])
    assert f"--nthreads 1 --memory-limit {16 * 2**30} --dashboard-address 127.0.0.1" in arguments
    assert worker["volumeMounts"] == [{"name": "era5", "mountPath": "/data"}]
    (volume,) = spec["worker"]["spec"]["volumes"]
    assert volume == {"name": "era5", "persistentVolumeClaim": {"claimName": "era5"}}


def test_a_package_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask_kubernetes.operator", None)
    message = re.escape("dask-kubernetes; pip install 'fdgrad_dask[kubernetes]'")
    with pytest.raises(ClusterError, match=message), opened(SECTION):
        pass


def unknown_keys(value: Any, kind: str, where: str) -> list[str]:
    """Keys of an object that the class of the Kubernetes client does not have."""
    if inner := re.fullmatch(r"(?:list\[|dict\(str, |dict\[str, )(\w+)[\])]", kind):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [key for at, item in items for key in unknown_keys(item, inner[1], f"{where}.{at}")]
    models = importlib.import_module("kubernetes_asyncio.client.models")
    if not (model := getattr(models, kind, None)):
        return []
    attributes = {key: name for name, key in model.attribute_map.items()}
    return [
        found
        for key, item in value.items()
        for found in (
            unknown_keys(item, model.openapi_types[attributes[key]], f"{where}.{key}")
            if key in attributes
            else [f"{where}.{key}"]
        )
    ]


FILES = [
    (path.name, number, value)
    for path in sorted(WORKFLOW.glob("*.yaml"))
    for number, value in enumerate(yaml.safe_load_all(path.read_text()))
]


@pytest.mark.parametrize(("name", "number", "value"), FILES)
def test_a_manifest_of_the_workflow_has_no_unknown_key(
    name: str, number: int, value: dict[str, Any]
) -> None:
    pytest.importorskip("kubernetes_asyncio")
    group, _, version = value["apiVersion"].rpartition("/")
    assert group in ("", "apps", "batch", "rbac.authorization.k8s.io", "networking.k8s.io")
    kind = f"{version.capitalize()}{value['kind']}"
    assert unknown_keys(value, kind, value["kind"]) == []
    wrong = {**value, "spce": {}}
    assert unknown_keys(wrong, kind, value["kind"]) == [f"{value['kind']}.spce"]


def test_the_driver_may_do_what_the_operator_needs_of_it() -> None:
    rules = [rule for _, _, value in FILES if value["kind"] == "Role" for rule in value["rules"]]
    allowed = {
        (resource, verb) for r in rules for resource in r["resources"] for verb in r["verbs"]
    }
    assert {("daskclusters", "create"), ("daskclusters", "delete"), ("pods", "list")} <= allowed
