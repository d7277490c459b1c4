"""Cases of the horizontal operators, on any grid."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import operators as op
from oracle import equations as eq
from oracle.curved_grids import draw_places, draw_steps
from oracle.drawn import RARE, Case, as_kind, pick_all_chunks, pick_kind, pick_values
from oracle.grids import Grid, draw_plane, draw_sphere
from oracle.levels import Levels, draw_levels, with_options
from oracle.lines import differentiate
from oracle.sized import Sized

GRIDS: list[Callable[[Random], Grid]] = [draw_sphere, draw_sphere, draw_plane]
GRIDS += [draw_places, draw_steps]
SCALARS = ["horizontal_gradient", "gradient_magnitude", "laplacian", "geostrophic_wind"]
WINDS = ["divergence", "vorticity", "absolute_vorticity", "deformation", "kinematics"]
THREE = ["advection", "advection", "frontogenesis", "q_vector", "potential_vorticity", "curl"]
KINEMATIC = ["divergence", "vorticity", "stretching_deformation"]
KINEMATIC += ["shearing_deformation", "total_deformation"]


class Fields:
    """Fields on a grid: their values over (…, y, x), and as labelled arrays of some kind."""

    def __init__(self, rng: Random, grid: Grid, levels: Levels | None) -> None:
        self.grid, self.levels = grid, levels
        self.extra = {"time": rng.randint(1, 2)} if rng.random() < 0.4 else {}
        names = list(self.extra)
        sizes = list(self.extra.values())
        if levels is not None:
            names.append(levels.name)
            sizes.append(len(levels.line.points))
        self.dims = (*names, *grid.dims)
        self.shape = (*sizes, *grid.shape)
        self.order = tuple(rng.sample(self.dims, len(self.dims)))
        if rng.random() < 0.5:
            self.order = self.dims
        chunks = pick_all_chunks(rng, self.shape)
        self.chunks = dict(zip(self.dims, chunks, strict=True))
        self.kind = pick_kind(rng, np.empty(0))
        self.dtype = rng.choice(["f8"] * 6 + ["f4"] * 3 + ["f2", "i2", ">f8"])
        if self.kind in RARE:
            self.dtype = rng.choice(("f8", "f4"))
        self.holes = rng.choice(("", "", "nan"))
        self.values: dict[str, np.ndarray] = {}
        self.labelled: dict[str, xr.DataArray] = {}
        self.first: xr.DataArray | None = None  # whose coordinates most fields share

    def add(self, rng: Random, name: str, attrs: dict[str, Any], offset: float = 0.0) -> None:
        dtype = self.dtype
        if rng.random() < 0.05 and self.kind not in RARE:
            dtype = "f8"
        values = pick_values(rng, self.shape, dtype, holes=self.holes if dtype != "i2" else "")
        if offset and dtype != "i2":
            values = (values % 50 + offset).astype(dtype)
        if self.grid.repeats:
            values[..., -1] = values[..., 0]
        order = self.dims if self.labelled and rng.random() < 0.1 else self.order
        if self.first is None or order != self.first.dims or rng.random() < 0.1:
            coords = dict(self.grid.coords)
            if self.levels is not None:
                coords |= self.levels.coords
            blank = xr.DataArray(values, dims=self.dims, coords=coords)
            self.first = blank.transpose(*order)
        turned = values.transpose([self.dims.index(dim) for dim in order])
        data = as_kind(rng, turned, self.kind, tuple(self.chunks[dim] for dim in order))
        # `copy` keeps what is not NumPy as it is.
        made = self.first.copy(deep=False, data=data)
        made.name, made.attrs = name, attrs
        self.values[name], self.labelled[name] = values, made

    def sized(self, *names: str) -> list[Sized]:
        """As the oracle takes them, without a column that repeats."""
        last = -1 if self.grid.repeats else None
        return [Sized(self.values[name][..., :last]) for name in names]

    @property
    def result(self) -> np.dtype[Any]:
        found = np.result_type(*self.values.values()).newbyteorder("=")
        if found.kind in "iu":
            return np.dtype("f8")
        return np.dtype("f4") if found == np.dtype("f2") else found


def draw(rng: Random) -> Case:
    operator = rng.choice(SCALARS + WINDS + WINDS + THREE)
    grid = draw_plane(rng) if operator == "curl" else rng.choice(GRIDS)(rng)
    levels = draw_levels(rng, operator)
    if levels is not None:
        levels = with_options(levels, grid.options)
    fields = Fields(rng, grid, levels)
    wind = {"units": "m s-1"} if rng.random() < 0.8 else {}
    options = dict(grid.options)
    if operator in SCALARS:
        units = rng.choice(("m", "m2 s-2")) if operator == "geostrophic_wind" else "K"
        fields.add(rng, "s", {"units": units})
        names = ["s"]
    else:
        said = grid.names_of_wind or (None, None)
        for name, standard in zip("uv", said, strict=True):
            fields.add(rng, name, wind | ({"standard_name": standard} if standard else {}))
        names = ["u", "v"]
    f: Any = 0
    if operator in ("geostrophic_wind", "absolute_vorticity", "potential_vorticity"):
        if grid.lat is None or rng.random() < 0.2:
            options["coriolis"] = f = rng.choice((1e-4, -2.5e-5))
        else:
            f = eq.coriolis(grid.lat)
            f = f[..., : grid.shape[1] - grid.repeats] if np.shape(f)[1] > 1 else f
    expect, names = _equation(rng, operator, fields, f, names, options, wind)
    call = _call(rng, operator, fields, names, options)
    second = operator == "laplacian"
    short = (
        grid.is_doubtful
        or grid.too_short(2 if second else 1)
        or (
            levels is not None
            and operator in ("advection", "potential_vorticity", "curl")
            and len(levels.line.points) < levels.line.needs(1)
        )
    )
    like = fields.labelled[names[0]]
    return Case(
        operator,
        grid.name,
        fields.kind,
        call,
        lambda: {name: _known(operator, grid, one) for name, one in expect().items()},
        2.0**-24 if fields.result == np.dtype("f4") else 2.0**-53,
        lambda: f"{grid.words()} {grid.options} {fields.dtype} {fields.order} holes={fields.holes}",
        fields.dims,
        like,
        fields.result,
        refused=(ValueError,) if short else (),
    )


def _known(operator: str, grid: Grid, s: Sized) -> Sized:
    """With the column that is the first one again; rows that the oracle does not know are free."""
    y, x = grid.margins(operator)
    for free in (slice(y), slice(-y or 10**9, None)):
        s.size[..., free, :] = np.inf
    for free in (slice(x), slice(-x or 10**9, None)):
        s.size[..., free] = np.inf
    if not grid.repeats:
        return s
    value, size = (np.concatenate([a, a[..., :1]], -1) for a in (s.value, s.size))
    return Sized(value, size)


def _call(
    rng: Random, operator: str, fields: Fields, names: list[str], options: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    how = rng.choice(("function", "dataset", "dataset", "array"))

    def compute() -> dict[str, Any]:
        given = fields.labelled
        if how == "array" and len(names) == 1:
            found = getattr(given[names[0]].fdgrad, operator)(**options)
        elif how == "function":
            found = getattr(op, operator)(*(given[name] for name in names), **options)
        else:
            found = getattr(xr.Dataset(given).fdgrad, operator)(*names, **options)
        if isinstance(found, xr.DataArray):
            return {"": found}
        return {_short(str(name)): one for name, one in found.data_vars.items()}

    return compute


def _short(name: str) -> str:
    return {"ds_dx": "x", "ds_dy": "y"}.get(name, name)


def _equation(
    rng: Random,
    operator: str,
    fields: Fields,
    f: Any,
    names: list[str],
    options: dict[str, Any],
    wind: dict[str, Any],
) -> tuple[Callable[[], eq.Results], list[str]]:
    """What the oracle computes, and the names of the fields in their order."""
    surface, levels = fields.grid.surface, fields.levels
    rest: tuple[Any, ...] = ()
    if operator in WINDS:
        which = {"kinematics": KINEMATIC, "deformation": KINEMATIC[2:]}.get(operator)
        if operator == "kinematics" and rng.random() < 0.6:
            options["which"] = which = rng.sample(KINEMATIC, rng.randint(1, 5))
        return lambda: _of_wind(operator, surface, fields, f, which), names
    if operator == "geostrophic_wind":
        rest = f, eq.GRAVITY if fields.labelled["s"].attrs["units"] == "m" else 1.0
    elif operator == "curl":
        assert levels is not None
        fields.add(rng, "w", wind)
        names, rest = [*names, "w"], (levels.line, levels.unit)
    elif operator in ("q_vector", "potential_vorticity"):
        assert levels is not None
        fields.add(rng, "t", {"units": "K"}, offset=250.0)
        names = [*names, "t"]
        if operator == "q_vector":
            rest = (levels.line.points.astype(np.longdouble)[:, None, None] * levels.unit,)
        else:
            options["potential"] = potential = rng.random() < 0.5
            rest = levels.line, levels.unit, f, potential
    elif operator in ("advection", "frontogenesis"):
        fields.add(rng, "s", {"units": "K"})
        names = [*names, "s"]
    if operator == "advection" and levels is not None:
        fields.add(rng, "w", levels.of_w)
        return lambda: _carried(fields, levels), [*names, "w"]
    return lambda: getattr(eq, operator)(surface, *fields.sized(*names), *rest), names


def _carried(fields: Fields, levels: Levels) -> eq.Results:
    u, v, s, w = fields.sized("u", "v", "s", "w")
    up = w * differentiate(s, -3, levels.line) * np.longdouble(levels.w_factor)
    return eq.advection(fields.grid.surface, u, v, s, up)


def _of_wind(operator: str, surface: Any, fields: Fields, f: Any, which: Any) -> eq.Results:
    u, v = fields.sized("u", "v")
    if operator == "divergence":
        return {"": surface.divergence(u, v)}
    if operator in ("vorticity", "absolute_vorticity"):
        return {"": surface.vorticity(u, v) + f}
    return {name: one for name, one in eq.kinematics(surface, u, v).items() if name in which}
