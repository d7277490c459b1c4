"""Grids as files have them, and what they are to the oracle: planes and spheres of 1-D axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

import fdgrad_dask as fd
from oracle.drawn import pick_points
from oracle.lines import Line
from oracle.surfaces import Plane, Sphere

RADIUS = 6371229.0


@dataclass
class Grid:
    """A horizontal grid: its dimensions and coordinates, and its surface for the oracle.

    ``options`` go with each call. ``lat`` is over (y, 1) or (y, x), None where it is unknown.
    ``repeats`` says that the last column is the first one again.
    """

    name: str
    surface: Any
    dims: tuple[str, str]
    coords: dict[str, Any]
    options: dict[str, Any]
    lat: Any = None
    repeats: bool = False
    too_short: Callable[[int], bool] = lambda order: False
    is_doubtful: bool = False  # without units, and so small that it may be in radians
    names_of_wind: tuple[str, ...] = ()
    margins: Callable[[str], tuple[int, int]] = lambda operator: (0, 0)
    words: Callable[[], str] = str
    shape: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        lines = self.surface.y, self.surface.x
        ny, nx = (len(line.points) for line in lines)
        self.shape = ny, nx + self.repeats


def pick_options(rng: Random, ny: int, nx: int) -> dict[str, Any]:
    """Accuracy and edge order, such that most grids are long enough for them."""
    fit = [a for a in (2, 2, 2, 4, 6, 8) if a + 2 <= min(ny, nx)] or [2]
    options = {"accuracy": rng.choice(fit), "edge_order": rng.choice((1, 1, 2))}
    if rng.random() < 0.03:
        options["accuracy"] = rng.choice((4, 6, 8))
    return options


def pick_ends(rng: Random, *, periodic: bool) -> tuple[Any, Any]:
    """Conditions for both ends of an axis, mostly none."""
    if rng.random() < 0.6:
        return None, None
    if periodic and rng.random() < 0.4:
        return "periodic", "periodic"
    words = (None, "reflect", "extend", 0.0, 1.5, -2)
    low = rng.choice(words)
    return low, rng.choice((low, rng.choice(words)))


def as_boundary(rng: Random, ends: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The option ``boundary`` for the ends of both axes, by name; left out where it can be."""
    given = {k: e for k, e in ends.items() if e != (None, None) or rng.random() < 0.15}
    if not given:
        return {}
    pairs = {k: e[0] if e[0] == e[1] and rng.random() < 0.7 else e for k, e in given.items()}
    return {"boundary": pairs}


def on_both(lines: dict[str, Line], options: dict[str, Any]) -> dict[str, Line]:
    return {k: replace(x, **options) for k, x in lines.items()}


def draw_plane(rng: Random) -> Grid:
    ny, nx = rng.choice((4, 5, 6, 7, 9, 11)), rng.choice((4, 5, 6, 8, 12))
    options = pick_options(rng, ny, nx)
    y, x = pick_points(rng, ny), pick_points(rng, nx)
    ends = {
        name: pick_ends(rng, periodic=np.ptp(np.diff(p.astype(float))) == 0)
        for name, p in (("y", y), ("x", x))
    }
    how = rng.choice(("named", "axis", "standard_name", "given"))
    unit, metres = rng.choice((("m", 1.0), ("km", 1000.0), ("m", 1.0), ("dm", 0.1)))
    names = ("y", "x") if how == "named" else ("rows", "south")
    attrs: dict[str, dict[str, Any]] = {"y": {"units": unit}, "x": {"units": unit}}
    geometry = {}
    for key in "yx" if how != "named" else "":
        attrs[key]["axis"] = key.upper()
        if how == "standard_name":
            attrs[key] = {"units": unit, "standard_name": f"projection_{key}_coordinate"}
    if how == "given":
        metres = rng.choice((1.0, 2500.0))
        for key in "yx":
            del attrs[key]["units"]
        geometry = {"geometry": fd.Plane(metres)}
    boundary = as_boundary(rng, dict(zip(names, ends.values(), strict=True)))
    lines = {
        name: Line(p, options["accuracy"], options["edge_order"], *ends[name])
        for name, p in (("y", y), ("x", x))
    }
    surface = Plane(lines["y"], lines["x"], metres)
    return Grid(
        "plane",
        surface,
        names,
        {names[0]: (names[0], y, attrs["y"]), names[1]: (names[1], x, attrs["x"])},
        options | boundary | geometry,
        too_short=lambda order: _is_short(surface, order),
        words=lambda: f"{y!r} {x!r} {unit}",
    )


def _is_short(surface: Any, order: int) -> bool:
    return any(len(line.points) < line.needs(order) for line in (surface.y, surface.x))


def pick_latitudes(rng: Random) -> np.ndarray:
    n = rng.choice((4, 5, 6, 7, 9, 11))
    kinds = ("poles", "half step", "Gaussian", "one pole", "fine", "sector", "sector", "uneven")
    kind = rng.choice(kinds)
    if kind == "poles":
        lat = np.linspace(-90, 90, n)
    elif kind == "half step":
        lat = -90 + 90 / n + 180 / n * np.arange(n)
    elif kind == "Gaussian":
        lat = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(n)[0]))
    elif kind == "one pole":
        lat = (90.0 - 7.5 * np.arange(n)) * rng.choice((1, -1))
    elif kind == "sector":
        lat = rng.choice((-60.0, -33.3, 0.0, 12.0)) + rng.choice((0.25, 0.1, 2.5, 4.0)) * np.arange(
            n
        )
    else:
        gaps = [rng.choice((1.0, 2.0, 1.5, 3.0, 0.5)) for _ in range(n)]
        lat = rng.choice((-60.0, 8.0, 40.5)) + np.cumsum(gaps)
    lat = np.sort(lat)
    lat = lat[::-1].copy() if rng.random() < 0.5 else lat
    dyadic = bool((lat * 8 == np.round(lat * 8)).all())
    whole = bool((lat == np.round(lat)).all())
    types = ["f8"] * 4 + (["f4", "f4", ">f8"] if dyadic else []) + (["i4", "i1"] if whole else [])
    return lat.astype(rng.choice(types))


def pick_longitudes(rng: Random) -> tuple[np.ndarray, str]:
    """Longitudes, and whether they are a circle, a repeating one, or a sector."""
    kind = rng.choice(("circle", "circle", "repeats", "sector", "uneven", "uneven circle"))
    n = rng.choice((5, 6, 7, 8, 10, 12))
    start = rng.choice((0.0, -180.0, 22.5, -157.5, 3.3))
    if kind in ("circle", "repeats"):
        lon = start + 360 / n * np.arange(n + (kind == "repeats"))
    elif kind == "sector":
        lon = start + rng.choice((0.25, 0.1, 2.0, 10.0)) * np.arange(n)
    else:
        gaps = np.array([rng.choice((1.0, 2.0, 1.5, 0.5)) for _ in range(n)])
        lon = start + 3 * np.cumsum(gaps)
        if kind == "uneven circle":  # the gap at the end is the mean of the others
            gaps = np.array([0.96, 1.04] * n)[: n - 1]
            step = 360 / (gaps.sum() + gaps.mean())
            lon = start + step * np.r_[0, np.cumsum(gaps)]
            kind = "circle"
    lon = lon[::-1].copy() if rng.random() < 0.25 else lon
    dyadic = bool((lon * 8 == np.round(lon * 8)).all())
    types = ["f8"] * 4 + (["f4", ">f4"] if dyadic else [])
    return lon.astype(rng.choice(types)), "sector" if kind == "uneven" else kind


SPELLED = [
    (("lat", "lon"), ("degrees_north", "degrees_east"), False),
    (("rows", "columns"), ("degrees_north", "degrees_east"), False),
    (("latitude", "longitude"), ("degrees", "degrees"), False),
    (("y", "x"), ("degree_N", "degree_E"), False),
    (("rows", "columns"), (None, None), True),
    (("nav_y", "nav_x"), ("degrees", "degrees"), True),
]


def draw_sphere(rng: Random) -> Grid:
    lat, (lon, kind) = pick_latitudes(rng), pick_longitudes(rng)
    names, units, standard = rng.choice(SPELLED)
    options = pick_options(rng, len(lat), len(lon) - (kind == "repeats"))
    ends_y, ends_x = pick_ends(rng, periodic=False), pick_ends(rng, periodic=kind == "circle")
    if kind == "repeats":
        ends_x = None, None
    boundary = as_boundary(rng, {names[0]: ends_y, names[1]: ends_x})
    opened = names[1] in boundary.get("boundary", {})
    if kind == "repeats" and opened:
        del boundary["boundary"][names[1]]
        opened = False
    turns = kind != "sector" and not (opened and ends_x[0] != "periodic")
    own = lon[:-1] if kind == "repeats" else lon
    common = options["accuracy"], options["edge_order"]
    x = Line(own, *common, *ends_x)
    if turns:
        x = Line(own, *common, "periodic", "periodic", 360.0)
    radius, geometry = RADIUS, {}
    coords: dict[str, Any] = {}
    if rng.random() < 0.2:
        radius = rng.choice((1.0, 6.4e6, 3389500.0))
        geometry = {"geometry": fd.Sphere(radius)}
    for name, unit, points, of in zip(
        names, units, (lat, lon), ("latitude", "longitude"), strict=True
    ):
        attrs = {"standard_name": of} if standard else {}
        coords[name] = (name, points, attrs if unit is None else attrs | {"units": unit})
    surface = Sphere(Line(lat, *common, *ends_y), x, radius, turns)
    return Grid(
        f"sphere, {kind}" + (" opened" if kind != "sector" and not turns else ""),
        surface,
        names,
        coords,
        options | boundary | geometry,
        lat=lat.astype(np.longdouble)[:, None],
        repeats=kind == "repeats",
        too_short=lambda order: _is_short(surface, order),
        is_doubtful=units == (None, None)
        and bool(abs(lat.astype(float)).max() < np.pi / 2 and abs(lon).max() < 2 * np.pi),
        words=lambda: f"{lat!r} {lon!r}",
    )
