"""Metric terms alone, in polar coordinates: r and θ as x and y, and θ and −r."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.grids.metric_terms import LatLonMetric, OrthogonalMetric, at_points, inverse
from fdgrad_dask.grids.steps import lat_lon_metric
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


def by_steps(n_y, n_x):
    """The derivatives along x and y per index."""
    tables = stencil(1.0, n_x), stencil(1.0, n_y)

    def along(field, axis, is_flux=False):
        full = np.broadcast_to(field, (n_y, n_x))
        return differentiate(full, "yx".index(axis), tables["xy".index(axis)])

    return tables, along


@pytest.mark.parametrize("is_along", [False, True])
def test_oblique_steps_on_a_plane_give_what_linear_fields_have(is_along):
    x_e, x_n, y_e, y_n = 2.5, 0.7, -0.5, 3.0
    _, d = by_steps(5, 6)
    j, i = np.mgrid[:5.0, :6.0]
    east, north = x_e * i + y_e * j, x_n * i + y_n * j
    area = np.array(7.85)  # 2.5 times 3 and 0.7 times 0.5
    vectors = (0.6, 0.8, 0), (-0.48, 0.36, 0.8)  # of a plane that lies askew in space
    directions = (0.6, 0.8), (-0.28, 0.96)
    u, v = 2 * east + 3 * north, 5 * east - north
    a, b = u, v
    if is_along:
        a, b = np.linalg.solve(np.transpose(directions), np.reshape([u, v], (2, -1)))
        a, b = a.reshape(u.shape), b.reshape(u.shape)
    metric = LatLonMetric(x_e, x_n, y_e, y_n, area, *vectors, directions if is_along else None)
    assert_allclose(metric.to_earth(a, b), (u, v), atol=1e-12)
    shape = np.ones(u.shape)
    assert_allclose(metric.gradient(7 * east - 4 * north, d), (7 * shape, -4 * shape), rtol=1e-12)
    assert_allclose(metric.divergence(a, b, d), 1 * shape, rtol=1e-12)
    assert_allclose(metric.vorticity(a, b, d), 2 * shape, rtol=1e-12)
    wanted = [one * shape for one in (2, 3, 5, -1)]
    assert_allclose(metric.velocity_gradient(a, b, d), wanted, rtol=1e-12)
    squares = np.array([0.25 + 9, 6.25 + 0.49, 1.25 - 2.1])
    assert_allclose(metric.contravariant(), squares / 7.85, rtol=1e-12)


def test_scale_factors_along_the_other_axis_are_its_curvature():
    tables, _ = by_steps(4, 5)
    h_x, h_y = 2 + 3 * np.arange(4.0)[:, None], 4 + 5 * np.arange(5.0)[None]
    metric = OrthogonalMetric(h_x, h_y, tables)
    area = h_x * h_y
    assert_allclose(metric.curvature, (-3 / area, 5 / area), rtol=1e-12)
    assert_allclose(metric.over_area, 1 / area, rtol=1e-12)
    ratio = np.broadcast_arrays(h_y / h_x, h_x / h_y, 0)
    assert_allclose(np.broadcast_arrays(*metric.contravariant()), ratio, rtol=1e-12)


def test_a_cell_of_no_area_is_missing():
    tables, _ = by_steps(2, 3)
    metric = OrthogonalMetric(np.array([[2.0]]), np.array([[0.0, 1.0, 4.0]]), tables)
    assert_array_equal(metric.over_area, [[np.nan, 0.5, 0.125]])


def test_without_tables_the_curvature_is_that_of_the_lines_of_equal_y():
    h_x, h_y = 2 + 3 * np.arange(4.0)[:, None], 4 * np.ones((4, 1))
    assert OrthogonalMetric(h_x, h_y).curvature == (0, 0)
    metric = OrthogonalMetric(h_x, h_y, tangent=7.0)
    assert metric.curvature == (7.0, 0)
    assert_allclose(metric.over_area, 1 / (4 * h_x), rtol=1e-12)


def test_a_flux_of_two_rows_or_columns_is_of_the_product():
    """3 m over 1 m s-1 carries what 1 m over 3 m s-1 does."""
    wide, fast = np.array([[1.0], [3.0]]), np.array([[3.0], [1.0]])
    tables, d = by_steps(2, 3)
    metric = OrthogonalMetric(wide, np.ones((1, 1)), tables)
    flow = fast * np.ones(3)
    assert_array_equal(metric.divergence(0 * flow, flow, d), 0)
    assert_array_equal(metric.vorticity(flow, 0 * flow, d), 0)
    tables, d = by_steps(3, 2)
    metric = OrthogonalMetric(np.ones((1, 1)), wide.T, tables)
    flow = fast.T * np.ones((3, 1))
    assert_array_equal(metric.divergence(flow, 0 * flow, d), 0)
    assert_array_equal(metric.vorticity(0 * flow, flow, d), 0)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_one_over_zero_is_missing(is_lazy):
    values = np.array([2.0, 0.0, -4.0])
    made = inverse(da.from_array(values, chunks=2) if is_lazy else values)
    assert isinstance(made, da.Array) == is_lazy
    assert_array_equal(np.asarray(made), [0.5, np.nan, -0.25])


EQUATOR, POLE = 6378137.0, 6356752.0  # metres


def spheroid(latitude, step_lon, step_lat):
    """Half of the way to the east between both neighbours in longitude, and to the north."""

    def ring(at):  # the distance from the axis and that above the equator
        x, z = EQUATOR**2 * np.cos(at), POLE**2 * np.sin(at)
        return np.array([x, z]) / np.hypot(EQUATOR * np.cos(at), POLE * np.sin(at))

    lat = np.deg2rad(latitude)
    out, up = (ring(lat + step_lat) - ring(lat - step_lat)) / 2
    return ring(lat)[0] * np.sin(step_lon), -np.sin(lat) * out + np.cos(lat) * up


@pytest.mark.parametrize(("sense_x", "sense_y"), [(1, 1), (-1, 1), (1, -1)])
def test_steps_on_a_spheroid_lead_to_the_east_and_north(sense_x, sense_y):
    step, ones = 4.0, np.ones((5, 6))
    lat = (30 + sense_y * step * np.arange(5)[:, None]) * ones
    lon = (170 + sense_x * step * np.arange(6)) * ones  # and across the date line
    tables = stencil(1.0, 6, edge_order=2), stencil(1.0, 5, edge_order=2)
    senses = (sense_x, sense_y)
    metric = lat_lon_metric(lat, lon, (EQUATOR, POLE), tables, smooth=tables, senses=senses)
    inside = np.s_[1:-1, 1:-1]
    wanted = spheroid(lat[inside], np.deg2rad(step), np.deg2rad(step))
    assert_allclose(metric.x_e[inside], sense_x * wanted[0], rtol=1e-12)
    assert_allclose(metric.y_n[inside], sense_y * wanted[1], rtol=1e-12)
    for none in (metric.x_n, metric.y_e):
        assert_allclose(none[inside], 0, atol=1e-6)
    area = sense_x * sense_y * wanted[0] * wanted[1]
    assert_allclose(metric.area[inside], area, rtol=1e-12)
    # With the senses given, u and v point to the east and north whichever way points are counted.
    for slope, one in zip(metric.to_earth(2 * ones, 3 * ones), (2, 3), strict=True):
        assert_allclose(slope[inside], one, rtol=1e-12)
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    assert_allclose(metric.east[:2], (-np.sin(lam), np.cos(lam)), atol=1e-15)
    assert metric.east[2] == 0
    north = -np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)
    assert_allclose(metric.north, north, atol=1e-15)
    without = lat_lon_metric(lat, lon, (EQUATOR, POLE), tables)
    assert without.along is None
    assert_array_equal(without.area, metric.area)


def test_short_and_parallel_steps_have_no_area():
    n = np.arange(4.0)
    tables = (stencil(1.0, 4),) * 2
    for rows, columns, has_area in (
        (n[:, None], n, True),  # on a sphere of one metre a degree is 17 mm
        (n[:, None], n / 20, False),
        (n[:, None] / 20, n, False),
        (n[:, None], 90 + 0 * n, False),
    ):
        lat, lon = np.broadcast_arrays(rows, columns)
        area = lat_lon_metric(lat, lon, (1.0, 1.0), tables).area
        assert_array_equal(np.isfinite(area), has_area)
    diagonal = n[:, None] + n  # both steps lead to the north-east
    assert np.isnan(lat_lon_metric(0 * diagonal, diagonal, (1.0, 1.0), tables).area).all()

    lat = 1e-10 * n[:, None] + 0 * n  # so do these, but for a part in ten billion
    assert np.isnan(lat_lon_metric(lat, diagonal, (1e7, 1e7), tables).area).all()


def test_oblique_steps_have_the_area_between_them():
    j, i = np.mgrid[:4.0, :4.0] / 100
    tables = (stencil(1.0, 4),) * 2
    metric = lat_lon_metric(j + 0.3 * i, i - 0.4 * j, (1e7, 1e7), tables)
    assert_allclose(metric.area, 1.12 * (1e5 * np.pi / 180) ** 2, rtol=1e-5)


def test_directions_of_no_step_are_missing():
    lat, lon = np.broadcast_arrays(np.arange(4.0)[:, None], np.zeros(4))
    tables = (stencil(1.0, 4),) * 2
    metric = lat_lon_metric(lat, lon, (1.0, 1.0), tables, smooth=tables)
    (x_e, x_n), (y_e, y_n) = metric.along
    assert np.isnan([x_e, x_n]).all()
    assert_allclose(y_n, 1, rtol=1e-12)
    assert_allclose(y_e, 0, atol=1e-12)
