"""``source.coordinates``: the files of the grid, beside those of the fields."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.config.source import Source, Stored
from fdgrad_dask.pipeline.planning import steps
from fdgrad_dask.pipeline.planning.job import looked_at
from fdgrad_dask.pipeline.source.open import open_files

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]
STEP = {"operator": "vorticity", "inputs": ["u", "v"], "output": "zeta"}


@pytest.fixture
def mesh() -> xr.Dataset:
    """NEMO's: over a time of one point; written beside the fields that need it."""
    rows = np.arange(20.0).reshape(4, 5)
    dims = ("time_counter", "y", "x")
    made = xr.Dataset(
        {
            "e1t": (dims, np.full((1, 4, 5), 1000.0)),
            "e2t": (dims, np.full((1, 4, 5), 500.0)),
            "gphit": (dims, 0.1 * rows[None], {"units": "degrees_north"}),
            "tmask": (("time_counter", "nav_lev", "y", "x"), np.ones((1, 3, 4, 5))),
        },
        {"time_counter": [0.0], "nav_lev": [1.0, 2, 3]},
    )
    made.to_netcdf("mesh_mask.nc")
    wind = (("time_counter", "y", "x"), np.stack([rows, 2 * rows]), {"units": "m s-1"})
    fields = xr.Dataset({"u": wind, "v": wind}, {"time_counter": [1.0, 2.0]})
    fields.u.encoding["coordinates"] = "gphit"
    fields.to_netcdf("in.nc")
    return made


@pytest.mark.usefixtures("mesh")
def test_a_variable_of_the_grid_is_one_of_the_source(fdgrad: Called, write: Write) -> None:
    source = {"path": "in.nc", "coordinates": "mesh_mask.nc", "coords": "e1t"}
    config = write(source=source, grid={"dx": "e1t", "dy": "e2t"}, steps=[STEP])
    for command in ("check", "run"):
        code, _, err = fdgrad(command, config)
        assert code == 0, err
    found = open_files(Source(path=("out.zarr",)))
    exact = np.array([1.0, 2.0]) / 1000 - 5 * np.array([1.0, 2.0]) / 500
    np.testing.assert_allclose(found.zeta[:, 1, 1], exact, rtol=1e-12)
    assert {"e1t", "gphit"} <= set(found.zeta.coords)
    assert "e2t" not in found


@pytest.mark.usefixtures("mesh")
def test_what_a_field_names_is_a_coordinate_and_nothing_else() -> None:
    beside = Stored(path=("mesh_mask.nc",), rename={"nav_lev": "level"})
    found = open_files(Source(path=("in.nc",), coordinates=beside, rename={"x": "i"}))
    assert set(found.u.coords) == {"time_counter", "gphit"}
    metre = {"e1t": {"units": "m"}}
    more = open_files(Source(path=("in.nc",), coordinates=beside, coords=("e1t",), attrs=metre))
    assert set(more.u.coords) == {"time_counter", "gphit", "e1t"}
    assert more.e1t.attrs["units"] == "m"
    assert found.gphit.dims == ("y", "i")
    assert found.tmask.dims == ("level", "y", "i")
    assert found.sizes["time_counter"] == 2


@pytest.mark.parametrize("beside", [False, True])
def test_a_file_that_was_rewritten_is_read_as_it_is_now(
    beside: bool, mesh: xr.Dataset, write: Write
) -> None:
    """HDF5 still has it open, in what waits for the collector; beside a store of Zarr too."""
    mesh.e1t.to_dataset().to_zarr("in.zarr", zarr_format=3, consolidated=False)
    source = {"path": "in.zarr", "coordinates": "mesh_mask.nc"} if beside else "mesh_mask.nc"
    step = {"operator": "gradient", "inputs": ["e1t"], "options": {"dim": "x"}}
    config = load(write(source=source if beside else {"path": source}, steps=[step]))
    gc.disable()
    try:
        for latitude in (0.1, 0.2):
            mesh.assign(gphit=mesh.gphit * latitude).to_netcdf("new.nc")
            Path("mesh_mask.nc").write_bytes(Path("new.nc").read_bytes())
            cycle: list[Any] = [looked_at(config)]
            cycle.append(cycle)
            found = cycle[0].source.gphit.values
            np.testing.assert_allclose(found.squeeze(), latitude * mesh.gphit.values[0])
            del cycle
    finally:
        gc.enable()


def test_the_file_of_the_fields_comes_first(mesh: xr.Dataset) -> None:
    own = {"e1t": (("y", "x"), np.full((4, 5), 7.0))}
    with xr.open_dataset("in.nc") as fields:
        fields.load().assign(own).to_netcdf("own.nc")
    mesh.to_zarr("mesh.zarr", zarr_format=3, consolidated=False)
    found = open_files(Source(path=("own.nc",), coordinates=Stored(path=("mesh.zarr",))))
    assert found.e1t[0, 0] == 7
    np.testing.assert_array_equal(found.e2t, mesh.e2t[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": slice(4)}, "mesh_mask.nc and .*in.nc have 4 and 5 points along 'x'; give the grid"),
        ({"x": slice(None, None, -1)}, "have other labels along 'x'"),
    ],
)
def test_the_grid_of_other_points_is_refused(
    change: dict[str, Any], message: str, mesh: xr.Dataset
) -> None:
    for name in ("in.nc", "mesh_mask.nc"):
        with xr.open_dataset(name, decode_times=False) as given:
            labels = given.load().assign_coords(x=10.0 * np.arange(5))
        (labels.isel(change) if name == "mesh_mask.nc" else labels).to_netcdf(name)
    with pytest.raises(InputError, match=message):
        open_files(Source(path=("in.nc",), coordinates=Stored(path=("mesh_mask.nc",))))


@pytest.mark.parametrize(
    ("held", "change", "message"), [(2**20, {"e1t"}, "input e1t"), (0, {}, "mesh_mask.nc")]
)
def test_a_grid_that_was_replaced_is_noticed(
    held: int,
    change: set[str],
    message: str,
    mesh: xr.Dataset,
    fdgrad: Called,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its values where they are in memory, else by the version of its file."""
    monkeypatch.setattr(steps, "IN_MEMORY", held)
    source = {"path": "in.nc", "coordinates": {"path": "mesh_mask.nc"}}
    config = write(source=source, grid={"dx": "e1t", "dy": "e2t"}, steps=[STEP])
    assert fdgrad("run", config)[0] == 0
    os.rename("mesh_mask.nc", "old.nc")
    mesh.assign({name: 2 * mesh[name] for name in change}).to_netcdf("mesh_mask.nc")
    for command in ("verify", "run"):
        code, _, err = fdgrad(command, config)
        assert code == 4
        assert message in err
    os.replace("old.nc", "mesh_mask.nc")
    assert fdgrad("verify", config)[0] == 0


def test_its_path_may_move_with_the_rest(write: Write) -> None:
    config = load(write(source={"path": "in.nc", "coordinates": ["a.nc", "b.nc"]}))
    assert config.source.coordinates is not None
    assert config.source.coordinates.path == (f"{os.getcwd()}/a.nc", f"{os.getcwd()}/b.nc")
