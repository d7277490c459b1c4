"""Metric terms alone, in polar coordinates: r and θ as x and y, and θ and −r."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.grids.metric_terms import OrthogonalMetric, at_points
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.table import stencil

R = np.linspace(2.0, 3.0, 6)  # metres
STEP = 0.2, 0.1  # of r in metres, of θ in radians
SHAPE = {"r": (5, 6), "θ": (6, 5)}  # over (y, x)


def polar(first):
    """The metric where x is r or θ, r over the grid, and the derivatives along x and y."""
    n_y, n_x = SHAPE[first]
    if first == "r":
        r, h_x, h_y = R[None, :], np.ones((1, 1)), R[None, :]
        tables = stencil(STEP[0], n_x), stencil(STEP[1], n_y)
    else:
        r, h_x, h_y = R[::-1, None], R[::-1, None], np.ones((1, 1))
        tables = stencil(STEP[1], n_x), stencil(STEP[0], n_y)

    def along(field, axis, is_flux=False):
        full = np.broadcast_to(field, (n_y, n_x))
        return differentiate(full, "yx".index(axis), tables["xy".index(axis)])

    return OrthogonalMetric(h_x, h_y, tables), r, along


def components(first, outward, around):
    """The components along x and y: θ is r turned counter-clockwise, and −r is θ so turned."""
    return (outward, around) if first == "r" else (around, -outward)


@pytest.mark.parametrize("first", SHAPE)
def test_flows_around_and_out_of_a_point(first):
    metric, r, d = polar(first)
    still = 0 * r
    u, v = components(first, still, 3 * r)  # as a solid body
    assert_allclose(metric.vorticity(u, v, d)[1:-1, 1:-1], 6, rtol=1e-12)
    assert_allclose(metric.divergence(u, v, d), 0, atol=1e-12)
    expected = np.broadcast_arrays(*np.array([0, -3, 3, 0]), np.ones(SHAPE[first]))[:4]
    assert_allclose(metric.velocity_gradient(u, v, d), expected, atol=1e-12)
    u, v = components(first, 3 * r, still)  # out of a source everywhere
    assert_allclose(metric.divergence(u, v, d)[1:-1, 1:-1], 6, rtol=1e-12)
    assert_allclose(metric.vorticity(u, v, d), 0, atol=1e-12)
    expected = np.broadcast_arrays(*np.array([3, 0, 0, 3]), np.ones(SHAPE[first]))[:4]
    assert_allclose(metric.velocity_gradient(u, v, d), expected, atol=1e-12)


@pytest.mark.parametrize("first", SHAPE)
def test_the_axis_around_is_curved_by_one_over_r(first):
    metric, r, d = polar(first)
    straight, curved = metric.curvature if first == "r" else metric.curvature[::-1]
    assert isinstance(straight, int)
    assert straight == 0
    assert_allclose(curved, 1 / r, rtol=1e-12)
    outward, around = metric.gradient(5 * r, d)
    if first != "r":
        outward, around = -around, outward
    assert_allclose(outward, 5, rtol=1e-12)
    assert_array_equal(around, 0)


@pytest.mark.parametrize("components", ["earth", "grid"])
def test_axes_that_turn_lead_to_the_east_and_north(components):
    """The linear wind (2 X + 3 Y, 5 X − Y) and 7 X − 4 Y, with east along θ = 0."""
    n, step = 7, 1e-3
    theta = 0.8 + step * np.arange(n)[:, None]
    c, s = np.cos(theta), np.sin(theta)
    tables = stencil(STEP[0], len(R), edge_order=2), stencil(step, n, edge_order=2)
    metric = OrthogonalMetric(np.ones((1, 1)), R[None, :], tables, (c, s), components)

    def along(field, axis, is_flux=False):
        full = np.broadcast_to(field, (n, len(R)))
        return differentiate(full, "yx".index(axis), tables["xy".index(axis)])

    east, north = 2 * R * c + 3 * R * s, 5 * R * c - R * s
    wind = (east, north) if components == "earth" else (c * east + s * north, c * north - s * east)
    assert_allclose(metric.to_earth(*wind), (east, north), rtol=1e-12)
    found = metric.velocity_gradient(*wind, along)
    for slope, wanted in zip(found, (2, 3, 5, -1), strict=True):
        assert_allclose(slope, wanted, rtol=1e-4)
    assert_allclose(metric.divergence(*wind, along), 1, rtol=1e-4)
    assert_allclose(metric.vorticity(*wind, along)[:, 1:-1], 2, rtol=1e-4)
    for slope, wanted in zip(metric.gradient(R * (7 * c - 4 * s), along), (7, -4), strict=True):
        assert_allclose(slope, wanted, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_spacings_between_points_are_means_at_the_points(axis):
    between = np.array([[1.0, 2.0, 4.0, 3.0], [2.0, 2.0, 5.0, 7.0]])
    wanted = np.array([[1.0, 1.5, 3.0, 3.5, 3.0], [2.0, 2.0, 3.5, 6.0, 7.0]])
    if axis == 0:
        between, wanted = between.T, wanted.T
    table = stencil(1.0, 5)
    assert_array_equal(at_points(between, axis, table), wanted)
    lazy = at_points(da.from_array(between, chunks=2), axis, table)
    assert_array_equal(lazy.compute(scheduler="sync"), wanted)
