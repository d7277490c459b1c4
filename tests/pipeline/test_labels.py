"""Remedies in YAML: attributes and coordinates that a file lacks, and times that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.open import open_files

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]


def test_attributes_that_a_file_lacks_are_set_in_the_config(fdgrad: Called, write: Write) -> None:
    """ARCO-ERA5 has a level without units: what the message asks for can be written (11h)."""
    pressure = np.array([300.0, 500, 700, 850])
    lat, lon = np.arange(30.0, 45, 3), np.arange(0.0, 18, 3)
    shape = (4, 5, 6)
    theta = np.broadcast_to((320 - 0.04 * pressure)[:, None, None], shape)
    dims = ("level", "latitude", "longitude")
    wind = xr.Variable(dims, np.zeros(shape), {"units": "m s-1"})
    named = {"units": "K", "standard_name": "air_potential_temperature"}
    xr.Dataset(
        {"u": wind, "v": wind, "theta": (dims, theta, named)},
        {
            "level": pressure,
            "latitude": ("latitude", lat, {"units": "degrees_north"}),
            "longitude": ("longitude", lon, {"units": "degrees_east"}),
        },
    ).to_netcdf("era.nc")
    step = {"operator": "potential_vorticity", "inputs": ["u", "v", "theta"], "output": "pv"}
    source: dict[str, Any] = {"path": "era.nc"}
    code, _, err = fdgrad("check", write(source=source, steps=[step]))
    assert code == 3
    assert "level" in err
    level = {"units": "hPa", "standard_name": "air_pressure", "positive": "down", "axis": "Z"}
    config = write(source={**source, "attrs": {"level": level}}, steps=[step])
    for command in ("check", "plan", "run"):
        code, _, err = fdgrad(command, config)
        assert code == 0, err
    found = open_files(Source(path=("out.zarr",)))
    # -g f ∂θ/∂p at rest, with 0.04 K per hPa.
    true = 9.80665 * 2 * 7.292115e-5 * np.sin(np.deg2rad(lat)) * 4e-4
    np.testing.assert_allclose(found.pv[1, :, 2], true, rtol=1e-3)
    assert found.level.attrs["units"] == "hPa"


def test_coordinates_that_are_data_variables_are_named_in_the_config(sst: xr.Dataset) -> None:
    """NEMO's nav_lat and nav_lon, where no variable says that they are its coordinates."""
    plane = ("y", "x"), np.zeros((5, 8))
    made = xr.Dataset({"t": (("y", "x"), np.ones((5, 8))), "nav_lat": plane, "nav_lon": plane})
    made.to_netcdf("in.nc")
    found = open_files(
        Source(
            path=("in.nc",),
            rename={"t": "temperature"},
            coords=("nav_lat", "nav_lon"),
            attrs={
                "nav_lat": {"units": "degrees_north"},
                "temperature": {"coordinates": "nav_lat nav_lon", "units": "K"},
            },
        )
    )
    assert {"nav_lat", "nav_lon"} <= set(found.temperature.coords)
    assert found.nav_lat.attrs["units"] == "degrees_north"
    assert found.temperature.attrs["units"] == "K"
    assert found.temperature.encoding["coordinates"] == "nav_lat nav_lon"


def test_null_takes_an_attribute_away_and_what_names_another_is_followed(source: str) -> None:
    given = {"sst": {"standard_name": None, "grid_mapping": "latitude_bnds"}}
    found = open_files(Source(path=(source,), attrs=given))
    assert "standard_name" not in found.sst.attrs
    assert found.sst.attrs["units"] == "K"
    assert "latitude_bnds" in found.coords


def test_names_that_do_not_exist_are_told(source: str) -> None:
    with pytest.raises(ConfigError, match=r"source.attrs: no variable 'sts'; did you mean 'sst'"):
        open_files(Source(path=(source,), attrs={"sts": {"units": "K"}}))
    with pytest.raises(ConfigError, match=r"source.coords: no variable 'crz'; did you mean 'crs'"):
        open_files(Source(path=(source,), coords=("crz",)))


@pytest.mark.parametrize("name", ["scale_factor", "_FillValue"])
def test_attributes_that_would_change_no_value_are_refused(name: str, write: Write) -> None:
    from fdgrad_dask.pipeline.config.schema import load

    config = write(source={"path": "in.nc", "attrs": {"sst": {name: 2}}})
    with pytest.raises(ConfigError, match=rf"source.attrs.sst: {name} says how values are stored"):
        load(config)


@pytest.mark.parametrize("target", ["out.zarr", "out.nc"])
def test_months_of_thirty_days_are_read_and_written(
    target: str, fdgrad: Called, write: Write
) -> None:
    """IRI and NMME; xarray reads that unit and writes it not (11e)."""
    attrs = {"units": "months since 1960-01-01", "calendar": "360_day"}
    data = np.arange(12.0).reshape(4, 3)
    xr.Dataset(
        {"sst": (("T", "Y"), data, {"units": "degC"})},
        {"T": ("T", np.arange(4) + 0.5, attrs), "Y": [0.0, 1, 2]},
    ).to_netcdf("iri.nc")
    step = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "T"}, "output": "d"}
    code, _, err = fdgrad(
        "run", write(source={"path": "iri.nc"}, steps=[step], target={"path": target})
    )
    assert code == 0, err
    found = open_files(Source(path=(target,)))
    np.testing.assert_allclose(found.d, 3 / (30 * 86400), rtol=1e-6)
    assert found.indexes["T"].calendar == "360_day"
    assert [str(time)[:10] for time in found.T.values] == [
        f"1960-0{month}-16" for month in (1, 2, 3, 4)
    ]


def test_times_that_cannot_be_decoded_are_numbers_where_the_remedy_is_obeyed(
    fdgrad: Called, write: Write
) -> None:
    attrs = {"units": "months since 1960-01-01", "calendar": "standard"}
    data = 2.0 * np.arange(4)
    xr.Dataset({"a": ("T", data, {"units": "K"})}, {"T": ("T", np.arange(4.0), attrs)}).to_netcdf(
        "in.nc"
    )
    step = {"operator": "gradient", "inputs": ["a"], "options": {"dim": "T"}, "output": "d"}
    code, _, err = fdgrad("run", write(source={"path": "in.nc"}, steps=[step]))
    assert code == 3
    assert "set source: {decode_times: false}" in err
    obeyed = {"path": "in.nc", "decode_times": False}
    code, _, err = fdgrad("run", write(source=obeyed, steps=[step]))
    assert code == 0, err
    found = open_files(Source(path=("out.zarr",), decode_times=False))
    np.testing.assert_array_equal(found.d, 2.0)
    assert "since" not in found.d.attrs.get("units", "")
    assert Path("out.zarr").exists()
