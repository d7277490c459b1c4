"""The staggered grids of models are recognised from the names and attributes of their files."""

from __future__ import annotations

import model_cases as cases
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.grids.models import find_layout, recognise_grid
from fdgrad_dask.grids.staggered import find_point

ALL = {**cases.C_GRIDS, **cases.B_GRIDS}


@pytest.mark.parametrize("model", ALL)
def test_positions_and_cell_sizes(model, tmp_path):
    """As opened from a file: faces where they are, lengths and areas in metres at their points."""
    case = ALL[model](12)
    case.ds.to_netcdf(tmp_path / "model.nc")
    with xr.open_dataset(tmp_path / "model.nc") as ds:
        grid = recognise_grid(ds)
        assert grid is not None
        other_names = find_layout(ds).other_names
        assert (grid.face("x"), grid.face("y")) == (case.cells.faces,) * 2
        at_corner = model in cases.B_GRIDS
        own = {case.u: "corner" if at_corner else "u", case.v: "corner" if at_corner else "v"}
        for name, point in {**own, case.scalar: "center"}.items():
            field = ds[name].rename({d: other_names.get(d, d) for d in ds[name].dims})
            assert find_point(field, grid) == point
        needed = {"dx": own[case.u], "dy": own[case.v]}
        for kind in ("dx", "dy", "area"):
            sizes = getattr(grid, kind)
            assert needed.get(kind) in (None, *sizes)
            for point, values in sizes.items():
                true = getattr(case.cells, kind)(point)
                # Areas may be the product of two lengths, and ROMS averages to its faces.
                inside = (slice(1, -1),) * 2 if model in ("WRF", "xwrf") else ...
                got = values.transpose(*grid.dims(point)).values
                np.testing.assert_allclose(got[inside], true[inside], rtol=0.02)


def measure(model, ny, name):
    """The mean error of an operator of u and v between 40° S and N, over the largest value.

    Only the outermost rows and columns may be unknown. A B grid has both at centres.
    """
    case = ALL[model](ny)
    scalars = [case.scalar] if name == "advection" else []
    made = getattr(case.ds.fdgrad, name)(case.u, case.v, *scalars)
    around = "corner" if name == "vorticity" and model in cases.C_GRIDS else "center"
    lon, lat = case.cells.at(around)
    got = made.values.reshape(-1, *lon.shape)
    assert np.isfinite(got[:, 1:-1, 1:-1]).all()
    exact = getattr(cases, name)(lon, lat)
    inside = (abs(lat) < 40.1) & (lon > 40) & (lon < 120)
    return float(np.sqrt(((got - exact)[:, inside] ** 2).mean()) / abs(exact).max())


@pytest.mark.parametrize("model", ALL)
def test_operators_are_of_second_order(model):
    names = ["vorticity", "divergence"]
    for name in names + ["advection"] * (model in ("WRF", "POP", "MOM6")):
        coarse, fine = (measure(model, ny, name) for ny in (12, 24))
        assert fine < 0.01
        assert np.log2(coarse / fine) > 1.8, (name, coarse, fine)
