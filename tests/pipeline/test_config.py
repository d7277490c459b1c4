"""What a config may say, and how it is told what it may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fdgrad_dask import operators
from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.cluster import Cluster
from fdgrad_dask.pipeline.config.schema import Config, load, load_cluster

STEP = {"operator": "gradient", "inputs": ["sst"]}

EVERY_ERROR = """\
sourc: {path: x}
source: {path: "${NOT_SET}/x", chunk: {time: 3}, chunks: {time: no, latitude: 0}}
steps:
  - operator: gradeint
    inputs: [a]
  - {operator: gradient, inputs: [a, b], options: {dim: x, edge_oder: 2, acuracy: 4}}
  - {operator: gradient}
target: {path: out.h5}
cluster: {workers: "2", memory_limit: lots}
picture: {path: a.jpg, variable: q, mean: time}
"""


def test_all_errors_come_at_once_with_line_path_and_advice(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(EVERY_ERROR)
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    chunk = "a chunk is a number of points, -1 for the whole dimension, or auto, got"
    assert str(caught.value).splitlines() == [
        f"{path}: 14 errors",
        "  line 1, sourc: unknown key; did you mean 'source'?",
        "  line 2, source.chunk: unknown key; did you mean 'chunks'?",
        f"  line 2, source.chunks.latitude: {chunk} 0",
        f"  line 2, source.chunks.time: {chunk} 'no'",
        "  line 2, source.path: the environment variable 'NOT_SET' is not set; export it, or "
        "write the value",
        "  line 4, steps[0].operator: no operator 'gradeint'; did you mean 'gradient'?",
        "  line 6, steps[1].inputs: gradient needs 1 (field), got 2",
        "  line 6, steps[1].options.acuracy: gradient has no such option; did you mean 'accuracy'?",
        "  line 6, steps[1].options.edge_oder: gradient has no such option; did you mean "
        "'edge_order'?",
        "  line 7, steps[2].inputs: is missing; write it",
        "  line 8, target.path: 'out.h5' does not end in .zarr, .icechunk or .nc, by which its "
        "format is told; rename it",
        "  line 9, cluster.memory_limit: 'lots' is no amount of memory; write it like 4 GiB, or "
        "auto",
        "  line 9, cluster.workers: input should be a valid integer, got '2'",
        "  line 10, picture.path: 'a.jpg' does not end in .png, and only PNG is drawn; rename it",
    ]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"steps": []}, r"steps: list should have at least 1 item"),
    ({"steps": None}, r"steps: is missing; write it"),
    ({"source": {"path": []}}, r"source.path: this is a name, or a list of at least one, got \[\]"),
    ({"target": {"path": "s3://b/x.zarr"}}, r"is a URL, only files on this machine are written"),
    ({"source": {"path": " "}}, r"source.path: the path is empty; write one"),
    ({"source": {"path": 3}}, r"source.path: this is a name, or a list of at least one, got 3"),
    ({"steps": [{**STEP, "output": "../up"}]}, r"'../up' cannot name a variable; use letters"),
    (
        {"steps": [{**STEP, "output": []}]},
        r"steps\[0\].output: this is a name, or a list of at least one",
    ),
    (
        {"steps": [{**STEP, "output": "a"}, {**STEP, "output": ["b", "a"]}]},
        r"steps\[1\].output: steps\[0\] already gives 'a'; rename one of the two",
    ),
    (
        {"target": {"path": "out.zarr", "chunks": {"time": 0}}},
        r"target.chunks.time: .*greater than",
    ),
    ({"cluster": {"kind": "slrum"}}, r"cluster.kind: no kind 'slrum'; did you mean 'slurm'\?"),
    ({"cluster": "slurm"}, r"cluster: input should be a valid dictionary .*, got 'slurm'"),
    ({"cluster": {"workers": 0}}, r"cluster.workers: input should be greater than 0, got 0"),
    ({"cluster": {"workers": True}}, r"cluster.workers: input should be a valid integer, got True"),
    ({"cluster": {"memory_limit": "-1 GB"}}, r"'-1 GB' is no amount of memory"),
    (
        {"picture": {"path": "out.zarr/map.png", "variable": "a"}},
        r"picture.path: '.*/out.zarr/map.png' lies inside the target; put it beside it",
    ),
]


@pytest.mark.parametrize(("sections", "message"), REFUSED)
def test_a_wrong_section_is_refused(
    sections: dict[str, Any], message: str, write: Callable[..., str]
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(write(**sections))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("in.zarr", "in.zarr"),
        ("in.zarr", "in.zarr/deep/out.zarr"),
        ("out.zarr/in.zarr", "out.zarr"),
        ("out.zarr.partial", "out.zarr"),
        ("link.zarr", "in.zarr"),
        ("i*.zarr", "in.zarr"),
    ],
)
def test_target_and_source_stay_apart(
    source: str, target: str, write: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "in.zarr").mkdir()
    (tmp_path / "link.zarr").symlink_to("in.zarr")
    with pytest.raises(ConfigError, match=r"target.path: .* overlap; name another path"):
        load(write(source={"path": source}, target={"path": target}))


def test_paths_take_home_and_environment(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.setenv("HOME", "/home/me")
    config = load(write(source={"path": ["${DATA}/a.nc", "~/b.nc"]}))
    assert config.source.path == ("/data/a.nc", "/home/me/b.nc")


def test_the_environment_is_read_into_every_string(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PART", "zonal")
    source = {"path": "in.zarr", "select": {"member": "r${PART}"}, "group": "${PART}/mean"}
    step = {**STEP, "output": "${PART}_gradient", "options": {"dim": "${PART}"}}
    config = load(write(source=source, steps=[step]))
    assert config.source.select == {"member": "rzonal"}
    assert config.source.group == "zonal/mean"
    assert config.steps[0].output == ("zonal_gradient",)
    assert config.steps[0].options == {"dim": "zonal"}
    with pytest.raises(ConfigError, match=r"target.path: the environment variable 'NONE' is not"):
        load(write(target={"path": "${NONE}.zarr"}))


def test_one_name_is_a_list_of_one(write: Callable[..., str]) -> None:
    config = load(write(steps=[{"operator": "gradient", "inputs": "sst", "output": "d"}]))
    assert config.steps[0].inputs == ("sst",)
    assert config.steps[0].output == ("d",)


def test_the_cluster_has_sensible_defaults(write: Callable[..., str]) -> None:
    config = load(write(cluster=None))
    assert config.cluster.kind == "threads"
    assert load(write(cluster={"workers": 2})).cluster.kind == "local"
    assert 1 <= config.cluster.workers <= 4
    assert config.cluster.threads >= 1
    assert config.cluster.memory_limit == "auto"


def test_a_config_is_frozen(write: Callable[..., str]) -> None:
    config = load(write())
    with pytest.raises(ValueError, match="frozen"):
        config.target = config.target  # type: ignore[misc]


def test_a_cluster_file_holds_nothing_but_the_section(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("kind: local\nworkers: 3\nmemory_limit: 2 GiB\n")
    assert load_cluster(str(path)).workers == 3
    path.write_text("cluster: {workers: 3}\n")
    with pytest.raises(ConfigError, match="line 1, cluster: unknown key; there is: kind, workers"):
        load_cluster(str(path))


def test_files_that_cannot_be_read(tmp_path: Path, write: Callable[..., str]) -> None:
    path = write()
    with pytest.raises(ConfigError, match=r"no file '.*confg.yaml'; did you mean '.*config.yaml'"):
        load(path.replace("config", "confg"))
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory.*; give a YAML file"):
        load(str(tmp_path))
    Path(path).write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"cannot be read: 'utf-8' codec"):
        load(path)
    Path(path).write_text("a: 1\na: 2")
    with pytest.raises(ConfigError, match=r"config.yaml: line 2: 'a' is already given in line 1"):
        load(path)


def test_kinds_of_cluster_are_those_that_can_be_opened() -> None:
    sections = get_args(get_args(Cluster)[0])
    assert {get_args(section)[1].tag for section in sections} == {"threads", *cluster.OPEN}


def test_the_schema_lists_the_operators_and_explains_itself() -> None:
    schema = Config.model_json_schema()
    operator = schema["$defs"]["Step"]["properties"]["operator"]
    assert operator["enum"] == list(operators.__all__)
    assert operator["description"] == "What `fdgrad operators` lists."
    assert schema["additionalProperties"] is False
    assert {"type": "string"} in schema["$defs"]["Source"]["properties"]["path"]["anyOf"]


@pytest.mark.parametrize("name", operators.__all__)
def test_every_operator_can_be_described(name: str) -> None:
    told = catalog.described(name)
    assert catalog.inputs_of(name)
    assert told.startswith(f"{name}: ")
    assert len(told.splitlines()[0]) > len(name) + 2
