"""Vertical axes: pressure, height, depth, and winds along them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from oracle.lines import Line


@dataclass
class Levels:
    """A vertical axis; ``unit`` is how many Pa, or metres upwards, one of its units is.

    ``of_w`` are the attributes of a wind along it, and ``w_factor`` is what makes it a rate of the
    coordinate.
    """

    name: str
    line: Line
    coords: dict[str, Any]
    unit: float
    of_w: dict[str, Any]
    w_factor: float


def draw_levels(rng: Random, operator: str) -> Levels | None:
    """Levels for operators that need them, and sometimes for advection."""
    if operator == "curl":
        return rng.choice((_height, _depth))(rng)
    if operator in ("q_vector", "potential_vorticity"):
        return _pressure(rng)
    if operator == "advection" and rng.random() < 0.6:
        return rng.choice((_height, _depth, _pressure))(rng)
    return None


def with_options(levels: Levels, options: dict[str, Any]) -> Levels:
    """The levels, differentiated as accurately as the other axes."""
    common = {key: options[key] for key in ("accuracy", "edge_order")}
    return replace(levels, line=replace(levels.line, **common))


def _pressure(rng: Random) -> Levels:
    n = rng.choice((3, 4, 5))
    hpa = np.array([1000.0, 925.0, 850.0, 500.0, 250.0])[:n]
    hpa = hpa[::-1].copy() if rng.random() < 0.5 else hpa
    unit, pascals = rng.choice((("hPa", 100.0), ("Pa", 1.0), ("millibar", 100.0)))
    points = hpa * 100 if unit == "Pa" else hpa
    points = points.astype(rng.choice(("f8", "f4", "i4")))
    attrs = {"units": unit} | rng.choice(({}, {"standard_name": "air_pressure"}, {"axis": "Z"}))
    name = rng.choice(("plev", "level", "isobaric"))
    coords = {name: (name, points, attrs)}
    return Levels(name, Line(points), coords, pascals, {"units": "Pa s-1"}, 1 / pascals)


def _height(rng: Random) -> Levels:
    points = _steps(rng)
    unit, metres = rng.choice((("m", 1.0), ("km", 1000.0)))
    attrs = {"units": unit, "positive": "up", "axis": "Z"}
    if rng.random() < 0.3:
        attrs = {"units": unit, "standard_name": "height", "axis": "Z"}
    of_w = {"units": "m s-1"} | rng.choice(({}, {"standard_name": "upward_air_velocity"}))
    return Levels("z", Line(points), {"z": ("z", points, attrs)}, metres, of_w, 1 / metres)


def _depth(rng: Random) -> Levels:
    points = _steps(rng)
    attrs = {"units": "m", "positive": "down", "axis": "Z"}
    of_w = {"units": "m s-1", "standard_name": "upward_sea_water_velocity"}
    coords = {"depth": ("depth", points, attrs)}
    return Levels("depth", Line(points), coords, -1.0, of_w, -1.0)


def _steps(rng: Random) -> np.ndarray:
    n = rng.choice((3, 4, 5))
    points = np.cumsum([rng.choice((1.0, 2.0, 5.0)) for _ in range(n)]) * 100
    return points[::-1].copy() if rng.random() < 0.5 else points
