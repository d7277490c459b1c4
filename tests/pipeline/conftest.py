"""A small source, a config around it, and the command run in this process."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dask
import numpy as np
import pytest
import xarray as xr
import yaml
from dask.tokenize import tokenize
from in_process import cluster_of_threads

from fdgrad_dask import cli
from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Attempt, Task
from fdgrad_dask.pipeline.execute.window import Pending
from fdgrad_dask.pipeline.planning import job
from fdgrad_dask.pipeline.store.folder import Folder


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def in_own_environment() -> Iterator[None]:
    """A nanny leaves in ours what it gave to its worker, and the next one then prefers that."""
    with patch.dict(os.environ):
        yield


_HALOS: dict[str, tuple[dict[str, Any], set[str]]] = {}
_find_halos = job.found_halos


@pytest.fixture(autouse=True)
def halos_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a small run builds graphs to find halos, the same for each run of one config."""

    def found_halos(config: Any, source: xr.Dataset) -> tuple[dict[str, Any], set[str]]:
        key = tokenize(
            [config.steps, config.grid, dask.config.get("fdgrad", None), source.attrs],
            [(n, v.dims, v.shape, v.dtype, v.attrs) for n, v in source.variables.items()],
            [label.values for label in source.coords.values() if label.variable._in_memory],
        )
        if key not in _HALOS:
            _HALOS[key] = _find_halos(config, source)
        halos, read = _HALOS[key]
        return dict(halos), set(read)

    monkeypatch.setattr(job, "found_halos", found_halos)


def make_sst() -> xr.Dataset:
    time = np.arange("2000-01", "2000-05", dtype="datetime64[M]").astype("datetime64[ns]")
    latitude, longitude = np.linspace(-20.0, 20.0, 5), np.arange(0.0, 80.0, 10.0)
    values = 290 + latitude[:, None] * 0.1 + longitude**2 * 0.01 + np.arange(4)[:, None, None]
    return xr.Dataset(
        {
            "sst": (
                ("time", "latitude", "longitude"),
                values.astype(np.float32),
                {"units": "K", "grid_mapping": "crs", "standard_name": "sea_surface_temperature"},
            ),
            "crs": ((), 0, {"grid_mapping_name": "latitude_longitude", "earth_radius": 6371229.0}),
            "latitude_bnds": (("latitude", "bnds"), np.stack([latitude - 5, latitude + 5], 1)),
        },
        coords={
            "time": ("time", time, {"standard_name": "time"}),
            "latitude": (
                "latitude",
                latitude,
                {"units": "degrees_north", "standard_name": "latitude", "bounds": "latitude_bnds"},
            ),
            "longitude": (
                "longitude",
                longitude,
                {"units": "degrees_east", "standard_name": "longitude"},
            ),
            "depth": ("latitude", np.linspace(1.0, 5.0, 5), {"units": "m"}),
        },
        attrs={"Conventions": "CF-1.8", "history": "1999 made by hand"},
    )


@pytest.fixture
def sst() -> xr.Dataset:
    """Four times, five latitudes, eight longitudes, in kelvin, with a grid mapping and bounds."""
    return make_sst()


@pytest.fixture(scope="session")
def stored_sst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``sst`` as Zarr, in chunks of 2 × 5 × 4."""
    path = tmp_path_factory.mktemp("stored") / "sst.zarr"
    chunked = make_sst().chunk({"time": 2, "longitude": 4})
    chunked.to_zarr(path, zarr_format=3, consolidated=False)
    return path


@pytest.fixture
def source(stored_sst: Path, tmp_path: Path) -> str:
    """The name of a copy of that, as new as one that was written now."""
    shutil.copytree(stored_sst, tmp_path / "sst.zarr", copy_function=shutil.copyfile)
    return "sst.zarr"


@pytest.fixture
def write(tmp_path: Path, source: str) -> Callable[..., str]:
    """Writes a config; what is given replaces sections of one that works."""

    def written(**sections: Any) -> str:
        values = {
            "source": {"path": source},
            "steps": [{"operator": "gradient", "inputs": ["sst"], "options": {"dim": "latitude"}}],
            "target": {"path": "out.zarr"},
            "cluster": {"kind": "threads", "workers": 1, "threads": 1},
            **sections,
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in values.items() if v is not None}))
        return str(path)

    return written


@pytest.fixture
def on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The section of a cluster whose worker is a thread of this process: it starts at once."""
    level = logging.getLogger("distributed").level
    monkeypatch.setitem(cluster.OPEN, "local", cluster_of_threads)
    yield {"kind": "local", "workers": 1, "threads": 1}
    logging.getLogger("distributed").setLevel(level)


@pytest.fixture
def fdgrad(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: exit code, what it printed, what it complained about.

    Paths are absolute in it; those in the folder of the test are shortened.
    """

    def called(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        printed = capsys.readouterr()
        here = f"{os.getcwd()}/"
        return code, printed.out.replace(here, ""), printed.err.replace(here, "")

    return called


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The regions that a run hands out."""
    numbers: list[int] = []
    take = Pending.take

    def counted(pending: Pending, width: int) -> list[Attempt]:
        attempts = take(pending, width)
        numbers.extend(each.region for each in attempts)
        return attempts

    monkeypatch.setattr(Pending, "take", counted)
    return numbers


@pytest.fixture
def stopped(
    fdgrad: Callable[..., tuple[int, str, str]],
    write: Callable[..., str],
    computed: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A run that ended after two of its four regions, by an error in the third."""
    original = Task.compute

    def fails(task: Task, attempts: list[Attempt]) -> Any:
        if attempts[0].region >= 2:
            raise OutputError("enough")
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", fails)
    config = write(target={"path": "out.zarr", "regions": {"time": 2, "longitude": 4}})
    assert fdgrad("run", config)[0] == 4
    monkeypatch.setattr(Task, "compute", original)
    assert sorted(Journal(Folder("out.zarr.journal")).numbered()) == [0, 1]
    computed.clear()
    return config
