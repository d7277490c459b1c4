"""GRIB, as cfgrib opens it: a source of the command, and fields of the accessor."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import yaml

from fdgrad_dask import cli
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.open import open_source

pytest.importorskip("pyproj", reason="pyproj is not installed")  # first: see below
pytest.importorskip("cfgrib", reason="cfgrib is not installed")
eccodes = pytest.importorskip("eccodes", reason="ecCodes is not installed")

A = 6371229.0
LEVELS = (1000, 850, 500)


@pytest.fixture(scope="module")
def grib(tmp_path_factory):
    """A wind in solid rotation, by level and step: messages of the Northern Hemisphere."""
    path = tmp_path_factory.mktemp("grib") / "wind.grib"
    with path.open("wb") as file:
        for step in (0, 6):
            for level in LEVELS:
                for name in ("u", "v"):
                    message = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
                    keys = {"level": level, "step": step, "shortName": name, "bitsPerValue": 24}
                    for key, value in keys.items():
                        eccodes.codes_set(message, key, value)
                    lat = np.deg2rad(eccodes.codes_get_array(message, "latitudes"))
                    speed = level / 100 + step
                    eccodes.codes_set_values(message, speed * np.cos(lat) * (name == "u"))
                    eccodes.codes_write(message, file)
                    eccodes.codes_release(message)
    return path


def true_vorticity(of: xr.DataArray) -> xr.DataArray:
    hours = of.step / np.timedelta64(1, "h")
    return 2 * (of.isobaricInhPa / 100 + hours) * np.sin(np.deg2rad(of.latitude)) / A


def assert_rotation(made: xr.DataArray) -> None:
    inner = made.isel(latitude=slice(1, -1), longitude=slice(1, -1))
    error = abs(inner - true_vorticity(inner)).max() / true_vorticity(inner).max()
    assert float(error) < 1e-3
    assert made.attrs["units"] == "s-1"


def test_fields_of_the_accessor(grib):
    with xr.open_dataset(grib, engine="cfgrib", decode_timedelta=True) as ds:
        assert_rotation(ds.fdgrad.vorticity("u", "v"))


def test_a_source_of_the_command(grib, tmp_path):
    config = {
        "source": {"path": str(grib)},
        "steps": [{"operator": "vorticity", "inputs": ["u", "v"], "output": "vo"}],
        "target": {"path": str(tmp_path / "out.zarr")},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["run", str(tmp_path / "config.yaml")]) == 0
    with xr.open_zarr(tmp_path / "out.zarr", decode_timedelta=True) as made:
        assert_rotation(made.vo)


def test_a_chunk_is_a_message(grib):
    u = open_source(Source(path=str(grib))).u
    assert dict(zip(u.dims, u.chunks, strict=True)) == {
        "step": (1, 1),
        "isobaricInhPa": (1, 1, 1),
        "latitude": (31,),
        "longitude": (16,),
    }


PROJECTED = """
import sys
import numpy as np, xarray as xr
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.open import open_source

mapping = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
mapping |= {"grid_north_pole_longitude": -162.0}
names = {n: {"standard_name": f"grid_{n}itude", "units": "degrees"} for n in ("lat", "long")}
place = {n: (n, np.arange(-5.0, 6), names[n]) for n in names} | {"pole": ((), 0, mapping)}
f = xr.DataArray(np.ones((11, 11)), place, ("lat", "long"), attrs={"grid_mapping": "pole"})
f.to_dataset(name="f").to_netcdf("in.nc", engine="netcdf4")
found = open_source(Source(path="in.nc")).set_coords("pole")
assert "eccodes" in sys.modules  # by xarray, which asks cfgrib whether it knows the file
found.f.fdgrad.horizontal_gradient()
"""


def test_projections_beside_eccodes(tmp_path):
    """The wheels of both hold a PROJ: pyproj called the other one, and failed or crashed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROJECTED], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
