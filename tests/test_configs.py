"""Every YAML of ``configs/`` loads, and its steps can be built, without computing anything."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import cli
from fdgrad_dask.pipeline.cluster.open import OPEN
from fdgrad_dask.pipeline.config.schema import Config, load, load_all

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
CLUSTERS = sorted((Path(__file__).parents[1] / "configs" / "clusters").glob("*.yaml"))


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a config reads that no package brings along: a small wind."""
    monkeypatch.chdir(tmp_path)
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


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_how_to_run_it(path: Path) -> None:
    assert f"fdgrad run configs/{path.name}" in path.read_text()


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
