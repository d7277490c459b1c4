"""What users of other libraries write from habit: it is right, or the message says what is."""

from __future__ import annotations

import pytest
import xarray as xr
from model_grids import CIRCLE, HALF_STEP, flow_on


@pytest.fixture
def ds() -> xr.Dataset:
    return flow_on(HALF_STEP, CIRCLE)


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("dx", r"geometry=fdgrad_dask.Curvilinear\(dx=…, dy=…\)"),
        ("radius", r"geometry=fdgrad_dask.Sphere\(radius\)"),
        ("latitude", "the axes are found in the coordinates"),
        ("crs", "the axes are found in the coordinates"),
        ("dim", "the axes are found in the coordinates"),
        ("periodic", r"boundary=\{'x': 'periodic'\}"),
        ("one_sided_at_boundary", "one-sided by themselves"),
        ("skipnan", "did you mean 'skipna'"),
    ],
)
def test_options_of_other_libraries(ds, option, remedy):
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{option}'; .*{remedy}"):
        ds.fdgrad.vorticity("u", "v", **{option: 1})


@pytest.mark.parametrize("option", ["axis", "coord", "dims"])
def test_the_dimension_of_a_gradient_under_other_names(ds, option):
    """``coordinate=``, which sounds like xarray's ``coord``, is something else."""
    with pytest.raises(TypeError, match="it is called dim here"):
        ds.u.fdgrad.gradient(**{option: "lat"})


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("differentiate", r"gradient\(dim\)"),
        ("relative_vorticity", "vorticity"),
        ("curl_xy", "vorticity"),
        ("div", "divergence"),
        ("vortcity", "vorticity"),
    ],
)
def test_operators_under_other_names(ds, name, ours):
    """A relative vorticity is no absolute one, which it is close to in letters."""
    with pytest.raises(AttributeError, match=rf"it is called {ours} here|did you mean '{ours}'"):
        getattr(ds.fdgrad, name)
