"""What the option ``boundary`` says of a fold and of faces, and what it is checked against."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from tripolar import DIMS, FOLDED, tripolar

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.operators.connected import has_faces, has_fold

NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
BESIDE = {0: {"X": (None, (1, "X", False))}, 1: {"X": ((0, "X", False), None)}}


@pytest.mark.parametrize(
    ("boundary", "fold", "faces"),
    [
        (None, False, False),
        ("extend", False, False),
        ("fold", True, False),
        (["periodic", "fold-T"], True, False),
        ({"x": "periodic", "y": (0.0, None)}, False, False),
        ({"x": "periodic", "y": (0.0, "fold-F")}, True, False),
        ({"y": "fold", "x": None}, True, False),
        ({"face": BESIDE, "j": 0.0}, False, True),
        ({"face": {}}, False, True),
    ],
)
def test_what_a_boundary_names(boundary, fold, faces):
    assert has_fold(boundary) == fold
    assert has_faces(boundary) == faces


def test_a_fold_between_open_ends_of_x():
    """Differences there are one-sided; x need not be periodic where no column is there twice."""
    s = tripolar(32)[0].s
    around, made = (
        s.fdgrad.horizontal_gradient(boundary=boundary) for boundary in (FOLDED, {"y": FOLDED["y"]})
    )
    assert made.ds_dx.attrs["fold"] == "y, F pivot"
    inside = (slice(None), slice(2, -2))
    np.testing.assert_array_equal(made.ds_dx[inside], around.ds_dx[inside])
    assert (made.ds_dx != around.ds_dx)[:, [0, -1]].all()


def test_the_pivot_is_found_beside_given_cell_sizes_too():
    s = tripolar(32, "T")[0].s
    size = xr.DataArray(1e5 * (1 + np.random.default_rng(0).random(s.shape)), dims=DIMS)
    geometry = fd.Curvilinear(dx=size, dy=size, angle=xr.zeros_like(size))
    made, named = (
        op.gradient_magnitude(s, boundary={**FOLDED, "y": (None, end)}, geometry=geometry)
        for end in ("fold", "fold-T")
    )
    xr.testing.assert_identical(made, named)
    assert made.attrs["fold"] == "y, T pivot"


def beside(shift=0.0, rows=9):
    """Two faces of rows by seven points, the second so many cells too far north."""
    y, x = np.meshgrid(np.arange(rows), np.arange(14), indexing="ij")
    lat, lon = 40 + 1.5 * y + 0.3 * x, 10 + 2.0 * x
    value = np.sin(lat / 9) + lon / 20
    lat, lon, value = (np.stack([one[:, :7], one[:, 7:]]) for one in (lat, lon, value))
    lat[1] += 1.5 * shift
    dims = ("face", "j", "i")
    places = {"YC": (dims, lat, NORTH), "XC": (dims, lon, EAST)}
    return xr.DataArray(value, places, dims, "s", {"units": "K"})


@pytest.mark.parametrize("rows", [9, 7])
def test_faces_side_by_side_need_not_be_square(rows):
    s = beside(rows=rows)
    made = s.fdgrad.horizontal_gradient(boundary={"face": BESIDE})
    one = xr.concat([s[0], s[1]], "i").fdgrad.horizontal_gradient()
    for name in made:
        joined = np.concatenate([*made[name].values], 1)
        np.testing.assert_allclose(joined, one[name], rtol=1e-12)


@pytest.mark.parametrize("shift", [-0.4, 0.4, -0.7, 1.0, 2.0])
def test_a_side_goes_on_within_half_a_cell(shift):
    s = beside(shift)
    if abs(shift) < 0.5:
        s.fdgrad.gradient_magnitude(boundary={"face": BESIDE})
    else:
        with pytest.raises(CoordinateError, match="the upper end of X of face 0 is connected to"):
            s.fdgrad.gradient_magnitude(boundary={"face": BESIDE})


def test_a_face_alone():
    s = beside()[:1]
    made = s.fdgrad.gradient_magnitude(boundary={"face": {}})
    np.testing.assert_array_equal(made[0], s[0].fdgrad.gradient_magnitude())
    assert made.attrs["faces"] == "face"
