"""Each program of workflows/ as it is called, on tiny data, with a cluster of its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from PIL import Image

FOLDER = Path(__file__).parents[2] / "workflows"
PROGRAMS = sorted(FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def called(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, which imports the package that is tested here."""
    given = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(FOLDER.parent), **environment}
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{program}.py"), *arguments],
        env={name: value for name, value in given.items() if value},
        capture_output=True,
        text=True,
    )


def assert_drawn(path: str) -> None:
    with Image.open(path) as image:
        assert image.size[0] > 500
        assert len(image.convert("L").getcolors()) > 20


def rotation() -> xr.Dataset:
    """An isothermal atmosphere that turns as a solid body, from pole to pole, west of 180°E."""
    grid = {
        "month": [1, 7],
        "level": ("level", [200, 500, 850], {"units": "millibars"}),
        "latitude": ("latitude", np.linspace(90.0, -90.0, 37), {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(-180.0, 180.0, 5.0), {"units": "degrees_east"}),
    }
    still = xr.DataArray(np.zeros((2, 3, 37, 72)), grid, tuple(grid))
    u = (still + 20 * np.cos(np.deg2rad(still.latitude))).assign_attrs(units="m s-1")
    z = (still + 287.05 * 250 * np.log(1013 / still.level)).assign_attrs(units="m2 s-2")
    winds = {"u": u, "v": still.assign_attrs(units="m s-1"), "z": z}
    names = {"u": "eastward_wind", "v": "northward_wind", "z": "geopotential"}
    return xr.Dataset({n: a.assign_attrs(standard_name=names[n]) for n, a in winds.items()})


def test_the_kinematics_of_a_rotation() -> None:
    rotation().to_netcdf("wind.nc")
    done = called("era5_kinematics", FDGRAD_ERAINTERIM="wind.nc")
    assert done.returncode == 0, done.stderr
    with xr.open_zarr("out/era5_kinematics.zarr") as result:
        exact = 40 * np.sin(np.deg2rad(result.latitude)) / 6371229.0
        vorticity = result.vorticity.isel(month=1, level=2, longitude=0)
        assert_allclose(vorticity[1:-1], exact[1:-1], rtol=0, atol=5e-8)  # 5° are coarse
        assert_allclose(result.divergence, 0, atol=1e-15)
    for name in ("vorticity", "divergence", "geostrophic_wind_speed", "potential_vorticity"):
        assert_drawn(f"out/{name}.png")


def test_the_kinematics_say_what_they_need() -> None:
    done = called("era5_kinematics", FDGRAD_ERAINTERIM="")
    assert done.returncode == 1
    assert done.stderr.startswith("no wind to look at; set FDGRAD_ERAINTERIM to a netCDF file with")
    assert not os.listdir()


def test_fronts_of_the_sea() -> None:
    pytest.importorskip("iris_sample_data", reason="pip install 'fdgrad_dask[samples]'")
    done = called("sst_fronts")
    assert done.returncode == 0, done.stderr
    assert "fronts   2.3 % of the water and the months" in done.stdout
    with xr.open_dataset("out/sst_fronts.nc") as mask:
        assert mask.front.attrs["long_name"] == "1 where the gradient is above 1 K in 100 km"
        tongue = mask.front.sel(latitude=slice(0, 2), longitude=slice(250, 270))
        assert tongue.mean() > 0.2  # north of the cold tongue of the Pacific
        assert mask.front.sel(longitude=20, method="nearest").isnull().all()  # Africa
    assert_drawn("out/sst_fronts.png")


def test_scaling_makes_a_row_for_each_number_of_workers() -> None:
    done = called("scaling", "--workers", "2", "--megabytes", "1")
    assert done.returncode == 0, done.stderr
    head, _, one, two = Path("out/scaling/scaling.md").read_text().splitlines()
    assert head == "| workers | seconds | MB/s read | speed-up |"
    assert one.startswith("| 1 |")
    assert one.endswith("| 1.00 |")
    assert two.startswith("| 2 |")
    assert head in done.stdout
    assert_drawn("out/scaling/scaling.png")
    with xr.open_zarr("out/scaling/source.zarr", consolidated=False) as source:
        assert source.u.sizes == {"time": 16, "latitude": 361, "longitude": 720}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_a_story_of_public_names(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < 80
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fdgrad_dask"):
            assert not [alias.name for alias in node.names if alias.name.startswith("_")]
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")


def test_the_page_names_every_program() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [path.name for path in PROGRAMS if f"workflows/{path.name}" not in page] == []
