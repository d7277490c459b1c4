"""Doors that stay shut: what a config, a source or a neighbour on the network cannot do.

What becomes of secrets that a config names is in ``test_promises.py`` (E4), of evil names in the
report in ``test_report.py``, of certificates in ``test_batch.py``.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from fdgrad_dask.pipeline.cluster import machines, resources
from fdgrad_dask.pipeline.config import redaction
from fdgrad_dask.pipeline.config.cluster import Batch, Local, Ssh

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

STEP = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "latitude"}}


class Evil:
    """What is executed where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


# --- Code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "source: !!python/object/apply:os.mkdir [owned]",
        "source: !!python/object/new:os.mkdir {args: [owned]}",
        "source: {path: !!python/name:os.mkdir }",
        "source: {path: !!python/module:owned }",
    ],
)
def test_a_tag_of_a_yaml_runs_nothing(line: str, fdgrad: Called) -> None:
    Path("owned.py").write_text("import os; os.mkdir('owned')")
    Path("evil.yaml").write_text(f"{line}\nsteps: []\ntarget: {{path: out.zarr}}\n")
    for command in ("check", "run"):
        code, _, err = fdgrad(command, "evil.yaml")
        assert code == 2
        assert "line 1: the tag !!python/" in err
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"cluster": {"kind": "os.mkdir"}}, "cluster.kind"),
        ({"cluster": {"kind": "distributed.LocalCluster"}}, "cluster.kind"),
        ({"cluster": {"kind": "local", "cls": "os.mkdir"}}, "unknown key"),
        ({"steps": [{**STEP, "operator": "os.mkdir"}]}, "operator"),
        ({"steps": [{**STEP, "operator": "__import__"}]}, "operator"),
    ],
)
def test_kinds_and_operators_are_closed_lists(
    sections: dict[str, Any], said: str, fdgrad: Called, write: Write
) -> None:
    code, _, err = fdgrad("check", write(**sections))
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    "filters", [[{"id": "pickle"}], [{"id": "shuffle", "elementsize": 4}, {"id": "pickle"}]]
)
def test_a_source_of_pickled_objects_is_not_unpickled(
    filters: list[dict[str, Any]], fdgrad: Called, write: Write, sst: xr.Dataset
) -> None:
    sst.drop_encoding().to_zarr("evil.zarr", zarr_format=2, consolidated=False)
    metadata = Path("evil.zarr", "sst", ".zarray")
    held = json.loads(metadata.read_text()) | {"filters": filters, "compressor": None}
    metadata.write_text(json.dumps(held))
    Path("evil.zarr", "sst", "0.0.0").write_bytes(pickle.dumps(Evil()))
    code, _, err = fdgrad("run", write(source={"path": "evil.zarr"}))
    assert code == 3
    assert "pickle" in err
    assert not Path("owned").exists()


# --- Text ---------------------------------------------------------------------------------------


def test_names_and_attributes_cannot_steer_a_terminal(
    fdgrad: Called, write: Write, sst: xr.Dataset
) -> None:
    evil = "\x1b]0;owned\x07\x9b31mK"
    sst["sst"].attrs["units"] = sst.attrs["title"] = evil
    sst.to_zarr("evil.zarr", zarr_format=3, consolidated=False)
    config = write(source={"path": "evil.zarr"})
    said = [fdgrad(command, config) for command in ("check", "plan", "run", "status")]
    said.append(fdgrad("run", write(source={"path": "evil.zarr\x1b[2J"})))
    texts = [out + err for _, out, err in said] + [Path("out.zarr.journal/run.log").read_text()]
    assert any("\\x1b]0;owned\\x07" in text for text in texts)
    assert not any(mark in text for text in texts for mark in "\x1b\x07\x9b")


# --- The network --------------------------------------------------------------------------------


def test_a_cluster_of_this_machine_is_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def refuse(workers: Any, scheduler: Any, **_: Any) -> Any:
        asked.extend([scheduler, *workers.values()])
        raise KeyboardInterrupt

    monkeypatch.setattr(machines, "SpecCluster", refuse)
    with pytest.raises(KeyboardInterrupt), machines.local(Local(workers=2, threads=1)):
        pass
    assert len(asked) == 3
    for each in asked:
        assert each["options"]["host"] == "127.0.0.1"
        assert each["options"]["dashboard_address"].startswith("127.0.0.1:")


@pytest.mark.parametrize("kind", ["slurm", "ssh"])
def test_what_reaches_further_is_encrypted_unless_refused(kind: str, tmp_path: Path) -> None:
    more: dict[str, Any] = (
        {"hosts": ["a"], "threads": 1, "memory_limit": "1 GiB"}
        if kind == "ssh"
        else {"jobs": 1, "cores": 1, "memory": "1 GiB", "walltime": "1 h"}
    )
    section = (Ssh if kind == "ssh" else Batch).model_validate(
        {"kind": kind, "folder": str(tmp_path / "tls"), **more}
    )
    with resources.credentials(section) as security:
        assert security is not None
        assert security.require_encryption
        for role in ("client", "scheduler", "worker"):
            assert security.get_tls_config_for_role(role)["cert"]
        files = [path for path in (tmp_path / "tls").rglob("*") if path.is_file()]
        assert {path.parent.stat().st_mode & 0o777 for path in files} == {0o700}
    assert not any(path.exists() for path in files)


# --- Files --------------------------------------------------------------------------------------


@pytest.fixture
def open_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_a_run_keeps_for_itself_only_its_owner_reads(
    open_umask: None, fdgrad: Called, write: Write
) -> None:
    assert fdgrad("run", write(), "--log-file", "chosen.log")[0] == 0
    assert fdgrad("run", write(), "--fresh")[0] == 0
    kept = [Path("chosen.log"), *Path("out.zarr.journal").iterdir()]
    assert {path.name for path in kept} == {"chosen.log", "run.log", "run.json", "journal.jsonl"}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert Path("out.zarr.journal").stat().st_mode & 0o777 == 0o700


def test_a_secret_of_the_command_line_or_of_the_environment_is_in_no_file(
    fdgrad: Called,
    write: Write,
    sst: xr.Dataset,
    on_a_cluster: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that stand in a config, or that it takes from the environment, are in E4."""
    canaries = ["canary-set-31", "canary-cloud-41"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", canaries[1])
    sst.chunk(time=2).to_zarr("memory://kept/in.zarr", zarr_format=3, consolidated=False)
    config = write(
        source={"path": "memory://kept/in.zarr"},
        cluster=on_a_cluster,
    )
    setting = f"source.storage_options.secret={canaries[0]}"
    said = [
        fdgrad(command, config, "--set", setting, "--debug")
        for command in ("run", "verify", "status", "run")
    ]
    redaction._hidden.clear()
    assert [code for code, _, _ in said] == [0] * 4, said
    held = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert {"run.log", "run.json"} <= {path.name for path in held}
    texts = [*held.values(), *((out + err).encode() for _, out, err in said)]
    assert not any(canary.encode() in text for canary in canaries for text in texts)
