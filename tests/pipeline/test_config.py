"""What a config may say, and how it is told what it may not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fdgrad_dask import operators
from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config import redaction
from fdgrad_dask.pipeline.config.cluster import Cluster
from fdgrad_dask.pipeline.config.schema import Config, load, load_all
from fdgrad_dask.pipeline.config.yaml import parse

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
        "  line 2, source.path: the environment variable 'NOT_SET' is not set; export it, or "
        "write ${NOT_SET:-default}",
        "  line 2, source.chunk: unknown key; did you mean 'chunks'?",
        f"  line 2, source.chunks.time: {chunk} 'no'",
        f"  line 2, source.chunks.latitude: {chunk} 0",
        "  line 4, steps[0].operator: no operator 'gradeint'; did you mean 'gradient'?",
        "  line 6, steps[1].inputs: gradient needs 1 (field), got 2",
        "  line 6, steps[1].options.edge_oder: gradient has no such option; did you mean "
        "'edge_order'?",
        "  line 6, steps[1].options.acuracy: gradient has no such option; did you mean 'accuracy'?",
        "  line 7, steps[2].inputs: is missing; write it",
        "  line 8, target.path: 'out.h5' does not end in .zarr, .icechunk or .nc, which decide "
        "its format; rename it",
        "  line 9, cluster.workers: input should be a valid integer, got '2'",
        "  line 9, cluster.memory_limit: 'lots' is no amount of memory; write it like 4 GiB, or "
        "auto",
        "  line 10, picture.path: 'a.jpg' does not end in .png; rename it",
    ]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"steps": []}, r"steps: list should have at least 1 item"),
    ({"steps": None}, r"steps: is missing; write it"),
    ({"source": {"path": []}}, r"source.path: this is a name, or a list of at least one, got \[\]"),
    (
        {"target": {"path": "s3://b/x.nc"}},
        r"a URL at which only Zarr and Icechunk are",
    ),
    (
        {"target": {"path": "ftp://b/x.zarr"}},
        r"and only to s3://, gs:// and az://; name",
    ),
    (
        {"target": {"path": "s3://me:secret@b/x.zarr"}},
        r"a key to a bucket belongs into target",
    ),
    (
        {"target": {"path": "s3://b/x.zarr", "storage_options": {"key": "x"}}},
        r"key is a name of fsspec, .* write access_key_id in its place",
    ),
    ({"target": {"path": "s3://x.zarr"}}, r"no place in a bucket; write s3://BUCKET/NAME.zarr"),
    (
        {"source": {"path": "s3://b/x.zarr"}, "target": {"path": "s3://b/x.zarr"}},
        r"'s3://b/x.zarr' and the source 's3://b/x.zarr' overlap; name another path",
    ),
    ({"report": {"path": "s3://b/x.html"}}, r"is a URL, and this is a file on this machine; name"),
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
    ({"cluster": "slurm"}, r"cluster: no cluster 'slurm' in .*/fdgrad/clusters; there is none"),
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


@pytest.mark.parametrize(
    ("pattern", "target", "taken"),
    [
        ("*.nc", "out.nc", "out.nc"),
        ("d*/*", "data/out.zarr", "data/out.zarr"),
        ("*.p*l", "out.zarr", "out.zarr.partial"),
        ("*/*.nc", "out.nc", None),
        ("[a-n]*.nc", "out.nc", None),
    ],
)
def test_a_pattern_does_not_take_in_what_the_run_makes(
    pattern: str, target: str, taken: str | None, write: Callable[..., str]
) -> None:
    config = write(source={"path": pattern}, target={"path": target})
    if taken is None:
        load(config)
        return
    with pytest.raises(ConfigError, match=rf"takes in '.*/{taken}'; name another path"):
        load(config)


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


VALUES = [
    ("${SET}", "7", 7),
    ("'${SET}'", "7", "7"),
    ("${SET}", "07-01", "07-01"),
    ("${SET}", "a: [b", "a: [b"),
    ("x${SET}y", "1", "x1y"),
    ("${SET}", "", None),
    ("'${SET}'", "", ""),
    ("${UNSET:-4}", "", 4),
    ("'${UNSET:-4}'", "", "4"),
    ("${SET:-4}", "", 4),
    ("${SET:-4}", "5", 5),
    ("${UNSET:-}", "", None),
    ("'a${UNSET:-}b'", "", "ab"),
    ("${UNSET:-:-x y}", "", ":-x y"),
    ("$${SET}", "5", "${SET}"),
    ("$$${SET}", "5", "$${SET}"),
    ("$SET", "5", "$SET"),
    ("[1, '${SET}']", "5", [1, "5"]),
]


@pytest.mark.parametrize(("text", "value", "wanted"), VALUES)
def test_a_variable_is_text_in_quotes_and_yaml_without(
    text: str, value: str, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET", value)
    monkeypatch.delenv("UNSET", raising=False)
    document = parse(f"key: {text}")
    assert (document.values, document.problems) == ({"key": wanted}, [])


def test_a_sign_that_begins_no_variable_is_an_error() -> None:
    for text in ("${", "${}", "${a b}", "${A:-${B}}", "${A-b}"):
        [(path, message)] = parse(f"a: [0, '{text}']").problems[:1]
        assert path == ("a", 1)
        assert message.startswith("'${' begins no variable; write ${NAME}, ${NAME:-default}, or")


def test_a_variable_in_options_of_a_store_stays_secret(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_hidden", {})
    monkeypatch.setenv("TOKEN", "opensesame")
    monkeypatch.setenv("YEAR", "2001-2002")
    source = {"path": "${YEAR}.zarr", "storage_options": {"endpoint": "http://x/${TOKEN}"}}
    config = load(write(source=source))
    assert config.source.storage_options == {"endpoint": "http://x/opensesame"}
    assert redaction.scrub("opensesame in 2001-2002") == "${TOKEN} in 2001-2002"
    for place in ("cluster: {prologue: ['export KEY=${KEY}']}", "source: {path: 'x://${KEY}/y'}"):
        monkeypatch.setenv("KEY", place)
        parse(place)
        assert redaction.scrub(f"-{place}-") == "-${KEY}-"


def test_a_setting_of_the_command_replaces_a_value(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIM", "time")
    settings = [
        "steps.0.options.dim=longitude",
        "steps.0.options.dim=${DIM}",
        "source.select.time=[2001-01, 2001-12]",
        "target.chunks.time=3",
        "picture={path: a.png, variable: b}",
        "picture.variable='1'",
        "source.rename.a=b=c",
    ]
    config = load_one(write(report={"path": "r.html"}), *settings, "report=")
    assert config.steps[0].options == {"dim": "time"}
    assert config.source.select == {"time": ("2001-01", "2001-12")}
    assert config.source.rename == {"a": "b=c"}
    assert config.target.chunks == {"time": 3}
    assert config.picture is not None
    assert config.picture.variable == "1"
    assert config.report is None


WRONG_SETTINGS = [
    ("target.chunks.time=0", "1 error\n  --set, target.chunks.time: input should be greater"),
    ("targt.path=a", "1 error\n  --set, targt: unknown key; did you mean 'target'?"),
    ("target", "--set target: there is no = in it; write --set a.b=c"),
    ("steps.1.output=a", "--set steps.1.output: there is no 1 in steps; items are counted from 0"),
    ("steps.x.output=a", "--set steps.x.output: there is no 'x' in steps; items are counted"),
    ("source.path.a=a", "--set source.path.a: there is no 'a' in source.path; items"),
    ("steps=[", "--set steps: line 1: not YAML: expected the node content"),
    ("steps.0.output=${NONE}", "--set, steps[0].output: the environment variable 'NONE' is not"),
    ("target.chunks={a: 0}", "--set, target.chunks.a: input should be greater than 0, got 0"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG_SETTINGS)
def test_an_error_names_the_setting(setting: str, message: str, write: Callable[..., str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_one(write(), setting)
    assert message in str(caught.value)


def test_parameters_make_a_run_of_each_combination(write: Callable[..., str]) -> None:
    path = Path(write(target={"path": "${year}-${month}.zarr"}, source={"path": "in-${month}.nc"}))
    path.write_text(path.read_text() + "parameters: {year: [2001, 2002], month: [01, 02]}")
    configs = load_all([str(path)])
    assert list(configs) == [
        f"{path} (year={year}, month={month})" for year in (2001, 2002) for month in ("01", "02")
    ]
    here = os.getcwd()
    last = configs[f"{path} (year=2002, month=01)"]
    assert last.target.path == f"{here}/2002-01.zarr"
    assert last.source.path == (f"{here}/in-01.nc",)
    assert "parameters" not in last.model_dump()
    settings = ["parameters.month=[03]", "parameters.year=0x1"]
    assert list(load_all([str(path)], settings)) == [f"{path} (year=0x1, month=03)"]
    with pytest.raises(ConfigError, match="describes 4 runs by its parameters; give one value"):
        load(str(path))
    with pytest.raises(ConfigError, match=r"month=01\) and .*month=02\) both write .*/x.zarr"):
        load_all([str(path)], ["target.path=x.zarr"])
    with pytest.raises(ConfigError, match=r"\(year=2001, month=01\): 1 error\n  --set, source.grp"):
        load_all([str(path)], ["source.grp=x"])
    for wrong, message in [
        ("parameters.month=[]", r"parameters.month: this is a name, or a list of at least one"),
        ("parameters=3", r"parameters: input should be a valid dictionary"),
        ("parameters.month={a: b}", r"parameters.month: this is a name, or a list"),
    ]:
        with pytest.raises(ConfigError, match=message):
            load_all([str(path)], [wrong])


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


def load_one(path: str, *settings: str) -> Config:
    [config] = load_all([path], settings).values()
    return config


def test_a_cluster_file_holds_nothing_but_the_section(write: Callable[..., str]) -> None:
    path = Path("cluster.yaml")
    path.write_text("kind: local\nworkers: 3\nmemory_limit: 2 GiB\n")
    assert (
        load_one(write(cluster={"workers": "wrong"}), "cluster=cluster.yaml").cluster.workers == 3
    )
    assert load(write(cluster="./cluster.yaml")).cluster.workers == 3
    path.write_text("\ncluster: {workers: 3}\n")
    wrong = r"cluster.yaml line 2, cluster.cluster: unknown key; there is: kind, workers"
    with pytest.raises(ConfigError, match=wrong):
        load_one(write(), "cluster=cluster.yaml")
    path.write_text("- 3")
    with pytest.raises(ConfigError, match=r"cluster.yaml holds no section of a cluster"):
        load_one(write(), "cluster=cluster.yaml")
    path.write_text("a: 1\na: 2")
    with pytest.raises(ConfigError, match=r"cluster cluster.yaml: line 2: 'a' is already given"):
        load_one(write(), "cluster=cluster.yaml")


def test_a_cluster_has_a_name_in_the_folder_of_the_user(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SITE", "hpc")
    folder = tmp_path / "home" / ".config" / "fdgrad" / "clusters"
    with pytest.raises(ConfigError, match=rf"cluster: no cluster 'hpc' in {folder}; there is none"):
        load(write(cluster="hpc"))
    folder.mkdir(parents=True)
    (folder / "hpc.yaml").write_text("workers: ${N:-7}")
    (folder / "laptop.yaml").write_text("workers: 2")
    assert load(write(cluster="${SITE}")).cluster.workers == 7
    assert load_one(write(), "cluster=laptop").cluster.workers == 2
    assert load_one(write(), "cluster=laptop", "cluster.threads=3").cluster.threads == 3
    with pytest.raises(ConfigError, match=r"--cluster, cluster: no cluster 'hcp' in .*: hpc, lap"):
        load_one(write(), "cluster=hcp")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError, match=r"no cluster 'hpc' in .*elsewhere/fdgrad/clusters"):
        load(write(cluster="hpc"))


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
    kinds = {kind for each in sections for kind in get_args(each.model_fields["kind"].annotation)}
    assert kinds == {"threads", *cluster.OPEN}


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
