"""Steps between points of known latitude and longitude, to the east and to the north.

Each part is one task a chunk where latitude and longitude are lazy, and one pass over each block.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fdgrad_dask.grids.metric_terms import LatLonMetric, Pair, Tables, dot
from fdgrad_dask.halo.compute import apply_together, differentiate_all

# Steps shorter than this, in metres, and axes closer to parallel than this angle, have no area.
_SHORT, _PARALLEL = 1e-3, 1e-9


def lat_lon_metric(
    lat: Any,
    lon: Any,
    radii: tuple[float, float],
    tables: Tables,
    *,
    smooth: Tables | None = None,
    senses: tuple[int, int] = (1, 1),
) -> LatLonMetric:
    """The metric of the points ``lat``, ``lon`` in degrees, (ny, nx); lazy if they are.

    ``radii`` are those of the equator and of the poles in metres, ``tables`` the stencils along x
    and y. ``smooth`` are those for the directions of x and y, if the components of a wind lie along
    them: these are differenced with the wind. ``senses`` are -1 where x, or y, falls with its
    index: the components then point against it.
    """
    found = apply_together(partial(_find_vectors, radii=radii), 8, lat, lon)
    axes, place = found[:5], found[5:]

    def steps(tables: Tables, project: Callable[..., Any], outputs: int) -> list[Any]:
        by_x, by_y = differentiate_all(place, list(zip((1, 0), tables, strict=True)))
        return apply_together(project, outputs, *axes, *by_x, *by_y)

    along = None
    if smooth is not None:
        c, s, p, q = steps(smooth, partial(_find_directions, senses=senses), 4)
        along = (c, s), (p, q)
    east, north = (axes[0], axes[1], 0), (axes[2], axes[3], axes[4])
    x_e, x_n, y_e, y_n, area = steps(tables, _find_steps, 5)
    return LatLonMetric(x_e, x_n, y_e, y_n, area, east, north, along)


def _find_vectors(lat: Any, lon: Any, *, radii: tuple[float, float]) -> tuple[Any, ...]:
    """East without its part 0 along the earth's axis, north, and the place, as vectors in space."""
    phi, lam = (np.deg2rad(array.astype(np.float64)) for array in (lat, lon))
    sin_p, cos_p, sin_l, cos_l = np.sin(phi), np.cos(phi), np.sin(lam), np.cos(lam)
    a, b = radii
    vertical = a**2 / np.sqrt((a * cos_p) ** 2 + (b * sin_p) ** 2)  # radius of the prime vertical
    place = (vertical * cos_p * cos_l, vertical * cos_p * sin_l, (b / a) ** 2 * vertical * sin_p)
    return -sin_l, cos_l, -sin_p * cos_l, -sin_p * sin_l, cos_p, *place


def _project(*parts: Any) -> tuple[Pair, Pair]:
    """The steps along x, and along y, to the east and to the north."""
    east, north, by_x, by_y = parts[:2], parts[2:5], parts[5:8], parts[8:]
    x, y = ((dot(east, step[:2]), dot(north, step)) for step in (by_x, by_y))
    return x, y


def _find_steps(*parts: Any) -> tuple[Any, ...]:
    """The steps, and the area of a cell; NaN where cells have none."""
    (x_e, x_n), (y_e, y_n) = _project(*parts)
    area, h_x, h_y = x_e * y_n - x_n * y_e, np.hypot(x_e, x_n), np.hypot(y_e, y_n)
    has_area = (abs(area) > _PARALLEL * h_x * h_y) & (h_x > _SHORT) & (h_y > _SHORT)
    return x_e, x_n, y_e, y_n, np.where(has_area, area, np.nan)


def _find_directions(*parts: Any, senses: tuple[int, int]) -> tuple[Any, ...]:
    """The steps as directions, of length 1."""
    found = []
    for sense, (e, n) in zip(senses, _project(*parts), strict=True):
        length = sense * np.hypot(e, n)
        along = np.where(abs(length) > _SHORT, length, np.nan)
        found += [e / along, n / along]
    return tuple(found)
