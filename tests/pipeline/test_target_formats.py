"""Icechunk and netCDF targets: the values of Zarr; resumed, proved, repaired, never half done."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from failing import failing

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.source.open import open_files
from fdgrad_dask.pipeline.store import icechunk as icechunks
from fdgrad_dask.pipeline.store.icechunk import IcechunkStore
from fdgrad_dask.pipeline.store.netcdf import NetcdfStore
from fdgrad_dask.pipeline.store.open import store_of

icechunk = pytest.importorskip("icechunk")

STEPS = [
    {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "latitude"}, "output": "slope"},
    {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "time"}, "output": "tendency"},
]
# Two chunks a shard, of which the last is cut off by the end of the domain.
LAYOUT = {
    "chunks": {"time": 1, "longitude": 3},
    "shards": {"longitude": 6},
    "regions": {"time": 1, "longitude": 12},
}

Fdgrad = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]


@pytest.fixture
def config(write: Write) -> Callable[..., str]:
    """A config of four regions, with a target of the format that is asked for."""

    def written(path: str, **target: Any) -> str:
        return write(steps=STEPS, target={"path": path, **LAYOUT, **target})

    return written


@pytest.fixture(params=["out.icechunk", "out.nc"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def kept() -> list[xr.Dataset]:
    return []


@pytest.fixture
def truth(kept: list[xr.Dataset], fdgrad: Fdgrad, config: Any) -> xr.Dataset:
    """The same as Zarr, written once and only compared with."""
    if not kept:
        assert fdgrad("run", config("truth.zarr"))[0] == 0
        kept.append(read("truth.zarr"))
    return kept[0]


def read(path: str) -> xr.Dataset:
    dataset = open_files(Source(path=(path,))).load()
    return dataset.assign_attrs(history="", fdgrad_digest="")


def test_each_format_holds_the_same(
    path: str, fdgrad: Fdgrad, config: Any, truth: xr.Dataset, source: str
) -> None:
    code, _, told = fdgrad("run", config(path))
    assert code == 0, told
    xr.testing.assert_identical(read(path), truth)
    beside = {name for name in os.listdir() if name.startswith("out")}
    assert beside == {path, f"{path}.journal"}
    code, said, _ = fdgrad("verify", config(path))
    assert code == 0
    assert f"{path} is complete: all 16 shards of 4 regions are intact" in said
    assert fdgrad("run", config(path), "--fresh")[0] == 0
    xr.testing.assert_identical(read(path), truth)


def test_a_run_that_failed_goes_on(
    path: str,
    fdgrad: Fdgrad,
    config: Any,
    truth: xr.Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restore = failing(monkeypatch, 1)
    code, _, told = fdgrad("run", config(path))
    assert code == 4, told
    assert store_of(Target(path=path)).state() == "unfinished"
    restore()
    code, _, told = fdgrad("run", config(path))
    assert code == 0, told
    assert "2 of 4 regions are finished" in told
    xr.testing.assert_identical(read(path), truth)
    assert fdgrad("verify", config(path))[0] == 0


def test_what_is_something_else_is_not_touched(path: str, fdgrad: Fdgrad, config: Any) -> None:
    if path.endswith(".nc"):
        Path(path).write_text("a letter")
    else:
        Path(path).mkdir()
        Path(path, "letter").write_text("a letter")
    code, _, told = fdgrad("run", config(path), "--fresh")
    assert code == 4
    assert "nothing shows that fdgrad wrote it" in told


def test_a_format_needs_its_package(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdgrad_dask.pipeline.store.open.find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"not installed; pip install 'fdgrad_dask\[\w+\]', or"):
        store_of(Target(path=path))


def test_a_picture_is_drawn_of_any_format(path: str, fdgrad: Fdgrad, write: Write) -> None:
    pytest.importorskip("matplotlib")
    picture = {"path": "map.png", "variable": "slope", "mean": ["time"]}
    target = {"path": path, **LAYOUT}
    code, _, told = fdgrad("run", write(steps=STEPS, target=target, picture=picture))
    assert code == 0, told
    assert Path("map.png").stat().st_size > 1000


# Icechunk


def test_workers_in_processes_send_what_they_wrote(
    fdgrad: Fdgrad, config: Any, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks and what they give back travel as they do between processes."""
    compute = Task.compute

    def travelled(task: Task, attempts: Any) -> Any:
        return pickle.loads(pickle.dumps(compute(pickle.loads(pickle.dumps(task)), attempts)))

    monkeypatch.setattr(Task, "compute", travelled)
    code, _, told = fdgrad("run", config("out.icechunk"))
    assert code == 0, told
    assert "WARN" not in told
    xr.testing.assert_identical(read("out.icechunk"), truth)


def test_readers_of_main_see_nothing_half_done(
    fdgrad: Fdgrad, config: Any, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(icechunks, "_TOGETHER", 2)
    assert fdgrad("run", config("out.icechunk"))[0] == 0
    restore = failing(monkeypatch, 2)
    assert fdgrad("run", config("out.icechunk"), "--fresh")[0] == 4
    xr.testing.assert_identical(read("out.icechunk"), truth)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage("out.icechunk"))
    assert repository.list_branches() == {"main", "fdgrad-partial"}
    restore()
    assert fdgrad("run", config("out.icechunk"))[0] == 0
    assert repository.list_branches() == {"main"}
    messages = [each.message for each in repository.ancestry(branch="main")]
    assert messages == [
        *["fdgrad run: 1 regions", "fdgrad run: 1 regions", "fdgrad run: 2 regions"],
        "fdgrad run: laid out",
        *["fdgrad run: 2 regions", "fdgrad run: 2 regions", "fdgrad run: laid out"],
        "Repository initialized",
    ]
    xr.testing.assert_identical(read("out.icechunk"), truth)


def test_regions_that_were_never_committed_are_computed_again(
    fdgrad: Fdgrad, config: Any, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the driver is killed: the journal has them, the branch does not."""
    restore = failing(monkeypatch, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IcechunkStore, "settle", lambda self: None)
        assert fdgrad("run", config("out.icechunk"))[0] == 4
    restore()
    code, _, told = fdgrad("run", config("out.icechunk"))
    assert code == 0, told
    assert "0 of 4 regions are finished" in told
    xr.testing.assert_identical(read("out.icechunk"), truth)


def test_a_run_reads_one_snapshot_of_a_branch_that_moves(
    fdgrad: Fdgrad,
    write: Write,
    sst: xr.Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage("in"))

    def commit(factor: int) -> None:
        session = repository.writable_session("main")
        warmer = sst.assign(sst=sst.sst * factor)
        encoding = {"sst": {"chunks": (1, 5, 8)}}
        warmer.to_zarr(session.store, mode="w", consolidated=False, encoding=encoding)
        session.commit(f"times {factor}")

    commit(1)
    config = write(
        source={"path": "in"}, steps=STEPS, target={"path": "out.zarr", "regions": {"time": 1}}
    )
    original = Task.compute

    def compute(task: Task, attempts: Any) -> Any:
        if attempts[0].region == 2:
            commit(2)
            task = pickle.loads(pickle.dumps(replace(task)))  # as on a worker that starts only now
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", compute)
    code, _, told = fdgrad("run", config)
    assert code == 0, told
    assert "WARN" not in told
    monkeypatch.setattr(Task, "compute", original)
    slope = sst.sst.differentiate("latitude")
    np.testing.assert_allclose(read("out.zarr").slope, slope, rtol=1e-5)
    Path("out.zarr").rename("out.zarr.partial")
    code, _, told = fdgrad("run", config)
    assert code == 4
    assert "begun with something else: " in told
    assert "source.snapshot (was" in told


def test_main_that_moved_meanwhile_loses_nothing(
    fdgrad: Fdgrad, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = failing(monkeypatch, 2)
    assert fdgrad("run", config("out.icechunk"))[0] == 4
    restore()
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage("out.icechunk"))
    session = repository.writable_session("main")
    xr.Dataset({"mine": ("x", np.arange(3.0))}).to_zarr(session.store, consolidated=False)
    moved = session.commit("mine")
    code, _, told = fdgrad("run", config("out.icechunk"))
    assert code == 4
    assert "out.icechunk exists, and nothing shows that fdgrad wrote it" in told
    assert repository.lookup_branch("main") == moved
    assert read("out.icechunk").mine.size == 3


def test_main_that_moves_while_the_run_goes_on_loses_nothing(
    fdgrad: Fdgrad, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Task.compute

    def compute(task: Task, attempts: Any) -> Any:
        if attempts[0].region == 0:
            repository = icechunk.Repository.open(icechunk.local_filesystem_storage("out.icechunk"))
            session = repository.writable_session("main")
            xr.Dataset({"mine": ("x", np.arange(3.0))}).to_zarr(session.store, consolidated=False)
            session.commit("mine")
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", compute)
    code, _, told = fdgrad("run", config("out.icechunk"))
    assert code == 4, told
    assert "main of out.icechunk has moved since the run began, to " in told
    assert read("out.icechunk").mine.size == 3


@pytest.mark.parametrize("damage", ["gone", "flipped"])
def test_a_broken_chunk_of_a_repository_is_found_and_written_anew(
    damage: str, fdgrad: Fdgrad, write: Write
) -> None:
    field = np.random.default_rng(0).normal(size=(2, 40, 40)).astype(np.float32)
    coords = {dim: np.arange(size) for dim, size in zip("tyx", field.shape, strict=True)}
    xr.Dataset({"f": (("t", "y", "x"), field)}, coords).to_netcdf("in.nc")
    step = {"operator": "gradient", "inputs": ["f"], "options": {"dim": "x"}}
    config = write(
        source={"path": "in.nc"},
        steps=[step],
        target={"path": "out.icechunk", "chunks": {"t": 1}, "regions": {"t": 1}},
    )
    assert fdgrad("run", config)[0] == 0
    truth = read("out.icechunk")
    chunks = sorted(Path("out.icechunk/chunks").iterdir())
    assert len(chunks) == 2
    if damage == "gone":
        chunks[0].unlink()
    else:
        held = bytearray(chunks[0].read_bytes())
        held[100] ^= 1
        chunks[0].write_bytes(held)
    code, _, told = fdgrad("verify", config)
    assert code == 4
    what = "is missing" if damage == "gone" else "has other bytes than were written"
    assert told.count(what) == 1
    assert "df_dx/c/" in told
    assert fdgrad("run", config, "--repair")[0] == 0
    assert fdgrad("verify", config)[0] == 0
    xr.testing.assert_identical(read("out.icechunk"), truth)


# netCDF


@pytest.mark.parametrize(("compression", "level"), [("fast", 1), ("archive", 7)])
def test_the_file_is_as_asked_for(
    compression: str, level: int, fdgrad: Fdgrad, config: Any
) -> None:
    assert fdgrad("run", config("out.nc", compression=compression))[0] == 0
    with netCDF4.Dataset("out.nc") as file:
        slope = file["slope"]
        assert slope.chunking() == [1, 5, 3]
        filters = slope.filters()
        assert (filters["complevel"], filters["shuffle"], filters["fletcher32"]) == (level, 1, 1)
        assert slope.grid_mapping == "crs"
        assert "crs" in file.variables
        assert "latitude_bnds" in file.variables
        assert "fdgrad run" in file.history


@pytest.mark.parametrize("damage", ["values", "file"])
def test_a_broken_netcdf_file_is_found_and_mended(
    damage: str, fdgrad: Fdgrad, config: Any, truth: xr.Dataset
) -> None:
    assert fdgrad("run", config("out.nc"))[0] == 0
    if damage == "values":
        with netCDF4.Dataset("out.nc", "r+") as file:
            file["slope"][2, 1, 7] += 1
    else:
        held = Path("out.nc").read_bytes()
        Path("out.nc").write_bytes(held[: len(held) // 2])
    code, _, told = fdgrad("verify", config("out.nc"))
    assert code == 4
    if damage == "file":
        assert "slope[0:1, 0:5, 0:6] has other bytes than were written" in told
        code, _, told = fdgrad("run", config("out.nc"), "--repair")
        assert code == 4
        assert "run with --fresh" in told
        return
    assert told.count("has other bytes than were written") == 1
    assert "slope[2:3, 0:5, 6:8]" in told
    code, _, told = fdgrad("run", config("out.nc"), "--repair")
    assert code == 0, told
    assert "1 shards are broken, in 1 of 4 regions" in told
    assert fdgrad("verify", config("out.nc"))[0] == 0
    xr.testing.assert_identical(read("out.nc"), truth)


def test_a_shard_lost_before_the_file_is_made_is_computed_again(
    fdgrad: Fdgrad, config: Any, truth: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = failing(monkeypatch, 2)
    assert fdgrad("run", config("out.nc"))[0] == 4
    restore()
    Path("out.nc.partial/tendency/c/1/0/1").unlink()
    code, _, told = fdgrad("run", config("out.nc"))
    assert code == 0
    assert "2 of 4 regions are finished" in told
    xr.testing.assert_identical(read("out.nc"), truth)


def test_netcdf_has_no_such_type() -> None:
    template = xr.Dataset({"a": ("x", np.zeros(3, np.float16))})
    with pytest.raises(ValueError, match="netCDF has no type for 'a', which is float16; name a"):
        NetcdfStore(Target(path="out.nc")).lay_out(template)


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("ending", ["nc", "icechunk", "zarr"])
def test_a_disk_that_fills_is_told_and_the_run_goes_on_when_there_is_room(
    ending: str, small_disk: Path, fdgrad: Fdgrad, write: Write
) -> None:
    field = np.random.default_rng(0).normal(size=(4, 200, 300)).astype(np.float32)
    coords = {dim: np.arange(size) for dim, size in zip("tyx", field.shape, strict=True)}
    xr.Dataset({"f": (("t", "y", "x"), field)}, coords).to_netcdf("in.nc")
    path = str(small_disk / f"out.{ending}")
    step = {"operator": "gradient", "inputs": ["f"], "options": {"dim": "x"}, "output": "a"}
    target = {"path": path, "chunks": {"t": 1}, "regions": {"t": 1}}
    config = write(source={"path": "in.nc"}, steps=[step], target=target)
    ballast = small_disk / "ballast"
    # Zarr and Icechunk take nine tenths of a megabyte; netCDF as much again in the end.
    ballast.write_bytes(bytes(2**20 - 2**17 if ending == "nc" else 2**20 + 2**19))
    code, _, told = fdgrad("run", config)
    assert code == 4, told
    assert "the disk is full" in told
    assert store_of(Target(path=path)).state() == "unfinished"
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    code, _, told = fdgrad("run", config)
    assert code == 0, told
    assert fdgrad("verify", config)[0] == 0
    np.testing.assert_array_equal(read(path).a, np.gradient(field, axis=2))
