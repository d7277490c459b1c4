"""The section ``grid:``: what a file does not say about where its fields lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.planning.steps import geometry_of
from fdgrad_dask.pipeline.source.open import open_files

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]
VORTICITY = {"operator": "vorticity", "inputs": ["u", "v"], "output": "zeta"}
TURN = 2e-5  # s-1


@pytest.fixture
def ocean() -> xr.Dataset:
    """A rotation of a fluid on a plane of uneven steps, by names that tell no operator anything."""
    steps_x, steps_y = np.linspace(800.0, 1200, 8), np.linspace(500.0, 900, 6)
    x, y = np.cumsum(steps_x) - steps_x / 2, np.cumsum(steps_y) - steps_y / 2
    ones = np.ones((3, 6, 8))
    dims = ("depth", "j", "i")
    made = xr.Dataset(
        {
            "u": (dims, -TURN * y[:, None] * ones, {"units": "m s-1"}),
            "v": (dims, TURN * x * ones, {"units": "m s-1"}),
            "e1t": (("j", "i"), np.broadcast_to(steps_x, (6, 8)), {"units": "m"}),
            "e2t": (("j", "i"), np.broadcast_to(steps_y[:, None], (6, 8)), {"units": "m"}),
            "turned": (("j", "i"), np.full((6, 8), 30.0), {"units": "degrees"}),
        }
    )
    made.chunk({"depth": 1, "j": 3, "i": 4}).to_zarr("in.zarr", zarr_format=3, consolidated=False)
    return made


def result() -> xr.Dataset:
    return open_files(Source(path=("out.zarr",))).load()


@pytest.mark.usefixtures("ocean")
def test_steps_of_the_grid_are_variables_of_the_source(fdgrad: Called, write: Write) -> None:
    """NEMO's e1t and e2t, over regions that each read a part of them."""
    grid = {"dx": "e1t", "dy": "e2t"}
    config = write(
        source={"path": "in.zarr"},
        grid=grid,
        steps=[VORTICITY],
        target={"path": "out.zarr", "regions": {"j": 3, "i": 4}},
    )
    assert (
        "grid     curvilinear: zeta\n         as the config says: dx='e1t', dy='e2t'\n"
        in fdgrad("check", config)[1]
    )
    code, _, err = fdgrad("run", config)
    assert code == 0, err
    found = result()
    np.testing.assert_allclose(found.zeta[:, 1:-1, 1:-1], 2 * TURN, rtol=1e-2)
    assert found.zeta.attrs["horizontal_geometry"] == "curvilinear"
    whole = write(source={"path": "in.zarr"}, grid=grid, steps=[VORTICITY])
    assert fdgrad("run", whole, "--fresh")[0] == 0
    np.testing.assert_array_equal(result().zeta, found.zeta)


def test_the_keys_of_a_step_come_before_those_of_the_section(
    ocean: xr.Dataset, fdgrad: Called, write: Write
) -> None:
    own = {**VORTICITY, "options": {"dx": 500.0, "accuracy": 2}, "output": "own"}
    config = write(
        source={"path": "in.zarr"}, grid={"dx": 1000.0, "dy": 1000.0}, steps=[VORTICITY, own]
    )
    assert fdgrad("run", config)[0] == 0
    v_x, u_y = np.gradient(ocean.v.values, axis=2), np.gradient(ocean.u.values, axis=1)
    found = result().isel(j=slice(1, -1), i=slice(1, -1))
    inner = np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose(found.zeta, (v_x - u_y)[inner] / 1000, rtol=1e-12)
    np.testing.assert_allclose(found.own, (v_x / 500 - u_y / 1000)[inner], rtol=1e-12)


def test_another_geometry_in_a_step_has_no_key_of_the_section(write: Write) -> None:
    step = {**VORTICITY, "options": {"geometry": "sphere"}}
    config = load(write(grid={"dx": 1.0, "dy": 1.0, "boundary": "periodic"}, steps=[step]))
    grid = config.grid_of(config.steps[0])
    assert grid is not None
    assert (grid.kind, grid.dx, grid.boundary) == ("sphere", None, "periodic")


@pytest.mark.usefixtures("ocean")
def test_winds_along_a_turned_grid_are_turned(fdgrad: Called, write: Write) -> None:
    """A deformation changes with the axes: by 30° shear and stretch become each other."""
    grid = {"dx": 1000.0, "dy": 1000.0, "components": "grid", "angle": "turned"}
    step = {"operator": "rotate_to_earth", "inputs": ["u", "v"], "output": ["east", "north"]}
    code, _, err = fdgrad("run", write(source={"path": "in.zarr"}, grid=grid, steps=[step]))
    assert code == 0, err
    with xr.open_zarr("in.zarr", consolidated=False) as given:
        u, v = given.u.values, given.v.values
    np.testing.assert_allclose(result().east, u * np.sqrt(3) / 2 - v / 2, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(result().north, u / 2 + v * np.sqrt(3) / 2, rtol=1e-12, atol=1e-16)


def test_a_plane_is_periodic_where_the_grid_says_so(fdgrad: Called, write: Write) -> None:
    x = np.arange(0.0, 16, 2)
    wave = np.sin(2 * np.pi * x / 16)
    length = {"units": "m"}
    xr.Dataset(
        {"t": (("y", "x"), np.tile(wave, (3, 1)), {"units": "K"})},
        {"x": ("x", x, length), "y": ("y", [0.0, 2, 4], length)},
    ).to_netcdf("in.nc")
    step = {"operator": "horizontal_gradient", "inputs": ["t"], "output": ["tx", "ty"]}
    grid = {"geometry": "plane", "boundary": {"x": "periodic"}}
    assert fdgrad("run", write(source={"path": "in.nc"}, grid=grid, steps=[step]))[0] == 0
    exact = (np.roll(wave, -1) - np.roll(wave, 1)) / 4
    np.testing.assert_allclose(result().tx, np.tile(exact, (3, 1)), atol=1e-15)


WRONG = [
    ("{geometry: round}", "line 3, grid.geometry: input should be 'plane', 'sphere', "),
    ("{raduis: 6e6}", "line 3, grid.raduis: unknown key; did you mean 'radius'"),
    ("{radius: 6e6}", "line 3, grid.radius: of which geometry"),
    ("{radius: -1}", "line 3, grid.radius: input should be greater than 0"),
    ("{geometry: plane, dx: 3}", "line 3, grid.dx: a plane grid has no such key; it has metres"),
    ("{dx: [1, 2]}", "line 3, grid.dx: a step is a number of metres, the name of a variable, or"),
    ("{dx: {u: e1u}}", "line 3, grid.dx: only a staggered grid has it by point"),
    ("{geometry: staggered}", "line 3, grid.staggering: is missing; say which dimensions"),
    ("{components: north}", "line 3, grid.components: input should be 'earth' or 'grid'"),
    ("{boundary: wrap}", "line 3, grid.boundary: a boundary is periodic, reflect, extend, fold"),
    ("{staggering: {x: {centre: i}, y: {}}}", "grid.staggering.x.centre"),
]


@pytest.mark.parametrize(("grid", "message"), WRONG)
def test_what_is_wrong_has_its_line(grid: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(
        f"source: {{path: in.nc}}\ntarget: {{path: out.zarr}}\ngrid: {grid}\n"
        "steps:\n  - {operator: vorticity, inputs: [u, v]}\n"
    )
    with pytest.raises(ConfigError) as error:
        load(str(config))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({**VORTICITY, "options": {"radius": 1.0}}, "steps[0].options.radius: of which geometry"),
        (
            {"operator": "gradient", "inputs": ["u"], "options": {"dim": "x", "dx": 2.0}},
            "steps[0].options.dx: gradient has no such option",
        ),
    ],
)
def test_what_is_wrong_in_a_step_is_found_there(
    step: dict[str, Any], message: str, write: Write
) -> None:
    with pytest.raises(ConfigError) as error:
        load(write(steps=[step]))
    assert message in str(error.value)


@pytest.mark.usefixtures("ocean")
def test_a_variable_that_is_not_there_has_a_suggestion(fdgrad: Called, write: Write) -> None:
    config = write(source={"path": "in.zarr"}, grid={"dx": "e1", "dy": "e2t"}, steps=[VORTICITY])
    code, _, err = fdgrad("check", config)
    assert code == 3
    assert "steps[0]: no variable 'e1' in in.zarr" in err
    assert "did you mean 'e1t'" in err


@pytest.mark.usefixtures("ocean")
def test_another_grid_is_another_config(fdgrad: Called, write: Write) -> None:
    grid: dict[str, Any] = {"dx": "e1t", "dy": "e2t"}
    assert fdgrad("run", write(source={"path": "in.zarr"}, grid=grid, steps=[VORTICITY]))[0] == 0
    grid["dx"] = 1000.0
    config = write(source={"path": "in.zarr"}, grid=grid, steps=[VORTICITY])
    code, _, err = fdgrad("run", config)
    assert code == 4
    assert "grid.dx (was e1t, is 1000.0)" in err


def test_the_schema_knows_the_grid(fdgrad: Called) -> None:
    grid = json.loads(fdgrad("schema")[1])["$defs"]["Grid"]
    assert grid["additionalProperties"] is False
    assert {"type": "string"} in grid["properties"]["dx"]["anyOf"]
    assert all("description" in each for each in grid["properties"].values())
    assert "# grid:" in fdgrad("init")[1]


def wrf(moves: bool = False) -> xr.Dataset:
    """Latitude and longitude over Time, as WRF writes them, and a rotation of the Earth."""
    lat, lon = np.meshgrid(np.linspace(40.0, 44, 9), np.linspace(5.0, 9, 8), indexing="ij")
    times = 20.0 * np.arange(3)[:, None, None]
    dims = ("Time", "south_north", "west_east")
    u = np.broadcast_to(637.1229 * np.cos(np.deg2rad(lat)), (3, 9, 8)) + times
    place = {"units": "degree_north"}, {"units": "degree_east"}
    made = xr.Dataset({"U10": (dims, u, {"units": "m s-1"}), "V10": (dims, 0 * u)})
    for name, values, attrs in zip(("XLAT", "XLONG"), (lat, lon), place, strict=True):
        made = made.assign_coords({name: (dims, values + moves * times / 1e3, attrs)})
    return made


def test_a_grid_that_is_written_for_each_time_is_read_once(fdgrad: Called, write: Write) -> None:
    wrf().to_netcdf("in.nc")
    step = {"operator": "vorticity", "inputs": ["U10", "V10"], "output": "zeta"}
    config = write(source={"path": "in.nc"}, steps=[step])
    code, _, err = fdgrad("run", config)
    assert code == 2
    assert (
        "give geometry=Curvilinear(components='earth') or 'grid', as keys of the section grid"
        in err
    )
    config = write(source={"path": "in.nc"}, steps=[step], grid={"components": "earth"})
    code, _, err = fdgrad("run", config)
    assert code == 0, err
    found = result()
    assert found.XLAT.dims == ("south_north", "west_east")
    exact = 2 * 637.1229 * np.sin(np.deg2rad(wrf().XLAT[0])) / 6371229.0
    np.testing.assert_allclose(found.zeta[0, 2:-2, 2:-2], exact[2:-2, 2:-2], rtol=1e-3)


def test_a_grid_that_moves_is_refused_until_one_time_is_taken(fdgrad: Called, write: Write) -> None:
    wrf(moves=True).to_netcdf("in.nc")
    step = {"operator": "vorticity", "inputs": ["U10", "V10"], "output": "zeta"}
    grid = {"components": "earth"}
    code, _, err = fdgrad("check", write(source={"path": "in.nc"}, grid=grid, steps=[step]))
    assert code == 3
    assert "'XLAT' changes along 'Time', from 0 to 1: the grid moves" in err
    obeyed = {"path": "in.nc", "select": {"Time": {"index": 0}}}
    assert fdgrad("check", write(source=obeyed, grid=grid, steps=[step]))[0] == 0
    along = {"operator": "gradient", "inputs": ["U10"], "options": {"dim": "Time"}, "output": "d"}
    assert fdgrad("check", write(source={"path": "in.nc"}, steps=[along]))[0] == 0


def test_a_staggered_grid_has_its_sizes_by_point(ocean: xr.Dataset, write: Write) -> None:
    grid = {
        "staggering": {
            "x": {"center": "i", "right": "i"},
            "y": {"center": "j", "right": "j"},
            "points": {"u": "u", "v": "v"},
        },
        "dx": {"center": "e1t", "u": "e1t"},
        "area": {"center": "e2t"},
        "radius": 6e6,
        "boundary": {"x": "periodic", "y": [0, "fold"]},
    }
    given = load(write(grid=grid, steps=[VORTICITY])).grid
    assert given is not None
    assert given.names == {"e1t", "e2t"}
    found = geometry_of(given, lambda name: ocean[name])
    assert isinstance(found, fd.Grid)
    assert (found.x, found.y["right"], found.points["v"]) == (
        {"center": "i", "right": "i"},
        "j",
        "v",
    )
    assert (found.dx["u"].name, found.area["center"].name, found.radius) == ("e1t", "e2t", 6e6)
    assert found.ends("y") == (0, "fold")
    walls = load(write(grid={**grid, "boundary": 0}, steps=[VORTICITY])).grid
    assert walls is not None
    closed = geometry_of(walls, lambda name: ocean[name])
    assert isinstance(closed, fd.Grid)
    assert closed.boundary == {"x": 0, "y": 0}


def test_a_staggered_grid_is_cut_into_regions_and_stays_what_it_is(
    fdgrad: Called, write: Write
) -> None:
    """Faces and centres have dimensions of their own, of which the target has one pair."""
    n, step = np.arange(12.0), 1000.0
    faces, centres = step * n, step * (n + 0.5)
    speed = {"units": "m s-1"}
    u = np.broadcast_to(-TURN * centres[:, None], (12, 12))
    v = np.broadcast_to(TURN * centres, (12, 12))
    made = xr.Dataset(
        {"u": (("j", "i_l"), u, speed), "v": (("j_l", "i"), v, speed)},
        {"i": centres, "j": centres, "i_l": faces, "j_l": faces},
    )
    made = made.assign(dx=(("j", "i_l"), np.full((12, 12), step)))
    made = made.assign(dy=(("j_l", "i"), np.full((12, 12), step)))
    made = made.assign(area=(("j_l", "i_l"), np.full((12, 12), step**2)))
    made.chunk(4).to_zarr("in.zarr", zarr_format=3, consolidated=False)
    grid = {
        "staggering": {"x": {"center": "i", "left": "i_l"}, "y": {"center": "j", "left": "j_l"}},
        "dx": {"u": "dx"},
        "dy": {"v": "dy"},
        "area": {"corner": "area"},
    }
    given: dict[str, Any] = {"source": {"path": "in.zarr"}, "grid": grid, "steps": [VORTICITY]}
    parts = {"path": "out.zarr", "regions": {"j_l": 4, "i_l": 8}}
    assert "grid     the config: zeta\n" in fdgrad("check", write(**given))[1]
    code, _, err = fdgrad("run", write(**given, target=parts))
    assert code == 0, err
    found = result().zeta
    np.testing.assert_allclose(found[1:, 1:], 2 * TURN, rtol=1e-12)
    assert found[0].isnull().all()
    assert fdgrad("run", write(**given), "--fresh")[0] == 0
    np.testing.assert_array_equal(result().zeta, found)
