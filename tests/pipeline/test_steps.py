"""Steps become one lazy Dataset: names, inputs, options, and what goes along with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import model_cases
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import ConfigError, CoordinateError, InputError, OptionError
from fdgrad_dask.pipeline.config.schema import Config, load
from fdgrad_dask.pipeline.config.source import Picked
from fdgrad_dask.pipeline.planning import steps
from fdgrad_dask.pipeline.planning.steps import build, with_grid
from fdgrad_dask.pipeline.source.open import open_source
from fdgrad_dask.pipeline.source.select import selected

ALONG_LATITUDE = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "latitude"}}
BOTH = {
    "operator": "gradient",
    "inputs": ["sst"],
    "options": {"dim": ["latitude", "longitude"]},
}


@pytest.fixture
def built(write: Callable[..., str]) -> Callable[..., xr.Dataset]:
    def build_steps(*steps: dict[str, Any]) -> xr.Dataset:
        config = load(write(steps=list(steps)))
        return build(config, open_source(config.source))

    return build_steps


def test_a_step_gives_what_the_operator_gives(
    built: Callable[..., xr.Dataset], sst: xr.Dataset
) -> None:
    result = built(ALONG_LATITUDE)
    expected = operators.gradient(sst.set_coords(["crs", "latitude_bnds"]).sst, "latitude")
    xr.testing.assert_identical(result.dsst_dlatitude.compute(), expected)


def test_outputs_have_the_names_of_the_config(built: Callable[..., xr.Dataset]) -> None:
    assert list(built(BOTH)) == ["dsst_dlatitude", "dsst_dlongitude"]
    assert list(built({**BOTH, "output": ["y", "x"]})) == ["y", "x"]
    assert list(built({**ALONG_LATITUDE, "output": "slope"})) == ["slope"]


def test_a_step_may_use_what_an_earlier_one_gave(
    built: Callable[..., xr.Dataset], sst: xr.Dataset
) -> None:
    again = {"operator": "gradient", "inputs": ["slope"], "options": {"dim": "longitude"}}
    result = built({**ALONG_LATITUDE, "output": "slope"}, again)
    expected = sst.sst.differentiate("latitude").differentiate("longitude")
    np.testing.assert_allclose(result.dslope_dlongitude, expected, atol=1e-6)


def test_an_option_that_is_an_array_is_the_name_of_a_variable(
    built: Callable[..., xr.Dataset], sst: xr.Dataset
) -> None:
    options = {"dim": "latitude", "coordinate": "depth"}
    result = built({**ALONG_LATITUDE, "options": options, "output": "d"})
    np.testing.assert_allclose(
        result.d, sst.sst.differentiate("latitude") * 10, rtol=1e-4, atol=1e-5
    )


def test_the_angle_of_a_grid_is_found_as_in_a_notebook(write: Callable[..., str]) -> None:
    ones = xr.DataArray(np.ones((2, 3)), dims=("y", "x"))
    angle = (np.pi / 2 * ones).assign_attrs(units="radians")
    source = xr.Dataset({"u": ones, "v": 0 * ones, "angle": angle})
    step = {"operator": "rotate_to_earth", "inputs": ["u", "v"], "output": ["east", "north"]}
    made = build(load(write(steps=[step])), source)
    np.testing.assert_allclose(made.east, 0, atol=1e-15)
    np.testing.assert_allclose(made.north, 1)
    assert not made.coords


def test_nothing_is_computed(built: Callable[..., xr.Dataset]) -> None:
    def fail_if_called(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=fail_if_called):
        result = built(ALONG_LATITUDE, {"operator": "gradient_magnitude", "inputs": ["sst"]})
    assert all(array.chunks for array in result.data_vars.values())


def test_coordinates_bounds_and_grid_mapping_go_along(built: Callable[..., xr.Dataset]) -> None:
    result = built(ALONG_LATITUDE)
    assert set(result.coords) == {
        *("time", "latitude", "longitude", "depth", "crs", "latitude_bnds")
    }
    assert result.attrs["Conventions"] == "CF-1.8"


REFUSED: list[tuple[list[dict[str, Any]], type[Exception], str]] = [
    (
        [{**ALONG_LATITUDE, "inputs": ["sts"]}],
        InputError,
        r"steps\[0\]: no variable 'sts' in .*sst.zarr or an earlier step; did you mean 'sst'\?",
    ),
    (
        [{**ALONG_LATITUDE, "options": {"dim": "latitude", "coordinate": "deph"}}],
        InputError,
        r"no variable 'deph'",
    ),
    (
        [ALONG_LATITUDE, ALONG_LATITUDE],
        ConfigError,
        r"steps\[1\]: 'dsst_dlatitude' is already there, an earlier step gives it; rename it by",
    ),
    (
        [{**ALONG_LATITUDE, "output": "depth"}],
        ConfigError,
        r"steps\[0\]: 'depth' is already there, the source gives it; rename it by output",
    ),
    (
        [{**BOTH, "output": ["a"]}],
        ConfigError,
        r"steps\[0\].output: gradient gives 2 \(dsst_dlatitude, dsst_dlongitude\), got 1 names",
    ),
    (
        [{**ALONG_LATITUDE, "output": ["a", "b"]}],
        ConfigError,
        r"steps\[0\].output: gradient gives 1 \(dsst_dlatitude\), got 2 names; name each of them",
    ),
    (
        [{**ALONG_LATITUDE, "options": {"dim": "level"}}],
        CoordinateError,
        r"steps\[0\], gradient of sst: no dimension 'level'",
    ),
    (
        [{**ALONG_LATITUDE, "options": {"dim": "latitude", "accuracy": 3}}],
        OptionError,
        r"steps\[0\], gradient of sst: accuracy is 3",
    ),
    (
        [{**ALONG_LATITUDE, "options": {"dim": "latitude", "accuracy": "four"}}],
        ValueError,
        r"steps\[0\], gradient of sst: .*four",
    ),
]


@pytest.mark.parametrize(("steps", "kind", "message"), REFUSED)
def test_what_is_refused_names_the_step(
    steps: list[dict[str, Any]],
    kind: type[Exception],
    message: str,
    built: Callable[..., xr.Dataset],
) -> None:
    with pytest.raises(kind, match=message) as error:
        built(*steps)
    assert "as keys of the section grid" not in str(error.value)  # none of it is of a grid


def test_an_operator_that_stumbles_is_told_with_its_step(
    built: Callable[..., xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(field: xr.DataArray, dim: str | None = None) -> xr.DataArray:
        raise TypeError("unsupported operand")

    monkeypatch.setattr(operators, "gradient", stumbles)
    with pytest.raises(
        ConfigError, match=r"steps\[0\], gradient of sst: unsupported operand; see the options"
    ):
        built(ALONG_LATITUDE)


# --- what a grid needs, in memory ---------------------------------------------------------------

WIND = {"operator": "vorticity", "inputs": ["u", "v"], "output": "z"}
SIZES = {"geometry": "curvilinear", "dx": "e1", "dy": 2.0}


def moving(*shifts: float, **more: Any) -> xr.Dataset:
    """A lazy wind at places that are written for each time, which are NaN beyond the model."""
    shape = len(shifts), 4, 5
    lat = np.linspace(40.0, 43.0, 4)[:, None] + np.zeros(5) + np.array(shifts)[:, None, None]
    lat[:, 0, 0] = np.nan
    lon = np.broadcast_to(np.linspace(5.0, 9.0, 5), shape)
    dims = ("t", "y", "x")
    made = xr.Dataset(
        {name: (dims, np.zeros(shape), {"units": "m s-1"}) for name in "uv"},
        {
            "lat": (dims, lat, {"units": "degrees_north"}),
            "lon": (dims, lon, {"units": "degrees_east"}),
            "corner": (dims, lat + 1.0),
        },
    )
    return made.assign(e1=(("y", "x"), np.ones((4, 5))), part=(dims, np.ones(shape))).chunk()


def held(config: dict[str, Any], source: xr.Dataset) -> tuple[set[str], xr.Dataset]:
    sections = {"source": {"path": "in"}, "target": {"path": "out.zarr"}, **config}
    made = with_grid(Config.model_validate(sections), source)
    return {str(name) for name, each in made.variables.items() if each._in_memory}, made


def test_the_variables_of_a_grid_are_read_once_and_no_field() -> None:
    source = moving(0.0, 0.0, 0.0)
    names, made = held({"steps": [WIND], "grid": SIZES}, source)
    assert names == {"e1"}
    assert made.lat.dims == made.lon.dims == ("y", "x")
    assert made.corner.dims == ("t", "y", "x")
    np.testing.assert_array_equal(made.lat, source.lat[0])
    assert "lat" in made.coords
    assert "e1" in made.data_vars
    names, made = held({"steps": [{**WIND, "options": SIZES}]}, source)
    assert names == {"e1"}


def test_a_step_may_have_a_grid_of_its_own() -> None:
    source = moving(0.0)
    source["v"] = source.v + np.arange(5.0) ** 2
    sections = {"source": {"path": "in"}, "target": {"path": "out.zarr"}}
    config = Config.model_validate({**sections, "steps": [{**WIND, "options": SIZES}]})
    made = build(config, source)
    want = np.gradient(source.v.values, axis=2)  # dx is 1, and u is 0
    np.testing.assert_allclose(made.z, want, rtol=1e-12)


def test_what_is_too_large_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for most, expected in ((20, {"e1"}), (19, set())):
        monkeypatch.setattr(steps, "IN_MEMORY", most)
        assert held({"steps": [WIND], "grid": SIZES}, moving(0.0))[0] == expected


def test_an_operator_without_a_grid_looks_at_none() -> None:
    along = {"operator": "gradient", "inputs": ["u"], "options": {"dim": "t"}}
    source = moving(0.0, 1.0)
    assert held({"steps": [along], "grid": SIZES}, source)[1] is source


def test_a_grid_that_moves_says_when_it_first_does() -> None:
    with pytest.raises(InputError, match="'lat' changes along 't', from 0 to 2: the grid moves"):
        held({"steps": [WIND]}, moving(0.0, 0.0, 1.0, 1.0))
    with pytest.raises(InputError, match="from 0 to 1: the grid moves"):
        held({"steps": [WIND]}, moving(0.0, 1.0))


def test_shares_of_cells_may_have_levels() -> None:
    """Also such that change with them, as those beside an island do."""
    staggering = {"x": {"center": "x", "right": "xr"}, "y": {"center": "y", "right": "yr"}}
    grid = {"geometry": "staggered", "staggering": staggering, "fraction": {"center": "part"}}
    source = moving(0.0, 0.0)
    source["part"] = source.part * xr.DataArray([1.0, 2.0], dims="t")
    scalar = {"operator": "divergence", "inputs": ["u", "v"], "output": "d"}
    names, made = held({"steps": [scalar], "grid": grid}, source)
    assert names == {"part"}
    assert made.part.dims == ("t", "y", "x")


def test_open_shares_that_a_model_gives_stay_in_its_file() -> None:
    """Its lengths are read once; `hFacC` has levels, as many as the fields, and is as large."""
    case = model_cases.mitgcm(6)
    levels = xr.DataArray([1.0, 0.5], dims="k")
    shares = {name: levels * case.ds[name] for name in ("hFacC", "hFacW", "hFacS")}
    source = case.ds.assign_coords(shares).chunk()
    step = {"operator": "divergence", "inputs": [case.u, case.v], "output": "d"}
    names, made = held({"steps": [step]}, source)
    assert {"dyG", "dxG", "rA"} <= names
    assert not names & {*shares}
    assert made.hFacC.dims == ("k", "j", "i")


IN_YAML: list[tuple[dict[str, Any], str, str]] = [
    (
        {"time": [0, 2, 1, 3]},
        "sort it",
        "in which that was done",
    ),
    (
        {"time": [0, 1, 1, 3]},
        "drop one",
        "in which that was done",
    ),
    ({"x": ["a", "b", "c", "d"]}, "drop it", "so write a file with it"),
]


@pytest.mark.parametrize(("labels", "python", "in_yaml"), IN_YAML)
def test_what_a_message_says_in_python_a_config_says_too(
    labels: dict[str, list[Any]], python: str, in_yaml: str
) -> None:
    """The remedies were methods of xarray alone, which no YAML can call."""
    [(dim, points)] = labels.items()
    field = xr.DataArray([0.0, 4.0, 1.0, 9.0], {dim: points}, name="a")
    given = {
        "source": {"path": "in.zarr"},
        "steps": [{"operator": "gradient", "inputs": ["a"], "options": {"dim": dim}}],
        "target": {"path": "out.zarr"},
    }
    with pytest.raises(CoordinateError, match=python) as error:
        build(Config.model_validate(given), field.to_dataset())
    assert str(error.value).endswith(in_yaml)
    sorted_out = {"indices": [0, 2, 1, 3] if points[1] == 2 else [0, 2, 3]}
    if dim == "time":  # the remedy works
        part = selected(field.to_dataset(), {dim: Picked.model_validate(sorted_out)})
        made = build(Config.model_validate(given), part)["da_dtime"]
        np.testing.assert_array_equal(made, np.gradient(part.a, part.time))
