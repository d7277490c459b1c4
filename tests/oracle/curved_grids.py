"""Curvilinear grids as files have them: 2-D latitude and longitude, or given dx and dy."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from oracle.curved import Places, Steps
from oracle.grids import RADIUS, Grid, as_boundary, pick_ends, pick_options
from oracle.lines import Line

DIMS = [("y", "x"), ("eta_rho", "xi_rho"), ("nj", "ni"), ("south_north", "west_east")]


def lines_of(
    rng: Random, ny: int, nx: int, closed: bool, dims: tuple[str, str]
) -> tuple[list[Line], dict[str, Any]]:
    """The lines of fields and of the grid, y and x each, and the options that say so.

    ``closed``: x goes around, or is open; else it may have boundary conditions.
    """
    options = pick_options(rng, ny, nx)
    ends_y = pick_ends(rng, periodic=False)
    ends_x = ("periodic", "periodic") if closed else pick_ends(rng, periodic=False)
    boundary = as_boundary(rng, {dims[0]: ends_y, dims[1]: ends_x})
    made = []
    for n, ends in ((ny, ends_y), (nx, ends_x)):
        line = Line(np.arange(float(n)), options["accuracy"], options["edge_order"], *ends)
        edge = line.edge_order if ends == (None, None) else 2
        is_round = "periodic" in ends
        grid = (
            replace(line, edge_order=edge)
            if is_round
            else replace(line, edge_order=edge, low=None, high=None)
        )
        made += [line, grid]
    return made, options | boundary


def _too_short(lines: list[Line], order: int) -> bool:
    """Fields, and the grid: once, or at accuracy 2 twice in a laplacian, for its half steps."""
    y, of_y, x, of_x = lines
    return any(len(a.points) < a.needs(order) for a in (y, x)) or any(
        len(a.points) < replace(a, edge_order=1).needs(order if a.accuracy == 2 else 1)
        for a in (of_y, of_x)
    )


def draw_places(rng: Random) -> Grid:
    """A patch turned about a point of the sphere, stretched and skewed; or rings about a pole."""
    ny, nx = rng.choice((6, 7, 8, 10)), rng.choice((6, 7, 9))
    dims = rng.choice(DIMS)
    closed = rng.random() < 0.3
    lines, options = lines_of(rng, ny, nx, closed, dims)
    j, i = np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij")
    if closed:
        lat = 30 + 4.0 * j + rng.choice((0.0, 1.5)) * np.cos(2 * np.pi * i / nx)
        lon = 360 / nx * i + rng.choice((0.0, 7.0)) * j
    else:
        step = rng.choice((0.1, 1.0, 5.0))
        s = step * (i + rng.choice((0.0, 0.3)) * j - nx / 2)
        t = step * (j - rng.choice((0.0, 0.4)) * i * 0.5 + rng.choice((0.0, 0.02)) * i * j)
        turn = np.deg2rad(rng.choice((0.0, 25.0, 140.0)))
        s, t = np.cos(turn) * s - np.sin(turn) * t, np.sin(turn) * s + np.cos(turn) * t
        lat, lon = _about(np.deg2rad(s), np.deg2rad(t), rng.choice((0.0, 40.0, -70.0, 88.0)))
    lon = (lon + rng.choice((0.0, 170.0, -60.0)) + 180) % 360 - 180
    radius, geometry = RADIUS, {}
    along_grid = rng.random() < 0.3
    if along_grid or rng.random() < 0.3:
        radius = rng.choice((RADIUS, 3389500.0))
        said = "grid" if along_grid else "earth"
        geometry = {"geometry": fd.Curvilinear(radius, components=said)}
    surface = Places(lines[0], lines[2], lines[1], lines[3], lat, lon, radius, along_grid)
    transposed = dims if rng.random() < 0.7 else dims[::-1]
    coords = {}
    for name, values, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
        both = xr.Variable(dims, values, {"units": units}).transpose(*transposed)
        coords[name] = both
    wind = {} if geometry else {"standard_name": ("eastward_wind", "northward_wind")}
    return Grid(
        "curvilinear, " + ("closed" if closed else "open") + (", along grid" * along_grid),
        surface,
        dims,
        coords,
        options | geometry,
        lat=lat.astype(np.longdouble),
        too_short=lambda order: _too_short(lines, order),
        names_of_wind=wind.get("standard_name", ()),
        margins=margins(lines, along_grid),
        words=lambda: f"{lat!r} {lon!r}",
    )


def margins(lines: list[Line], along_grid: bool) -> Any:
    """Rows beside open ends whose metric terms have edge rows of their own, by operator.

    Those of a laplacian, and the directions of a wind along the grid, are differentiated once more,
    with one-sided rows that the oracle does not know.
    """
    reach = lines[0].accuracy // 2

    def margin(operator: str) -> tuple[int, int]:
        rows = 3 * reach if operator == "laplacian" else 2 * reach if along_grid else 0
        if operator in ("horizontal_gradient", "gradient_magnitude", "geostrophic_wind"):
            rows = 0
        y, x = (0 if line.low == "periodic" else rows for line in (lines[0], lines[2]))
        return y, x

    return margin


def _about(s: np.ndarray, t: np.ndarray, pole: float) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of (s, t) about a point at the latitude ``pole``, in space."""
    point = np.array([np.cos(t) * np.cos(s), np.cos(t) * np.sin(s), np.sin(t)])
    c, d = np.cos(np.deg2rad(pole)), np.sin(np.deg2rad(pole))
    x, z = c * point[0] - d * point[2], d * point[0] + c * point[2]
    return np.rad2deg(np.arcsin(z)), np.rad2deg(np.arctan2(point[1], x))


def draw_steps(rng: Random) -> Grid:
    """Given dx and dy: numbers, or over one or both dimensions; with an angle or without."""
    ny, nx = rng.choice((6, 7, 8, 10)), rng.choice((6, 7, 9))
    dims = rng.choice(DIMS)
    closed = rng.random() < 0.2
    lines, options = lines_of(rng, ny, nx, closed, dims)
    j, i = np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij")
    given, wide = {}, {}
    for name, base in (("dx", 3000.0), ("dy", 2000.0)):
        how = rng.choice(("number", "y", "x", "both"))
        along = 1 + 0.1 * np.cos(j + base) * (how in ("y", "both"))
        size = base * along * (1 + 0.05 * np.sin(i + base) * (how in ("x", "both")))
        wide[name] = size
        whole = xr.DataArray(size, dims=dims)
        given[name] = {
            "number": base * (1 + 0),
            "y": whole.isel({dims[1]: 0}),
            "x": whole.isel({dims[0]: 0}),
            "both": whole.transpose(*rng.sample(dims, 2)),
        }[how]
        if how == "number":
            given[name] = float(size[0, 0])
    angle = rng.choice((None, None, 30.0, "field"))
    turned: Any = angle
    if angle == "field":
        turned = 20 + 5 * np.sin(i + 0.5 * j)
        angle = xr.DataArray(turned, dims=dims, attrs={"units": "degrees"})
    along_grid = angle is None or rng.random() < 0.5
    geometry = fd.Curvilinear(
        dx=given["dx"],
        dy=given["dy"],
        angle=angle,
        components="grid" if along_grid else "earth",
    )
    y, of_y, x, of_x = lines
    surface = Steps(y, x, of_y, of_x, wide["dx"], wide["dy"], turned, along_grid)
    return Grid(
        "dx and dy" + (", closed" if closed else "") + (", turned" if angle is not None else ""),
        surface,
        dims,
        {},
        options | {"geometry": geometry},
        too_short=lambda order: _too_short(lines, order),
        words=lambda: f"{given} {angle}",
    )
