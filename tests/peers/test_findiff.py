"""findiff on grids of index and spacing: the same stencils, at the edges and in the interior.

But for rows between the edge and the interior where the spacing is even: its windows lie wholly to
one side of such a point there, ours are pushed inside no further than they must be.
"""

from __future__ import annotations

import numpy as np
import pytest
from fields import ROSSBY_HAURWITZ, A, field, globe, plane
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op

findiff = pytest.importorskip("findiff", reason="findiff is not installed: pip install findiff")

EVEN = plane(5.0 * np.arange(40), 4.0 * np.arange(30))
UNEVEN = plane(np.linspace(0, 6, 40) ** 1.5, np.linspace(1, 5, 30) ** 1.3)
ACCURACIES = [2, 4, 6]


def axes(grid):
    return [grid["y"].values, grid["x"].values]


def how(grid):
    """Steps of an even grid, coordinates of another, as findiff wants them."""
    y, x = axes(grid)
    return {"h": [y[1] - y[0], x[1] - x[0]]} if grid is EVEN else {"coords": [y, x]}


def wind(grid):
    x1, y1 = (float(grid[n][-1]) for n in "xy")
    return (
        field(lambda x, y: np.sin(3 * x / x1 + y / y1), grid, "u"),
        field(lambda x, y: np.exp(np.cos(2 * x / x1 - y / y1)), grid, "v"),
    )


def between(shape, accuracy):
    """True in the rows between the edge and the interior, along either axis."""
    rows = [np.minimum(np.arange(n), np.arange(n)[::-1]) for n in shape]
    near = [(row > 0) & (row < accuracy // 2) for row in rows]
    return near[0][:, None] | near[1][None, :]


def close(ours, theirs, but=None):
    """Equal to rounding, but where said."""
    scale = abs(theirs).max()
    if but is not None:
        ours, theirs = np.where(but, 0, ours), np.where(but, 0, theirs)
    assert_allclose(ours, theirs, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize("grid", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_gradients_are_the_same_edges_too(grid, accuracy):
    u, _ = wind(grid)
    slope = op.horizontal_gradient(u, accuracy=accuracy, edge_order=2)
    theirs = findiff.Gradient(acc=accuracy, **how(grid))(u.values)
    but = between(u.shape, accuracy) if grid is EVEN else None
    close(slope["du_dy"].values, theirs[0], but)
    close(slope["du_dx"].values, theirs[1], but)


@pytest.mark.parametrize("accuracy", [4, 6])
def test_between_edge_and_interior_ours_are_nearer_to_the_truth(accuracy):
    u, _ = wind(EVEN)
    x1, y1 = (float(EVEN[n][-1]) for n in "xy")
    exact = field(lambda x, y: 3 / x1 * np.cos(3 * x / x1 + y / y1), EVEN, "u").values
    ours = op.horizontal_gradient(u, accuracy=accuracy)["du_dx"].values
    theirs = findiff.Gradient(acc=accuracy, **how(EVEN))(u.values)[1]
    rows = slice(1, accuracy // 2)
    errors = [abs(f - exact)[:, rows].max() for f in (ours, theirs)]
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_divergence_and_curl_are_the_same_edges_too(accuracy):
    """Its axes are (y, x), so its vectors are (v, u), and its curl ∂u/∂y − ∂v/∂x."""
    u, v = wind(EVEN)
    both = np.stack([v.values, u.values])
    result = op.kinematics(u, v, accuracy=accuracy, edge_order=2)
    divergence = findiff.Divergence(acc=accuracy, **how(EVEN))(both)
    curl = findiff.Curl(acc=accuracy, **how(EVEN))(both)
    but = between(u.shape, accuracy)
    close(result["divergence"].values, divergence, but)
    close(-result["vorticity"].values, curl, but)


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_laplacians_are_the_same_edges_too(accuracy):
    u, _ = wind(EVEN)
    (dy, dx) = how(EVEN)["h"]
    theirs = findiff.Laplacian(h=[dy, dx], acc=accuracy)(u.values)
    ours = op.laplacian(u, accuracy=accuracy, edge_order=2)
    close(ours.values, theirs, between(u.shape, accuracy))


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_around_a_circle_they_are_the_same(accuracy):
    """findiff knows no sphere: the scale factors are put in by hand."""
    u, v = ROSSBY_HAURWITZ.wind(globe(2))
    h = np.deg2rad(2)
    phi = np.deg2rad(u["lat"].values)[1:-1, None]
    along = findiff.Diff(1, findiff.grids.EquidistantAxis(1, h, periodic=True), acc=accuracy)
    across = findiff.Diff(0, h, acc=accuracy)
    cosine = np.cos(np.deg2rad(u["lat"].values))[:, None]
    v_x, u_y = along(v.values)[1:-1], across(u.values * cosine)[1:-1]
    ours = op.vorticity(u, v, accuracy=accuracy, edge_order=2)
    but = between((len(u["lat"]), 10**3), accuracy)[1:-1, 500:501]  # along latitude only
    close(ours.values[1:-1], (v_x - u_y) / (A * np.cos(phi)), but)


def test_five_less_a_derivative_is_a_derivative_less_five_there():
    u, _ = wind(EVEN)
    d_x = findiff.Diff(1, 5.0, acc=2)
    exact = 5 * u.values - d_x(u.values)
    assert_allclose((5 - d_x)(u.values), -exact)
    ours = 5 * u - op.horizontal_gradient(u, edge_order=2)["du_dx"]
    close(ours.values, exact)
