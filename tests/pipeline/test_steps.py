"""Steps become one lazy Dataset: names, inputs, options, and what goes along with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import ConfigError, CoordinateError, InputError, OptionError
from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.planning.steps import build
from fdgrad_dask.pipeline.source.open import open_source

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
    with pytest.raises(kind, match=message):
        built(*steps)


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
