"""Scalars on a staggered grid: gradients between cells, and the balance of what flows down them.

A derivative along x lies half a step off the scalar along x: of the centres of cells on the faces
across x, which are the points of u on a C grid.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

from fdgrad_dask.grids.attributes import choose_long_name, choose_name, name_derivative
from fdgrad_dask.grids.staggered import across, is_on_face
from fdgrad_dask.operators.expression import hypot
from fdgrad_dask.operators.options import Options
from fdgrad_dask.operators.staggered import StaggeredPass, require_defaults
from fdgrad_dask.stencils import two_points


class StaggeredScalar(StaggeredPass):
    """A pass over one scalar; its derivatives along x and y lie at the points ``faces``."""

    def __init__(self, field: xr.DataArray, *, is_closed: bool = False, **options: Any) -> None:
        grid = require_defaults(Options(**options))
        super().__init__(grid, field, is_closed=is_closed)
        (self.at,) = self.points
        self.faces = across(self.at, "x"), across(self.at, "y")

    def gradient(self) -> tuple[Any, Any]:
        """δx s / dx and δy s / dy."""
        (s,), (on_x, on_y) = self.fields, self.faces
        s_x, s_y = self.difference(s, "x", self.at), self.difference(s, "y", self.at)
        return self.per(self.cells.dx(on_x), on_x) * s_x, self.per(self.cells.dy(on_y), on_y) * s_y


def solve_gradient(field: xr.DataArray, **options: Any) -> xr.Dataset:
    """∂s/∂x and ∂s/∂y, each half a step off the scalar."""
    fused = StaggeredScalar(field, **options)
    made = zip(fused.solve(*fused.gradient()), "xy", fused.faces, strict=True)
    of = f"derivative of {choose_long_name(field.attrs, field.name)} per metre along"
    return fused.to_dataset(
        fused.named_at(
            data, face, name_derivative(field.name, axis), f"{of} {axis}", fused.per_metre()
        )
        for data, axis, face in made
    )


def solve_magnitude(field: xr.DataArray, **options: Any) -> xr.DataArray:
    """√(s_x² + s_y²), of the means of the two derivatives on both sides of a point."""
    fused = StaggeredScalar(field, **options)
    second = fused.after(*fused.solve(*fused.gradient()))
    s_x, s_y = (
        second.differentiate(one, *fused.table(two_points.mean, axis, face, None))
        for one, axis, face in zip(second.fields, "xy", fused.faces, strict=True)
    )
    (data,) = second.solve(hypot(s_x, s_y))
    long_name = f"magnitude of the gradient of {choose_long_name(field.attrs, field.name)}"
    name = f"{choose_name(field.name)}_gradient_magnitude"
    return fused.named_at(data, fused.at, name, long_name, fused.per_metre())


def solve_laplacian(field: xr.DataArray, **options: Any) -> xr.DataArray:
    """( δx(dy δx s / dx) + δy(dx δy s / dy) ) / area: fluxes through the sides of a cell.

    With the open parts of faces and cells. Nothing flows through a wall.
    """
    fused = StaggeredScalar(field, is_closed=True, **options)
    (s_x, s_y), (on_x, on_y) = fused.gradient(), fused.faces
    fluxes = fused.solve(fused.open("y", on_x) * s_x, fused.open("x", on_y) * s_y)
    second = fused.after(*fluxes)
    change_x, change_y = (
        second.differentiate(
            flux,
            *fused.table(
                two_points.difference, axis, face, 0.0 if is_on_face(face, axis) else None
            ),
        )
        for flux, axis, face in zip(second.fields, "xy", fused.faces, strict=True)
    )
    area = fused.cells.open(fused.cells.area(fused.at), fused.at)
    (data,) = second.solve(fused.per(area, fused.at) * (change_x + change_y))
    of = choose_long_name(field.attrs, field.name)
    name, long_name = f"{choose_name(field.name)}_laplacian", f"laplacian of {of}"
    return fused.named_at(data, fused.at, name, long_name, fused.per_metre(2))
