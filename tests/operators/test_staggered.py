"""Operators between the points of a staggered grid: formulas, identities, orders and graphs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from staggered import DIMS, Case

from fdgrad_dask import operators as op

CLOSE = {"rtol": 1e-12, "atol": 1e-13}
# Every position with walls, open ends and a seam, each at least once along y and along x.
CASES = [
    ("left", (0.0, "periodic")),
    ("right", ("periodic", None)),
    ("inner", (0.0, None)),
    ("outer", (None, 0.0)),
    ("outer", (0.0, "periodic")),
]


def wind(case, *before):
    return case.random("u", *before, name="u"), case.random("v", *before, name="v")


@pytest.mark.parametrize(("position", "ends"), CASES)
def test_the_equations_on_a_c_grid(position, ends):
    case = Case(position, ends)
    u, v, g = *wind(case, "t"), case.grid
    made = op.kinematics(u, v, geometry=g)
    dx, dy = ({p: d[p].values for p in DIMS} for d in (g.dx, g.dy))
    u, v = u.values, v.values
    true = {
        "divergence": (case.to_center(dy["u"] * u, -1) + case.to_center(dx["v"] * v, -2))
        / g.area["center"].values,
        "vorticity": (case.to_face(dy["v"] * v, -1) - case.to_face(dx["u"] * u, -2))
        / g.area["corner"].values,
        "stretching_deformation": dy["center"] / dx["center"] * case.to_center(u / dy["u"], -1)
        - dx["center"] / dy["center"] * case.to_center(v / dx["v"], -2),
        "shearing_deformation": dy["corner"] / dx["corner"] * case.to_face(v / dy["v"], -1)
        + dx["corner"] / dy["corner"] * case.to_face(u / dx["u"], -2),
    }
    case.ends = tuple(end if end == "periodic" else None for end in ends)  # no shear beside walls
    shear = case.all_faces(case.all_faces(true["shearing_deformation"] ** 2, -2), -1)
    four = (shear[:, 1:, 1:], shear[:, 1:, :-1], shear[:, :-1, 1:], shear[:, :-1, :-1])
    true["total_deformation"] = np.sqrt(true["stretching_deformation"] ** 2 + sum(four) / 4)
    for name, expected in true.items():
        assert_allclose(made[name], expected, **CLOSE, err_msg=name)
    assert made.divergence.dims == ("t", "yc", "xc")
    assert made.vorticity.dims == ("t", "yf", "xf")
