"""Which operators `fdgrad init` begins with, and on which fields."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import degrees

from fdgrad_dask.operators.suggestions import suggest_operators

GLOBE = degrees(np.arange(-80.0, 81, 20), np.arange(0.0, 360, 40))
OVER = ("lat", "lon")
ZEROS = np.zeros((9, 9))
WIND = {n: (OVER, ZEROS, {"units": "m s-1"}) for n in "uv"}
WARM = {"t": (OVER, ZEROS, {"units": "K"})}
TURNED = {  # about a rotated pole, where nothing says whether the wind points east
    "lat": ("lat", GLOBE["lat"].values, {"standard_name": "grid_latitude", "units": "degrees"}),
    "lon": ("lon", GLOBE["lon"].values, {"standard_name": "grid_longitude", "units": "degrees"}),
}
CASES = {
    "a wind, with a temperature or not": (
        WARM | WIND,
        {},
        [("vorticity", ("u", "v"), None), ("gradient_magnitude", ("t",), None)],
    ),
    "a wind that has no vorticity": (WIND, TURNED, []),
    "complex numbers": (
        {"wave": (OVER, ZEROS + 1j)},
        {},
        [("gradient_magnitude", ("wave",), None)],
    ),
    "neither counts nor dates": (
        {"count": (OVER, ZEROS.astype(int)), "when": (OVER, ZEROS.astype("M8[ns]"))},
        {},
        [],
    ),
    "without a horizontal grid, along the first axis that has a coordinate": (
        {"profile": (("member", "z", "s"), np.zeros((2, 4, 3)))},
        {"z": np.arange(4.0), "s": np.arange(3.0)},
        [("gradient", ("profile",), "z")],
    ),
    "an axis that cannot be used": (
        {"profile": (("z", "s"), np.zeros((4, 3)))},
        {"z": [0.0, 1, 1, 2], "s": np.arange(3.0)},
        [("gradient", ("profile",), "s")],
    ),
    "no axis at all": ({"profile": (("i",), np.zeros(4))}, {}, []),
    "each field for itself": (
        {"a": WARM["t"], "b": (("z",), np.zeros(4)), "c": WARM["t"]},
        {"z": np.arange(4.0)},
        [
            ("gradient_magnitude", ("a",), None),
            ("gradient", ("b",), "z"),
            ("gradient_magnitude", ("c",), None),
        ],
    ),
}


@pytest.mark.parametrize(("fields", "coords", "expected"), CASES.values(), ids=CASES)
def test_what_a_dataset_may_begin_with(fields, coords, expected):
    assert suggest_operators(xr.Dataset(fields, GLOBE.coords).assign_coords(coords)) == expected
