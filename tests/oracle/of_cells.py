"""Cases on staggered grids: any position of faces, boundaries, lengths, areas and open shares."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from oracle.cells import ON_FACE, Cells, Row, across
from oracle.drawn import RARE, Case, as_kind, pick_all_chunks, pick_kind, pick_values
from oracle.sized import Sized

KINEMATIC = ["divergence", "vorticity", "stretching_deformation"]
KINEMATIC += ["shearing_deformation", "total_deformation"]
SCALARS = ["horizontal_gradient", "gradient_magnitude", "laplacian", "interpolate"]
WINDS = ["divergence", "vorticity", "absolute_vorticity", "deformation", "kinematics"]
Made = tuple[str, Sized]  # the point where a result lies, and the result


class Drawn:
    """A grid, for the package and for the oracle."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        rows = []
        for number in (-2, -1):
            position = rng.choice(("left", "right", "outer", "inner"))
            around = position != "inner" and rng.random() < 0.35
            low = rng.choice((None, 0.0, 0.0, 1.5))
            ends = ("periodic",) * 2 if around else (low, rng.choice((low, None, 0.0)))
            rows.append(Row(number, rng.choice((3, 4, 5, 7)), position, *ends))
        self.y, self.x = rows
        self.depth = rng.choice((0, 0, 2))
        dx, dy = ({p: self._lengths(p) for p in ON_FACE} for _ in "xy")
        area = {p: self._lengths(p, 1e6) for p in ("center", "corner")}
        share = {p: self._shares(p) for p in ("center", "u", "v")} if rng.random() < 0.4 else {}
        self.cells = Cells(self.y, self.x, *(self._full(one) for one in (dx, dy, area, share)))
        given = {}
        if rng.random() < 0.2:
            dx = {p: (one / 1000).assign_attrs(units="km") for p, one in dx.items()}
            self.cells.dx = self._full({p: one * 1000.0 for p, one in dx.items()})
        for name, row in (("y", self.y), ("x", self.x)):
            ends = (row.low, row.high)
            if ends != (None, None) or rng.random() < 0.2:
                given[name] = row.low if row.low == row.high else ends
        self.grid = fd.Grid(
            x={"center": "xc", self.x.position: "xf"},
            y={"center": "yc", self.y.position: "yf"},
            dx=dx,
            dy=dy,
            area=area,
            fraction=share,
            boundary=given,
        )

    def dims(self, at: str) -> tuple[str, str]:
        return "yf" if "y" in ON_FACE[at] else "yc", "xf" if "x" in ON_FACE[at] else "xc"

    def shape(self, at: str) -> tuple[int, int]:
        return self.y.count("y" in ON_FACE[at]), self.x.count("x" in ON_FACE[at])

    def close(self, values: np.ndarray, at: str) -> np.ndarray:
        """With the same on the first and the last face, where these are one."""
        for row, axis in ((self.y, "y"), (self.x, "x")):
            if row.position == "outer" and row.low == "periodic" and axis in ON_FACE[at]:
                turned = np.moveaxis(values, row.axis, 0)
                turned[-1] = turned[0]
        return values

    def _lengths(self, at: str, times: float = 1e3) -> xr.DataArray:
        rng = self.rng
        made = np.random.default_rng(rng.getrandbits(32))
        values = times * self.close(1 + made.random(self.shape(at)), at)
        full = xr.DataArray(values, dims=self.dims(at))
        how = rng.choice(("both", "both", "y", "x"))
        if how == "both":
            return full.transpose(*rng.sample(self.dims(at), 2))
        return full.isel({self.dims(at)[how == "y"]: 0})

    def _shares(self, at: str) -> xr.DataArray:
        shape, dims = self.shape(at), self.dims(at)
        if self.depth:
            shape, dims = (self.depth, *shape), ("z", *dims)
        made = np.random.default_rng(self.rng.getrandbits(32))
        values = np.where(made.random(shape) < 0.2, 0.0, made.random(shape))
        return xr.DataArray(self.close(values, at), dims=dims)

    def _full(self, arrays: dict[str, xr.DataArray]) -> dict[str, Any]:
        """Over (z, y, x), or fewer in front."""
        full = {}
        for at, one in arrays.items():
            y, x = self.dims(at)
            sizes = dict(zip((y, x), self.shape(at), strict=True))
            wide = one.expand_dims({dim: sizes[dim] for dim in (y, x) if dim not in one.dims})
            full[at] = wide.transpose(..., y, x).values
        return full


def draw(rng: Random) -> Case:
    drawn = Drawn(rng)
    operator = rng.choice(SCALARS + WINDS + WINDS)
    of_b = rng.random() < 0.4
    points = {"u": "corner", "v": "corner"} if of_b else {"u": "u", "v": "v"}
    if operator in SCALARS:
        center = operator == "laplacian" or rng.random() < 0.5
        points = {"s": "center" if center else rng.choice(list(ON_FACE))}
    kind = pick_kind(rng, np.empty(0))
    dtype = rng.choice(("f8", "f8", "f8", "f4", ">f8"))
    if kind in RARE:
        dtype = rng.choice(("f8", "f4"))
    holes = rng.choice(("", "", "nan"))
    front = {"time": 2} if rng.random() < 0.3 else {}
    if drawn.depth:
        front["z"] = drawn.depth
    order = rng.sample(range(len(front) + 2), len(front) + 2)
    values, labelled = {}, {}
    for name, at in points.items():
        shape = (*front.values(), *drawn.shape(at))
        made = drawn.close(pick_values(rng, shape, dtype, holes=holes), at)
        dims = (*front, *drawn.dims(at))
        turned = made.transpose(order)
        data = as_kind(rng, turned, kind, pick_all_chunks(rng, turned.shape))
        blank = xr.DataArray(turned, dims=[dims[i] for i in order], name=name)
        values[name] = made
        labelled[name] = blank.copy(deep=False, data=data).assign_attrs(units="m s-1")
    options: dict[str, Any] = {}
    expected = _expect(rng, operator, drawn, points, options)
    template = next(iter(labelled.values())).dims

    def compute() -> dict[str, Any]:
        found = getattr(op, operator)(*labelled.values(), geometry=drawn.grid, **options)
        if isinstance(found, xr.DataArray):
            found = {"": found}
        return {str(k): _canonical(drawn, one, template) for k, one in found.items()}

    def expect() -> dict[str, Sized]:
        return {k: one for k, (_, one) in expected(values).items()}

    rows = [(row.position, row.n, row.low, row.high) for row in (drawn.y, drawn.x)]
    native = np.dtype(dtype).newbyteorder("=")
    return Case(
        operator,
        "staggered, B" if of_b and operator in WINDS else "staggered, C",
        kind,
        compute,
        expect,
        2.0**-24 if dtype == "f4" else 2.0**-53,
        lambda: f"{rows} {points} {dtype} {template} {options} {bool(drawn.cells.fraction)}",
        (*front, "y", "x"),
        dtype=native,
    )


def _canonical(drawn: Drawn, result: xr.DataArray, template: tuple[Any, ...]) -> xr.DataArray:
    """With the dimensions y and x wherever it lies; these must be in the order of the fields."""
    plain = {"yc": "y", "yf": "y", "xc": "x", "xf": "x"}
    if [plain.get(str(dim), dim) for dim in result.dims] != [plain.get(d, d) for d in template]:
        raise AssertionError(f"dims {result.dims}, not those of {template}")
    return result.rename({dim: plain[dim] for dim in plain if dim in result.dims})


def _expect(
    rng: Random, operator: str, drawn: Drawn, points: dict[str, str], options: dict[str, Any]
) -> Callable[[dict[str, np.ndarray]], dict[str, Made]]:
    cells = drawn.cells
    if operator in SCALARS:
        at = points["s"]
        if operator == "interpolate":
            options["to"] = rng.choice([name for name in ON_FACE if name != at])
        return lambda values: _of_scalar(operator, cells, Sized(values["s"]), at, options)
    which = {"kinematics": KINEMATIC, "deformation": KINEMATIC[2:]}.get(operator, [operator])
    if operator == "kinematics" and rng.random() < 0.6:
        options["which"] = which = rng.sample(KINEMATIC, rng.randint(1, 5))
    f = 0.0
    if operator == "absolute_vorticity":
        options["coriolis"] = f = rng.choice((1e-4, -2.5e-5))

    def compute(values: dict[str, np.ndarray]) -> dict[str, Made]:
        made = _of_wind(cells, Sized(values["u"]), Sized(values["v"]), points["u"] == "corner")
        if operator in ("divergence", "vorticity", "absolute_vorticity"):
            at, one = made[operator.removeprefix("absolute_")]
            return {"": (at, one + Sized(f))}
        return {name: made[name] for name in which}

    return compute


def _of_scalar(
    operator: str, cells: Cells, s: Sized, at: str, options: dict[str, Any]
) -> dict[str, Made]:
    if operator == "horizontal_gradient":
        x, y = cells.gradient(s, at)
        return {"ds_dx": (across(at, "x"), x), "ds_dy": (across(at, "y"), y)}
    if operator == "interpolate":
        return {"": (options["to"], cells.interpolate(s, at, options["to"]))}
    return {"": (at, cells.magnitude(s, at) if operator != "laplacian" else cells.laplacian(s))}


def _of_wind(cells: Cells, u: Sized, v: Sized, is_b: bool) -> dict[str, Made]:
    normal, along, at_u, at_v, around = (u, v), (u, v), "u", "v", "corner"
    if is_b:
        normal = cells.interpolate(u, "corner", "u"), cells.interpolate(v, "corner", "v")
        along = cells.interpolate(u, "corner", "v"), cells.interpolate(v, "corner", "u")
        at_u, at_v, around = "v", "u", "center"
    stretching = cells.stretching(*normal)
    shearing = cells.shearing(*along, at_u, at_v)
    return {
        "divergence": ("center", cells.divergence(*normal)),
        "vorticity": (around, cells.vorticity(*along, at_u, at_v)),
        "stretching_deformation": ("center", stretching),
        "shearing_deformation": (around, shearing),
        "total_deformation": ("center", cells.total(stretching, shearing, around)),
    }
