"""Which variable of a file is the angle from east to the x axis."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.angles import carry_angle, find_rotation

ANGLE = np.deg2rad([[10.0, 20.0, 30.0], [-40.0, 150.0, 60.0]])
U = (("y", "x"), np.ones((2, 3)), {"units": "m s-1"})
ROMS = (("y", "x"), ANGLE, {"units": "radians"})
DEGREES = {"units": "degrees"}
BESIDE = {
    "a direction": {"dir": (("y", "x"), ANGLE, DEGREES)},
    "no units": {"ANGLE": (("y", "x"), ANGLE, {"long_name": "of what"})},
    "no unit of angle": {"ANGLE": (("y", "x"), ANGLE, {"units": "m"})},
    "one number": {"ANGLE": ((), 3.0, DEGREES)},
    "one number with a unit of length": {"ANGLE": ((), 3.0, {"units": "m"})},
    "at other points": {"ANGLET": (("yt", "xt"), np.ones((5, 4)), DEGREES)},
    "a cosine alone": {"COSALPHA": (("y", "x"), np.cos(ANGLE)), "SN": (("y", "x"), np.sin(ANGLE))},
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_what_is_beside_the_angle_of_a_file_is_not_taken_for_it(beside):
    ds = xr.Dataset({"u": U, "angle": ROMS, **beside})
    field = carry_angle(ds["u"], ds)
    assert {*field.coords} == {"angle"}
    cosine, sine = find_rotation(field.assign_coords({n: ds[n] for n in beside if n != "ANGLET"}))
    np.testing.assert_allclose(cosine, np.cos(ANGLE), rtol=1e-14)
    np.testing.assert_allclose(sine, np.sin(ANGLE), rtol=1e-14)


def test_of_two_angles_none_is_chosen():
    """POP has one at velocities and one at tracers, over the same dimensions."""
    ds = xr.Dataset({"UVEL": U, "ANGLE": ROMS, "ANGLET": (("y", "x"), ANGLE + 0.1, ROMS[2])})
    assert find_rotation(carry_angle(ds["UVEL"], ds)) is None
    assert find_rotation(ds["UVEL"]) is None
    with pytest.raises(CoordinateError):  # nor does anything else say where east is
        ds.fdgrad.rotate_to_earth("UVEL", 2 * ds["UVEL"])
