"""xgcm on staggered grids; on others the mean of two of its derivatives is ours."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import A, chi, field, globe
from numpy.testing import assert_allclose
from staggered import Case

from fdgrad_dask import operators as op
from fdgrad_dask.operators.interpolation import interpolate_to

xgcm = pytest.importorskip("xgcm", reason="xgcm is not installed: pip install xgcm")


def staggered(f):
    """xgcm's grid around a field: points between, and metres between points, brought along."""
    step = float(f["lon"][1] - f["lon"][0])
    lat, lon = f["lat"].values, f["lon"].values
    h = np.deg2rad(step) * A
    dataset = xr.Dataset(
        {
            "f": f,
            "dx": (("lat", "lon_r"), h * np.cos(np.deg2rad(lat))[:, None] * np.ones(len(lon))),
            "dy": (("lat_i", "lon"), np.full((len(lat) - 1, len(lon)), h)),
        },
        coords={"lon_r": lon + step / 2, "lat_i": (lat[1:] + lat[:-1]) / 2},
    )
    return dataset, xgcm.Grid(
        dataset,
        coords={"X": {"center": "lon", "right": "lon_r"}, "Y": {"center": "lat", "inner": "lat_i"}},
        padding={"X": "periodic", "Y": "extend"},
        metrics={("X",): ["dx"], ("Y",): ["dy"]},
        autoparse_metadata=False,
    )


def test_the_mean_of_two_of_its_derivatives_is_ours():
    f = field(lambda x, y: chi(x, y) / A, globe(2), "f", units="K")
    dataset, grid = staggered(f)
    x = grid.derivative(dataset["f"], "X").transpose("lat", "lon_r").values
    y = grid.derivative(dataset["f"], "Y").transpose("lat_i", "lon").values
    ours = op.horizontal_gradient(f)
    scale = float(abs(ours["df_dx"]).max())
    x = (x + np.roll(x, 1, axis=1)) / 2
    assert_allclose(ours["df_dx"].values[1:-1], x[1:-1], rtol=0, atol=1e-12 * scale)
    y = (y[1:] + y[:-1]) / 2
    assert_allclose(ours["df_dy"].values[1:-1], y, rtol=0, atol=1e-12 * scale)


def test_kelvin_stays_kelvin_there():
    f = field(lambda x, y: 280 + np.cos(x) * np.cos(y), globe(10), "f", units="K")
    dataset, grid = staggered(f)
    assert grid.derivative(dataset["f"], "X").attrs["units"] == "K"
    assert op.horizontal_gradient(f)["df_dx"].attrs["units"] == "K m-1"


# -- staggered grids ---------------------------------------------------------------------------


def grid_of(case):
    """xgcm's grid of a case, with zeros beyond its walls."""
    sizes = {dim: np.arange(n) for dim, n in case.sizes.items()}
    padding = {
        axis: "periodic" if end == "periodic" else "fill"
        for axis, end in zip(("Y", "X"), case.ends, strict=True)
    }
    return xgcm.Grid(
        xr.Dataset(coords=sizes),
        coords={
            "X": {"center": "xc", case.position: "xf"},
            "Y": {"center": "yc", case.position: "yf"},
        },
        padding=padding,
        autoparse_metadata=False,
    )


@pytest.mark.parametrize(
    ("position", "ends"),
    [
        ("left", ("periodic", "periodic")),
        ("right", (0.0, "periodic")),
        ("outer", (0.0, 0.0)),
        ("inner", (0.0, 0.0)),
    ],
)
def test_staggered_grids_are_those_of_xgcm(position, ends):
    case = Case(position, ends)
    theirs, g = grid_of(case), case.grid
    u, v = case.random("u", name="u"), case.random("v", name="v")
    s = case.random("center", name="s")

    def agree(ours, true):
        known = ours.notnull()  # beyond walls xgcm takes a scalar, or a velocity, for zero
        assert known.mean() > 0.5
        assert_allclose(ours.values[known], true.transpose(*ours.dims).values[known], rtol=1e-11)

    slope = op.horizontal_gradient(s, geometry=g)
    agree(slope.ds_dx, theirs.diff(s, "X") / g.dx["u"])
    agree(slope.ds_dy, theirs.diff(s, "Y") / g.dy["v"])
    fluxes = theirs.diff(u * g.dy["u"], "X") + theirs.diff(v * g.dx["v"], "Y")
    agree(op.divergence(u, v, geometry=g), fluxes / g.area["center"])
    around = theirs.diff(v * g.dy["v"], "X") - theirs.diff(u * g.dx["u"], "Y")
    agree(op.vorticity(u, v, geometry=g), around / g.area["corner"])
    for given, point, axes in (
        (s, "u", "X"),
        (u, "center", "X"),
        (u, "v", "XY"),
        (s, "corner", "XY"),
    ):
        true = given
        for axis in axes:
            true = theirs.interp(true, axis)
        agree(interpolate_to(given, g, point), true)
