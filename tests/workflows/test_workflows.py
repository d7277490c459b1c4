"""Each program of workflows/ on tiny data, with a cluster of its own."""

from __future__ import annotations

import ast
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from in_process import cluster_of_threads
from numpy.testing import assert_allclose
from PIL import Image

from fdgrad_dask.pipeline.cluster import open as cluster

FOLDER = Path(__file__).parents[2] / "workflows"
PROGRAMS = sorted(FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Runs a program in this process, with its cluster; importing all of it takes seconds."""
    level = logging.getLogger("distributed").level
    monkeypatch.setitem(cluster.OPEN, "local", cluster_of_threads)

    def called(program: str, *arguments: str) -> None:
        path = str(FOLDER / f"{program}.py")
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
        assert ended.value.code == 0

    yield called
    plt.close("all")
    logging.getLogger("distributed").setLevel(level)


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


def test_the_kinematics_of_a_rotation(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rotation().to_netcdf("wind.nc")
    monkeypatch.setenv("FDGRAD_ERAINTERIM", "wind.nc")
    run("era5_kinematics")
    with xr.open_zarr("out/era5_kinematics.zarr") as result:
        exact = 40 * np.sin(np.deg2rad(result.latitude)) / 6371229.0
        vorticity = result.vorticity.isel(month=1, level=2, longitude=0)
        assert_allclose(vorticity[1:-1], exact[1:-1], rtol=0, atol=5e-8)  # 5° are coarse
        assert_allclose(result.divergence, 0, atol=1e-15)
    for name in ("vorticity", "divergence", "geostrophic_wind_speed", "potential_vorticity"):
        assert_drawn(f"out/{name}.png")


def test_the_kinematics_say_what_they_need() -> None:
    """In a process of its own, as programs are called."""
    given = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(FOLDER.parent)}
    given.pop("FDGRAD_ERAINTERIM", None)
    program = [sys.executable, str(FOLDER / "era5_kinematics.py")]
    done = subprocess.run(program, env=given, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("no wind to look at; set FDGRAD_ERAINTERIM to a netCDF file with")
    assert not os.listdir()


def test_fronts_of_the_sea(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("iris_sample_data", reason="pip install 'fdgrad_dask[samples]'")
    run("sst_fronts")
    assert "fronts   2.3 % of the water and the months" in capsys.readouterr().out
    with xr.open_dataset("out/sst_fronts.nc", decode_timedelta=False) as mask:
        assert mask.front.attrs["long_name"] == "1 where the gradient is above 1 K in 100 km"
        tongue = mask.front.sel(latitude=slice(0, 2), longitude=slice(250, 270))
        assert tongue.mean() > 0.2  # north of the cold tongue of the Pacific
        assert mask.front.sel(longitude=20, method="nearest").isnull().all()  # Africa
    assert_drawn("out/sst_fronts.png")


def test_scaling_makes_a_row_for_each_number_of_workers(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run("scaling", "--workers", "2", "--megabytes", "1")
    head, _, one, two = Path("out/scaling/scaling.md").read_text().splitlines()
    assert head == "| workers | seconds | MB/s read | speed-up |"
    assert one.startswith("| 1 |")
    assert one.endswith("| 1.00 |")
    assert two.startswith("| 2 |")
    assert head in capsys.readouterr().out
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
