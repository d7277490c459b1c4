"""Every YAML of ``configs/`` loads, and its steps can be built; those of models are right."""

from __future__ import annotations

import os
import re
import runpy
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import cli
from fdgrad_dask.pipeline.cluster.open import OPEN
from fdgrad_dask.pipeline.config.schema import Config, load, load_all

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
CLUSTERS = sorted((Path(__file__).parents[1] / "configs" / "clusters").glob("*.yaml"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the programs of workflows/ have written files as models do."""
    folder = tmp_path_factory.mktemp("models")
    with chdir(folder):
        for program in ("sample_models", "sample_era5"):
            main = runpy.run_path(str(CONFIGS[0].parents[1] / "workflows" / f"{program}.py"))[
                "main"
            ]
            assert main() == 0
    return folder / "out" / "models"


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a config reads that no package brings along: a small wind, and files as of models."""
    monkeypatch.chdir(tmp_path)
    os.makedirs("out")
    os.symlink(models, "out/models")
    grid = {
        "month": [1, 7],
        "level": [200, 500],
        "latitude": ("latitude", [-45.0, 0.0, 45.0], {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(0.0, 360.0, 60.0), {"units": "degrees_east"}),
    }
    field = xr.DataArray(np.zeros((2, 2, 3, 6)), grid, tuple(grid), attrs={"units": "m s-1"})
    wind = xr.Dataset({"u": field, "v": field, "z": field.assign_attrs(units="m2 s-2")})
    wind.to_netcdf("wind.nc")
    wind.to_zarr("out/scaling/source.zarr", zarr_format=3, consolidated=False)
    monkeypatch.setenv("FDGRAD_ERAINTERIM", "wind.nc")


def test_there_are_configs() -> None:
    assert {"quickstart", "climate"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_loads(path: Path) -> None:
    assert isinstance(load(str(path)), Config)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_can_be_checked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out.startswith("read     ")


def test_check_says_which_grid_was_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(CONFIGS[0].with_name("wrf.yaml"))]) == 0
    said = capsys.readouterr().out
    assert "grid     WRF: the dimensions west_east, west_east_stag, " in said
    assert "         x: center west_east, outer west_east_stag, open ends\n" in said
    assert "         cell sizes: MAPFAC_M, MAPFAC_U, MAPFAC_V\n" in said


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_how_to_run_it(path: Path) -> None:
    assert f"fdgrad run configs/{path.name}" in path.read_text()


def result_of(name: str) -> xr.Dataset:
    assert cli.main(["run", str(CONFIGS[0].with_name(f"{name}.yaml")), "--quiet"]) == 0
    with xr.open_zarr(f"out/{name}.zarr") as found:
        return found.load()


def between(at_centres: xr.DataArray) -> np.ndarray:
    """The mean of four neighbours each."""
    values = at_centres.values
    return (values[1:, 1:] + values[1:, :-1] + values[:-1, 1:] + values[:-1, :-1]) / 4


@pytest.mark.parametrize(
    ("name", "file", "latitude", "radius", "inner"),
    [
        ("wrf", "wrfout_d01", "XLAT", 6370000.0, np.s_[:, 1:-1, 1:-1]),
        ("roms", "roms_his", "lat_rho", 6371315.0, np.s_[:, :]),
        ("nemo", "mesh_mask", "gphit", 6371229.0, np.s_[:-1, :-1]),
    ],
)
def test_the_vorticity_of_a_solid_body_on_the_grid_of_a_model(
    name: str, file: str, latitude: str, radius: float, inner: tuple[slice, ...]
) -> None:
    found = result_of(name).vorticity
    with xr.open_dataset(f"out/models/{file}.nc") as given:
        at_centres = given[latitude].load()
    at_centres = at_centres[0] if at_centres.ndim == 3 else at_centres
    exact = 40 * np.sin(np.deg2rad(between(at_centres))) / radius
    np.testing.assert_allclose(
        found.values[inner], np.broadcast_to(exact, found.values[inner].shape), rtol=2e-5
    )
    assert found.attrs["grid_source"].startswith(name.upper())


def test_the_ends_of_a_recognised_grid_are_set_by_axis(capsys: pytest.CaptureFixture[str]) -> None:
    roms = str(CONFIGS[0].with_name("roms.yaml"))
    assert cli.main(["check", roms, "--set", "grid={boundary: 0}"]) == 2
    assert "Grid(…, boundary={'x': 'periodic', 'y': 0.0}), as keys of the section grid" in (
        capsys.readouterr().err
    )
    assert cli.main(["check", roms, "--set", "grid={boundary: {x: periodic, y: 0}}"]) == 0
    assert cli.main(["check", roms, "--set", "grid={boundary: {x: 0, y: 0}}"]) == 0
    assert "as the config says: boundary={'x': 0.0, 'y': 0.0}" in capsys.readouterr().out


def test_the_potential_vorticity_of_a_solid_body() -> None:
    found = result_of("era5_pv").pv[:, 1:-1]  # it has no horizontal part at a pole
    turning = 2 * 7.292115e-5 + 40 / 6371229.0
    exact = 9.80665 * 5e-4 * turning * np.sin(np.deg2rad(found.latitude))
    np.testing.assert_allclose(found, exact.broadcast_like(found), rtol=1e-3, atol=1e-13)
    assert found.level.attrs["units"] == "hPa"


def kind_of(cluster: Path) -> str:
    [config] = load_all([str(CONFIGS[0])], [f"cluster={cluster}"]).values()
    return config.cluster.kind


def test_every_kind_of_cluster_has_a_file() -> None:
    assert {path.stem for path in CLUSTERS} == set(OPEN)


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_a_cluster_loads_and_says_how_to_use_it(path: Path) -> None:
    assert kind_of(path) == path.stem
    assert f"--cluster configs/clusters/{path.name}" in path.read_text()


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_what_a_cluster_leaves_out_is_right_when_it_is_put_in(path: Path, tmp_path: Path) -> None:
    """The options in comments, such as ``# queue: normal``."""
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and ": " in line.split("#")[1] else line
        for line in path.read_text().splitlines()
    ]
    options = [line for line in lines if re.match(r"\w+:( |$)", line)]
    given = "\n".join(line for line in options if not line.startswith("processes"))
    (tmp_path / "all.yaml").write_text(given)
    assert kind_of(tmp_path / "all.yaml") == path.stem
