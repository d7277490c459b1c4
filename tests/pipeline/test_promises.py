"""Never two versions of an input in one target, no lost byte, no secret in any file (E1 to E14)."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from distributed import Client, LocalCluster

from fdgrad_dask import operators
from fdgrad_dask.errors import InputError, OutputError
from fdgrad_dask.pipeline.config import redaction
from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.execute import task as tasks
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.source.open import open_files, open_source
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

TARGET = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}  # four regions of one shard
BY_TIME = {"chunks": {"time": 2}, "regions": {"time": 2}}  # two regions, of any source
STEP = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "latitude"}}


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], Any]:
    """Has something happen once, before a region is computed; what is returned takes that back."""
    original = Task.compute

    def before(number: int, does: Callable[[], Any]) -> Any:
        def compute(task: Task, attempts: Any) -> Any:
            if attempts[0].region >= number:
                does()
            return original(task, attempts)

        monkeypatch.setattr(Task, "compute", compute)
        return lambda: monkeypatch.setattr(Task, "compute", original)

    return before


def enough() -> None:
    raise OutputError("enough")


def slope(values: Any) -> np.ndarray[Any, Any]:
    """The gradient along latitude, whose points are 10 degrees apart."""
    return np.gradient(np.asarray(values, np.float64), 10.0, axis=1)


def result(path: str = "out.zarr") -> Any:
    return open_files(Source(path=(path,))).dsst_dlatitude.values


def tree(folder: str) -> dict[str, bytes]:
    """Every file and link below."""
    return {
        str(file.relative_to(folder)): os.readlink(file).encode()
        if file.is_symlink()
        else file.read_bytes()
        for file in sorted(Path(folder).rglob("*"))
        if file.is_symlink() or file.is_file()
    }


def double(source: str, where: Any = ...) -> None:
    array: Any = zarr.open_array(source, path="sst", mode="r+")
    array[where] = np.asarray(array[where]) * 2


# --- E1 -----------------------------------------------------------------------------------------


def test_e1_paths_do_not_depend_on_where_a_worker_runs(
    fdgrad: Called, write: Write, sst: xr.Dataset, during: Any, tmp_path: Path
) -> None:
    """A worker in another folder made a target of nothing but NaN, with exit 0."""
    config = write(source={"path": "sst.zarr", "missing_chunks": "fill"}, target=TARGET)
    (tmp_path / "elsewhere").mkdir()
    during(0, lambda: os.chdir(tmp_path / "elsewhere"))
    assert fdgrad("run", config)[0] == 0
    np.testing.assert_allclose(result(str(tmp_path / "out.zarr")), slope(sst.sst), rtol=1e-5)


def test_e1_a_worker_process_that_was_started_in_another_folder(
    fdgrad: Called, write: Write, sst: xr.Dataset, source: str, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    with LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit="2GiB", dashboard_address="127.0.0.1:0"
    ) as running:
        os.chdir(tmp_path)
        there = {"kind": "address", "address": running.scheduler_address}
        there |= {"workers": 1, "threads": 1, "memory_limit": "2 GiB"}
        given = {"path": source, "missing_chunks": "fill"}
        config = write(source=given, target=TARGET, cluster=there)
        code, _, said = fdgrad("run", config)
    assert code == 0, said
    np.testing.assert_allclose(result(str(tmp_path / "out.zarr")), slope(sst.sst), rtol=1e-5)


def test_e1_a_path_is_absolute_once_it_is_read(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run[1]"  # what looks like a pattern is one only in what was written
    folder.mkdir()
    (folder / "a1.nc").touch()
    config = write(
        source={"path": ["a?.nc", "zip://::b.zip", "https://h/c.nc", "sample:d.nc", "file://e.nc"]},
        report={"path": "report.html"},
    )
    monkeypatch.chdir(folder)
    read = load(config)
    here = str(folder)
    assert read.source.path[1:] == (
        f"zip://::{here}/b.zip",
        "https://h/c.nc",
        "sample:d.nc",
        f"file://{here}/e.nc",
    )
    assert read.target.path == f"{here}/out.zarr"
    assert read.report is not None
    assert read.report.path == f"{here}/report.html"
    monkeypatch.chdir(tmp_path)
    from fdgrad_dask.pipeline.source.remote import files_of

    only = read.source.model_copy(update={"path": read.source.path[:1]})
    assert files_of(only) == [f"{here}/a1.nc"]


@pytest.mark.parametrize("version", [2, 3])
def test_e1_a_chunk_of_a_store_that_is_gone_is_no_fill_value(sst: xr.Dataset, version: Any) -> None:
    sst.to_zarr("in.zarr", zarr_format=version, consolidated=version == 2)
    lazy = open_source(Source(path=("in.zarr",), missing_chunks="fill"))
    os.rename("in.zarr", "moved.zarr")
    with pytest.raises(InputError, match=r"nor the metadata of its array can be seen by .*; mount"):
        lazy.sst.compute(scheduler="sync")


def test_e1_consolidated_metadata_is_metadata(sst: xr.Dataset) -> None:
    sst.to_zarr("in.zarr", zarr_format=2, consolidated=True)
    for hidden in Path("in.zarr/sst").glob(".z*"):
        hidden.unlink()
    Path("in.zarr/sst/0.0.0").unlink()
    found = open_source(Source(path=("in.zarr",), missing_chunks="fill")).sst
    assert np.isnan(found.compute(scheduler="sync")).all()


def test_e1_the_first_worker_compares_the_source(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "fingerprint", lambda _: {"sst.zarr": "another"})
    code, _, err = fdgrad("run", write())
    assert code == 3
    assert "sees another sst.zarr than the driver" in err
    assert "all machines must see one and the same" in err
    assert not Path("out.zarr").exists()


# --- E2 -----------------------------------------------------------------------------------------


def test_e2_what_changed_since_is_computed_again(
    fdgrad: Called, write: Write, sst: xr.Dataset, source: str, during: Any
) -> None:
    config = write(target=TARGET)
    undo = during(2, enough)
    assert fdgrad("run", config)[0] == 4
    undo()
    double(source, (slice(0, 2), slice(None), slice(0, 4)))  # what region 0 read
    code, _, err = fdgrad("run", config)
    assert code == 0, err
    assert "inputs have changed since: 1 of 4 regions are computed again" in err
    assert "resuming out.zarr: 1 of 4 regions are finished" in err
    now = sst.sst.values.copy()
    now[:2, :, :4] *= 2
    np.testing.assert_allclose(result(), slope(now), rtol=1e-5)
    assert fdgrad("verify", config)[0] == 0


@pytest.mark.parametrize("files", [1, 2])
def test_e2_a_netcdf_file_that_was_replaced(
    files: int, fdgrad: Called, write: Write, sst: xr.Dataset, during: Any
) -> None:
    size = 4 // files
    parts = [sst.isel(time=slice(i * size, (i + 1) * size)) for i in range(files)]
    for number, part in enumerate(parts):
        part.to_netcdf(f"f{number}.nc")
    config = write(source={"path": "f*.nc"}, target={**TARGET, "path": "out.nc", **BY_TIME})
    undo = during(1, enough)
    assert fdgrad("run", config)[0] == 4
    undo()
    part = parts[0]
    part.assign(sst=part.sst * 2).to_netcdf("new.nc")
    os.replace("new.nc", "f0.nc")
    code, _, err = fdgrad("run", config)
    assert code == 0, err
    assert "inputs have changed since: 1 of 2 regions are computed again" in err
    now = sst.sst.values.copy()
    now[:size] *= 2
    np.testing.assert_allclose(result("out.nc"), slope(now), rtol=1e-5)


def test_e2_a_chunk_that_changes_while_the_run_goes_on(
    fdgrad: Called, write: Write, sst: xr.Dataset, source: str, during: Any
) -> None:
    """Whoever read it before has the old values; whoever comes later the new."""
    config = write(target=TARGET)
    undo = during(3, lambda: double(source))
    code, _, err = fdgrad("run", config)
    assert code == 3
    assert "changed while the run went on, so out.zarr is not published; run again once" in err
    assert "sst.zarr/sst/c/0/0/0" in err
    assert not Path("out.zarr").exists()
    undo()
    assert fdgrad("run", config)[0] == 0
    np.testing.assert_allclose(result(), slope(2 * sst.sst), rtol=1e-5)


@pytest.mark.parametrize("how", ["replaced", "written into"])
def test_e2_a_file_that_changes_while_the_run_goes_on(
    how: str, fdgrad: Called, write: Write, sst: xr.Dataset, during: Any
) -> None:
    """A handle of a replaced file still reads the old one: its version is not that of the name."""
    sst.to_netcdf("in.nc")

    def change() -> None:
        sst.assign(sst=sst.sst * 2).to_netcdf("new.nc")
        if how == "replaced":
            os.replace("new.nc", "in.nc")
        else:
            Path("in.nc").write_bytes(Path("new.nc").read_bytes())

    config = write(source={"path": "in.nc"}, target={**TARGET, **BY_TIME})
    undo = during(1, change)
    code, _, err = fdgrad("run", config)
    assert code == 3, err
    assert "in.nc changed while it was read (" in err
    assert not Path("out.zarr").exists()
    undo()
    assert fdgrad("run", config)[0] == 0
    np.testing.assert_allclose(result(), slope(2 * sst.sst), rtol=1e-5)


def test_e2_a_published_target_whose_inputs_changed(
    fdgrad: Called, write: Write, sst: xr.Dataset, source: str
) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    chunk = Path(source, "sst/c/1/0/1")
    held, times = chunk.read_bytes(), (chunk.stat().st_atime_ns, chunk.stat().st_mtime_ns)
    double(source, (slice(2, 4), slice(None), slice(4, 8)))
    for command in ("verify", "run"):
        code, out, err = fdgrad(command, config)
        assert (code, out) == (4, ""), command
        assert "inputs have changed since: sst.zarr/sst/c/1/0/1; run with --fresh" in err
    first = next(iter(Journal(Folder("out.zarr.journal")).numbered()[0].checksums))
    Path("out.zarr", first).unlink()
    code, _, err = fdgrad("run", config, "--repair")
    assert code == 4
    assert "two versions would be mixed" in err
    chunk.write_bytes(held)
    os.utime(chunk, ns=times)
    assert fdgrad("run", config, "--repair")[0] == 0
    assert fdgrad("verify", config)[0] == 0
    double(source)
    assert fdgrad("run", config, "--fresh")[0] == 0
    np.testing.assert_allclose(result(), slope(2 * sst.sst), rtol=1e-5)


def test_e2_a_packing_that_changed_is_another_input(
    fdgrad: Called, write: Write, sst: xr.Dataset, during: Any
) -> None:
    """The metadata of a chunk says what its numbers mean."""
    encoding = {
        "sst": {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -1, "chunks": (2, 5, 4)}
    }
    sst.to_zarr("in.zarr", encoding=encoding, zarr_format=3, consolidated=False)
    config = write(source={"path": "in.zarr"}, target=TARGET)
    undo = during(2, enough)
    assert fdgrad("run", config)[0] == 4
    undo()
    zarr.open_array("in.zarr", path="sst", mode="r+").attrs["scale_factor"] = 0.2
    code, _, err = fdgrad("run", config)
    assert code == 4
    assert "input sst (was " in err


def test_e2_a_source_that_is_gone_says_nothing_against_the_target(
    fdgrad: Called, write: Write, source: str
) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    shutil.rmtree(source)
    code, out, _ = fdgrad("verify", config)
    assert code == 0
    assert "all 4 shards of 4 regions are intact; its inputs are not compared: no source" in out


def test_e2_a_source_that_became_something_else_does(
    fdgrad: Called, write: Write, sst: xr.Dataset
) -> None:
    sst.to_netcdf("in.nc")
    config = write(source={"path": "in.nc"}, target=TARGET)
    assert fdgrad("run", config)[0] == 0
    Path("in.nc").write_text("a letter")
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "inputs have changed since: in.nc; run with --fresh" in err


# --- E3 -----------------------------------------------------------------------------------------

PATHS = ["out.zarr", "out.nc", "out.icechunk"]


def somebody_elses(path: str) -> None:
    precious = xr.Dataset({"precious": ("x", np.arange(3.0))})
    if path.endswith(".nc"):
        precious.to_netcdf(path)
    elif path.endswith(".zarr"):
        precious.to_zarr(path, zarr_format=3, consolidated=False)
    else:
        icechunk = pytest.importorskip("icechunk")
        made = icechunk.Repository.create(icechunk.local_filesystem_storage(path))
        session = made.writable_session("main")
        precious.to_zarr(session.store, zarr_format=3, consolidated=False)
        session.commit("precious")


def contents(path: str) -> dict[str, bytes]:
    return {"": Path(path).read_bytes()} if os.path.isfile(path) else tree(path)


@pytest.mark.parametrize("journal", ["no journal", "our journal"])
@pytest.mark.parametrize("path", PATHS)
def test_e3_what_we_did_not_write_is_not_replaced(
    path: str, journal: str, fdgrad: Called, write: Write
) -> None:
    """Also where the journal of an earlier target of ours lies beside it."""
    config = write(target={"path": path})
    if journal == "our journal":
        assert fdgrad("run", config)[0] == 0
        os.rename(path, "moved")
    somebody_elses(path)
    before = contents(path)
    for options in ([], ["--fresh"], ["--repair"]):
        code, out, err = fdgrad("run", config, *options)
        assert (code, out) == (4, ""), options
        assert f"{path} exists, and nothing shows that fdgrad wrote it (" in err
        assert "move it and run with --fresh, or name another target" in err
    assert contents(path) == before
    os.rename(path, "theirs")
    assert fdgrad("run", config, "--fresh")[0] == 0


def test_e3_a_partial_folder_of_somebody_else(fdgrad: Called, write: Write) -> None:
    for path in ("out.zarr", "out.nc"):
        somebody_elses("precious.zarr")
        os.rename("precious.zarr", f"{path}.partial")
        before = tree(f"{path}.partial")
        code, _, err = fdgrad("run", write(target={"path": path}), "--fresh")
        assert code == 4
        assert f"{path}.partial exists, and nothing shows that fdgrad wrote it" in err
        assert tree(f"{path}.partial") == before


def a_note(folder: str) -> str:
    Path(folder, "notes.txt").write_text("mine")
    return "notes.txt"


def an_array(folder: str) -> str:
    zarr.create_array(folder, name="precious", shape=1, dtype="f8")
    return "precious/"


def a_link(folder: str) -> str:
    Path("away").mkdir()
    Path("away", "far.txt").write_text("mine")
    Path(folder, "dsst_dlatitude", "c", "away").symlink_to(Path("away").resolve())
    return "dsst_dlatitude/c/away"


@pytest.mark.parametrize("add", [a_note, an_array, a_link])
@pytest.mark.parametrize("when", ["finished", "unfinished"])
def test_e3_a_target_that_others_put_something_into(
    add: Callable[[str], str], when: str, fdgrad: Called, write: Write, during: Any
) -> None:
    config = write(target=TARGET)
    undo = during(2, enough if when == "unfinished" else lambda: None)
    fdgrad("run", config)
    undo()
    folder = "out.zarr" if when == "finished" else "out.zarr.partial"
    strange = add(folder)
    before = tree(folder)
    code, _, err = fdgrad("run", config, "--fresh")
    assert code == 4
    assert f"{folder} holds {strange}" in err
    assert "which fdgrad did not write, so it is not replaced; move that away" in err
    assert tree(folder) == before


def test_e3_a_variable_that_others_put_into_a_file(fdgrad: Called, write: Write) -> None:
    config = write(target={"path": "out.nc"})
    assert fdgrad("run", config)[0] == 0
    xr.Dataset({"precious": ("q", [1.0])}).to_netcdf("out.nc", mode="a")
    code, _, err = fdgrad("run", config, "--fresh")
    assert code == 4
    assert "out.nc holds the variable 'precious', which fdgrad did not write" in err


def test_e3_links_are_not_replaced(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    os.rename("out.zarr", "moved.zarr")
    Path("out.zarr").symlink_to("moved.zarr")
    assert fdgrad("verify", config)[0] == 0
    before = tree("moved.zarr")
    code, _, err = fdgrad("run", config, "--fresh")
    assert code == 4
    assert "out.zarr is a symbolic link, which fdgrad did not make" in err
    assert tree("moved.zarr") == before
    assert Path("out.zarr").is_symlink()


@pytest.mark.parametrize("path", ["out.zarr", "out.nc"])
def test_e3_what_appears_while_the_run_goes_on(
    path: str, fdgrad: Called, write: Write, during: Any
) -> None:
    config = write(target={"path": path})
    undo = during(0, lambda: somebody_elses(path))
    code, _, err = fdgrad("run", config)
    assert code == 4
    assert f"{path} was put there by something else while the run went on" in err
    undo()
    os.rename(path, "theirs")
    assert fdgrad("run", config)[0] == 0
    assert fdgrad("verify", config)[0] == 0


def test_e3_notes_in_the_journal_stay(fdgrad: Called, write: Write) -> None:
    config = write()
    for folder in ("out.zarr.journal", "out.zarr.journal/regions"):
        Path(folder).mkdir()
        Path(folder, "notes.txt").write_text("mine")
    for _ in range(2):
        assert fdgrad("run", config, "--fresh")[0] == 0
    assert Path("out.zarr.journal/notes.txt").read_text() == "mine"
    assert Path("out.zarr.journal/regions/notes.txt").read_text() == "mine"


def test_e3_the_old_target_goes_when_the_new_one_has_come(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write()
    assert fdgrad("run", config)[0] == 0
    before = tree("out.zarr")
    rename = os.rename

    def fails(old: Any, new: Any) -> None:
        if str(old).endswith(".partial"):
            raise OSError(5, "Input/output error")
        rename(old, new)

    monkeypatch.setattr(os, "rename", fails)
    assert fdgrad("run", config, "--fresh")[0] == 4
    assert tree("out.zarr") == before
    monkeypatch.setattr(os, "rename", rename)
    assert fdgrad("run", config)[0] == 0
    assert sorted(path for path in os.listdir() if path.startswith("out")) == [
        "out.zarr",
        "out.zarr.journal",
    ]


def test_e3_a_run_that_was_killed_between_the_two_renames(fdgrad: Called, write: Write) -> None:
    config = write()
    assert fdgrad("run", config)[0] == 0
    shutil.copytree("out.zarr", "older.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fdgrad_dask.pipeline.commands._publish", lambda *_: enough())
        assert fdgrad("run", config, "--fresh")[0] == 4
    os.rename("out.zarr", "out.zarr.old")
    assert fdgrad("run", config)[0] == 0
    assert not Path("out.zarr.old").exists()
    assert fdgrad("verify", config)[0] == 0


# --- E4 -----------------------------------------------------------------------------------------

CANARIES = ["canary-one-17", "canary two/28&<39>", "canary-three-40", "canary-four-51"]


@pytest.fixture
def forgetful() -> Iterator[None]:
    yield
    redaction._hidden.clear()


@pytest.mark.parametrize("by", ["the environment", "the file"])
def test_e4_no_secret_is_ever_written_or_printed(
    by: str,
    fdgrad: Called,
    write: Write,
    sst: xr.Dataset,
    monkeypatch: pytest.MonkeyPatch,
    forgetful: None,
) -> None:
    import fsspec

    fsspec.filesystem("memory").store.clear()
    three, four = CANARIES[2:]
    shown = CANARIES
    if by == "the environment":
        shown = [f"${{CANARY{number}}}" for number in range(4)]
        for number, value in enumerate(CANARIES):
            monkeypatch.setenv(f"CANARY{number}", value)
    url = f"memory://me:{three}@bucket/in.zarr?token={four}"
    sst.chunk(time=2, longitude=4).to_zarr(url, zarr_format=3, consolidated=False)
    config = write(
        source={
            "path": f"memory://me:{shown[2]}@bucket/in.zarr?token={shown[3]}",
            "storage_options": {"key": shown[0], "more": {"headers": [f"Bearer {shown[1]}"]}},
        },
        target=TARGET,
        report={"path": "report.html"},
    )
    said = [fdgrad(command, config) for command in ("check", "plan", "run", "run", "verify")]
    assert [code for code, _, _ in said] == [0] * 5, said
    # Not by mode="w": fsspec before 2026 takes the ? of this URL for a pattern and never ends.
    fsspec.filesystem("memory").store.clear()
    sst.isel(time=slice(0, 3)).to_zarr(url, zarr_format=3, consolidated=False)
    said += [fdgrad("run", config), fdgrad("verify", config, "--debug")]
    for key in list(fsspec.filesystem("memory").store):
        if "sst/c" in key:
            del fsspec.filesystem("memory").store[key]
    said += [fdgrad("run", config, "--fresh", "--debug")]
    fsspec.filesystem("memory").store.clear()
    said += [fdgrad("run", config), fdgrad("run", config, "--debug")]
    assert [code for code, _, _ in said[5:]] == [4, 4, 3, 3, 3]
    held = {name: file.decode("latin1") for name, file in tree(".").items()}
    del held["config.yaml"]
    assert "report.html" in held
    texts = [*held.items(), *(("said", out + err) for _, out, err in said)]
    for name, text in texts:
        for canary in (*CANARIES, "28&amp;&lt;39", "canary%20two"):
            assert canary not in text, (name, canary)
    journal = Path("out.zarr.journal")
    assert journal.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in journal.rglob("*.json*")} == {0o600}


def test_e4_a_secret_in_a_wrong_config_is_not_shown(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    monkeypatch.setenv("CANARY", "canary-one-17")
    source = {"path": "in.zarr", "storage_options": "canary-four-51"}
    code, _, err = fdgrad("run", write(source=source, steps=[{**STEP, "output": "${CANARY}!"}]))
    assert code == 2
    assert "source.storage_options: input should be a valid dictionary" in err
    assert "canary" not in err
    assert "'${CANARY}!' cannot name a variable" in err


def test_e4_keys_that_were_rotated_stop_no_run(
    fdgrad: Called,
    write: Write,
    sst: xr.Dataset,
    during: Any,
    monkeypatch: pytest.MonkeyPatch,
    forgetful: None,
) -> None:
    sst.chunk(time=2, longitude=4).to_zarr("memory://rotated/in.zarr", consolidated=False)
    config = write(
        source={"path": "memory://rotated/in.zarr", "storage_options": {"secret": "${KEY}"}},
        target=TARGET,
    )
    monkeypatch.setenv("KEY", "the first key")
    undo = during(2, enough)
    assert fdgrad("run", config)[0] == 4
    undo()
    monkeypatch.setenv("KEY", "the second key")
    code, _, err = fdgrad("run", config)
    assert code == 0, err
    assert "2 of 4 regions are finished" in err
    monkeypatch.delenv("KEY")
    code, _, err = fdgrad("run", config)
    assert code == 2
    assert (
        "source.storage_options.secret: the environment variable 'KEY' is not set; export it" in err
    )


# --- E6, E7 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_e6_a_finished_target_run_again(path: str, fdgrad: Called, write: Write) -> None:
    config = write(target={"path": path})
    assert fdgrad("run", config)[0] == 0
    before = contents(path)
    assert fdgrad("run", config)[:2] == (
        0,
        f"{path} is already complete; nothing to do (use --fresh to recompute it)\n",
    )
    assert contents(path) == before


def test_e6_a_page_that_an_interrupted_run_owes_is_made(fdgrad: Called, write: Write) -> None:
    config = write(report={"path": "report.html"})
    assert fdgrad("run", config)[0] == 0
    Path("report.html").unlink()
    assert fdgrad("run", config)[0] == 0
    assert "is complete" in Path("report.html").read_text()


def test_e6_a_complete_target_with_a_hole_is_none(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    Path(
        "out.zarr", next(iter(Journal(Folder("out.zarr.journal")).numbered()[1].checksums))
    ).unlink()
    code, _, err = fdgrad("run", config)
    assert code == 4
    assert "shards of 1 regions are missing now; fdgrad run --repair computes them again" in err
    assert fdgrad("run", config, "--repair")[0] == 0


def test_e7_verify_tells_another_config(fdgrad: Called, write: Write, source: str) -> None:
    assert fdgrad("run", write(target=TARGET))[0] == 0
    other = {**STEP, "options": {"dim": "longitude"}}
    for gone in (False, True):  # also where the source cannot be compared
        if gone:
            shutil.rmtree(source)
        code, out, err = fdgrad("verify", write(target=TARGET, steps=[other]))
        assert (code, out) == (4, "")
        assert "out.zarr is the result of something else" in err
        assert "steps[0].options.dim (was latitude, is longitude)" in err


def test_e7_an_update_of_a_package_breaks_no_finished_target(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    run = Journal(Folder("out.zarr.journal")).run()
    assert run is not None
    older = {**run.identity, "version of jax": "0.0.1"}
    Journal(Folder("out.zarr.journal")).amend(identity=older)
    assert fdgrad("verify", config)[0] == 0
    assert fdgrad("run", config)[0] == 0


# --- E13, E14 -----------------------------------------------------------------------------------


def test_e13_a_run_goes_on_where_nobody_listens(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fdgrad_dask import cli

    streams = []
    for name in ("stderr", "stdout"):
        reading, writing = os.pipe()
        os.close(reading)
        streams.append(os.fdopen(writing, "w"))
        monkeypatch.setattr(sys, name, streams[-1])
    assert cli.main(["run", write()]) == 0
    assert Path("out.zarr").exists()
    assert cli.main(["run", "nothing.yaml"]) == 2
    for stream in streams:
        stream.close()


def test_e13_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -m fdgrad_dask.cli operators | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(f"{operators.__all__[0]}: ")


def test_e14_a_task_carries_regions_and_no_paths(
    fdgrad: Called, write: Write, source: str, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    submit = Client.map

    def measured(client: Client, function: Any, *arguments: Any, **options: Any) -> Any:
        sizes.extend(len(pickle.dumps(each)) for each in zip(*arguments, strict=True))
        return submit(client, function, *arguments, **options)

    monkeypatch.setattr(Client, "map", measured)
    data = xr.open_zarr(source, consolidated=False).load()
    for number in range(4):
        data.isel(time=[number]).to_netcdf(f"{'long' * 40}{number}.nc")
    assert (
        fdgrad("run", write(source={"path": "long*.nc"}, target=TARGET, cluster=on_a_cluster))[0]
        == 0
    )
    assert sizes
    assert max(sizes) < 600
