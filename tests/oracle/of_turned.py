"""Cases of winds turned between the directions of their grid and those of the Earth."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from oracle.curved import Places
from oracle.curved_grids import draw_places, draw_steps
from oracle.drawn import Case
from oracle.grids import Grid
from oracle.lines import Line
from oracle.of_fields import Fields
from oracle.sized import Sized

FREE = 2  # rows beside the ends of a grid, where its directions have edge rows of their own


def draw(rng: Random) -> Case:
    goal = rng.choice(("earth", "grid"))
    grid, is_placed = _draw_grid(rng, goal)
    fields = Fields(rng, grid, None)
    units = {"units": "m s-1"} if rng.random() < 0.8 else {}
    for name in "uv":
        fields.add(rng, name, dict(units))
    how = rng.choice(("function", "dataset"))

    def compute() -> dict[str, Any]:
        given, operator = fields.labelled, f"rotate_to_{goal}"
        if how == "function":
            found = getattr(op, operator)(given["u"], given["v"], **grid.options)
        else:
            found = getattr(xr.Dataset(given).fdgrad, operator)("u", "v", **grid.options)
        return {str(name): one for name, one in found.data_vars.items()}

    def expect() -> dict[str, Sized]:
        u, v = fields.sized("u", "v")
        one = Sized(np.ones(grid.shape))
        (x_e, x_n), (y_e, y_n) = (
            grid.surface.to_east(*pair) for pair in ((one, 0 * one), (0 * one, one))
        )
        if goal == "grid":
            area = x_e * y_n - x_n * y_e
            x_e, x_n, y_e, y_n = y_n / area, -(x_n / area), -(y_e / area), x_e / area
        made = {"u": x_e * u + y_e * v, "v": x_n * u + y_n * v}
        if is_placed:
            for each in made.values():
                for axis in (-1, -2):
                    rows = np.moveaxis(each.size, axis, 0)
                    rows[:FREE] = rows[-FREE:] = np.inf
        return made

    return Case(
        f"rotate_to_{goal}",
        grid.name,
        fields.kind,
        compute,
        expect,
        2.0**-24 if fields.result == np.dtype("f4") else 2.0**-53,
        lambda: f"{grid.words()} {grid.options} {fields.dtype} {fields.order}",
        fields.dims,
        fields.labelled["u"],
        fields.result,
        {"u": fields.labelled["u"].attrs.get("units")},
    )


def _draw_grid(rng: Random, goal: str) -> tuple[Grid, bool]:
    """A grid of places, or of an angle, whose fields are along what they are turned from."""
    said = "grid" if goal == "earth" else "earth"
    if rng.random() < 0.5:
        grid = draw_places(rng)
        while "closed" in grid.name:
            grid = draw_places(rng)
        own: Places = grid.surface
        y, x = (Line(np.arange(float(n)), 2, 2) for n in grid.shape)
        surface = Places(y, x, y, x, own.lat, own.lon, own.radius, along_grid=True)
        options = {"geometry": fd.Curvilinear(own.radius, components=said)}
        return replace(grid, name="curvilinear", surface=surface, options=options), True
    grid = draw_steps(rng)
    while grid.surface.angle is None:
        grid = draw_steps(rng)
    geometry = replace(grid.options["geometry"], components=said)
    surface = replace(grid.surface, along_grid=True)
    return replace(
        grid, name="angle", surface=surface, options={"geometry": geometry}, names_of_wind=()
    ), False
