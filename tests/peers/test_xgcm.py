"""xgcm between the points of a staggered grid: the mean of two of its derivatives is ours."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import A, chi, field, globe
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op

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
