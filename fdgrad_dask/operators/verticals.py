"""The vertical axis of a field: which it is, its pressure, its sense, and a wind along it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import Axis, find_axis, find_cf_names
from fdgrad_dask.grids.parametric import compute_levels, find_parametric_level, list_parametric
from fdgrad_dask.grids.times import is_time
from fdgrad_dask.grids.units import conversion_factor, divide_units
from fdgrad_dask.grids.vertical import resolve_levels
from fdgrad_dask.halo.compute import is_dask

# CF appendix D: coordinates whose levels are computed by a formula from other fields.
_PARAMETRIC = re.compile(r"(atmosphere|ocean)_.*_coordinate(_g[12])?")
# What CF attributes call a vertical coordinate.
_VERTICAL = ("Z", "vertical", "air_pressure")
_LEVELS = re.compile(r"(p|p_?lev\w*|lev|level\w*|pressure\w*|isobaric\w*)")


def find_vertical_axis(field: xr.DataArray, name: Hashable | None) -> Axis:
    """The vertical axis: the one named, or the one that CF attributes or units of pressure tell."""
    if name is not None:
        return find_axis(field, name)
    lines = {n: c.attrs.get("units") for n, c in field.coords.variables.items() if c.ndim == 1}
    found = [n for n in find_cf_names(field, *_VERTICAL) if n in lines]
    # CF conventions 4.3: units of pressure identify a vertical coordinate by themselves.
    found = found or [n for n, u in lines.items() if conversion_factor(u, "Pa") is not None]
    if len(found) != 1:
        raise CoordinateError(
            f"the vertical axis of {field.name!r} cannot be inferred from its coordinates "
            f"{tuple(field.coords)}; name it: vertical="
        )
    return find_axis(field, found[0])


def find_pressure_levels(
    field: xr.DataArray, name: Hashable | None, result: str
) -> tuple[Axis, NDArray[np.float64]]:
    """The vertical axis and the pressure of its levels in Pa, (n,)."""
    axis = find_vertical_axis(field, name)
    if axis.name in field.coords:
        refuse_parametric(field.coords[axis.name], result)
    pascals = conversion_factor(axis.units, "Pa")
    if pascals is None:
        raise OptionError(
            f"the vertical axis {axis.name!r} has the units {axis.units!r}; pressure levels "
            "are needed (Pa, hPa): set its units, or interpolate to such levels"
        )
    return axis, axis.points.astype(np.float64) * pascals


def find_pressure(
    field: xr.DataArray, name: Hashable | None, result: str
) -> tuple[tuple[Axis] | None, NDArray[np.float64]]:
    """The pressure in Pa and the axes along which it varies: of levels (n,), or of one level.

    One level has a scalar coordinate that is the vertical one; others in Pa, such as a surface or
    a reference pressure, are not.
    """
    coords = field.coords
    names = [name]
    if name is None:
        names = find_cf_names(field, *_VERTICAL)
        named = [n for n in coords if _LEVELS.fullmatch(str(n).lower())]
        names = [] if any(coords[n].ndim for n in names) else names + named
    for level in names:
        if level in coords and coords[level].ndim == 0:
            pascals = conversion_factor(coords[level].attrs.get("units"), "Pa")
            if pascals is not None:
                refuse_parametric(coords[level], result)
                return None, np.asarray(float(coords[level]) * pascals)
    axis, levels = find_pressure_levels(field, name, result)
    return (axis,), levels


def refuse_parametric(level: xr.DataArray, result: str, why: str = "") -> None:
    """Raises for levels whose pressure or height is computed from other fields."""
    attrs = {**level.encoding, **level.attrs}
    named = _PARAMETRIC.fullmatch(str(attrs.get("standard_name", "")))
    if not (named or "formula_terms" in attrs or "hybrid" in str(attrs.get("long_name")).lower()):
        return
    raise OptionError(
        f"the levels of {level.name!r} are parametric ({attrs.get('standard_name') or 'hybrid'}): "
        f"their values are nominal, but {result} needs true ones{why and f' ({why})'}; "
        "interpolate the fields to levels of pressure or height first, or give the true coordinate:"
        " pressure=…, constant=…, or for a vertical derivative alone "
        f".fdgrad.gradient({level.name!r}, coordinate=…)"
    )


def find_pressure_field(
    field: xr.DataArray, options: Mapping[str, Any], result: str
) -> tuple[xr.DataArray | None, float]:
    """The pressure of levels that are none, and its unit in Pa: the one given, or that of their
    formula terms.
    """
    given, vertical = options.get("pressure"), options.get("vertical")
    if given is not None:
        pressure = resolve_levels(field, given, vertical, "pressure")
    elif names := list_parametric(field, vertical):
        try:
            pressure = compute_levels(field, find_parametric_level(field, vertical), "pressure")
        except CoordinateError as error:
            refuse_parametric(field.coords[names[0]], result, str(error).partition(";")[0])
            raise
    else:
        return None, 1.0
    pascal = conversion_factor(pressure.attrs.get("units"), "Pa")
    if pascal is None:
        raise OptionError(
            f"pressure is {pressure.name!r} with the units {pressure.attrs.get('units')!r}; it "
            "needs those of a pressure (Pa, hPa): set them"
        )
    return pressure, pascal


def find_rate_factor(
    w: xr.DataArray, axis: Axis, level: xr.DataArray | None, positive: str | None
) -> float:
    """What a vertical wind is to be multiplied by to be in units of the coordinate per second.

    −1 is in it where the wind is upward and the coordinate ``level`` of the axis grows downward, or
    the reverse.
    """
    unit = conversion_factor(divide_units(w.attrs.get("units"), "s-1"), str(axis.units))
    if unit is None or level is None:
        raise OptionError(
            f"the vertical wind has the units {w.attrs.get('units')!r} and {axis.name!r} has "
            f"{axis.units!r}; w needs those of the coordinate per second: set both"
        )
    is_length = conversion_factor(axis.units, "m") is not None
    if is_length or conversion_factor(axis.units, "Pa") is not None:
        refuse_parametric(level, f"a wind in {w.attrs['units']}")
    up = is_upward(w)
    if not is_length:
        if up is not None:
            raise OptionError(
                f"{w.name!r} is called upward or downward, but in {w.attrs['units']} it is the "
                f"rate at which {axis.name!r} changes; correct its name, or convert it to that"
            )
        return unit
    grows_up = find_sense(level, positive)
    if grows_up is None:
        raise OptionError(
            f"{axis.name!r} does not say whether it is a height or a depth; set its attribute "
            "positive, or give the option positive=: 'up' or 'down'"
        )
    if up is None and not grows_up:
        raise OptionError(
            f"{axis.name!r} grows downward, and {w.name!r} does not say whether it is an upward "
            "wind; set its standard_name, as upward_sea_water_velocity or "
            "downward_sea_water_velocity"
        )
    return unit if up in (None, grows_up) else -unit


def find_sense(coordinate: xr.DataArray, positive: str | None) -> bool | None:
    """`is_height`, by the option ``positive`` where the coordinate does not say it."""
    said = is_height(coordinate)
    if positive not in (None, "up", "down"):
        raise OptionError(f"positive is {positive!r}; choose 'up' or 'down'")
    if said is False and _lies_below_zero(coordinate):
        if positive is None:
            raise OptionError(
                f"{coordinate.name!r} says that it grows downward, but its values lie below zero, "
                "as heights below a surface do; correct its attribute: "
                ".assign_attrs(positive='up'), or give the option positive=: 'up' or 'down'"
            )
        return positive == "up"
    if positive is None:
        return said
    if said is not None and said != (positive == "up"):
        raise OptionError(
            f"positive is {positive!r}, but {coordinate.name!r} says that it grows "
            f"{'up' if said else 'down'}ward; leave the option out, or correct its attributes"
        )
    return positive == "up"


def _lies_below_zero(depth: xr.DataArray) -> bool:
    """True if none of some depths is one, as xmitgcm calls the levels Z that MITgcm counts upward.

    A field is not computed, nor is what JAX traces.
    """
    if depth.ndim > 1 or depth.chunks is not None or is_jax(depth.variable._data):
        return False
    return bool((depth <= 0).all() and (depth < 0).any())


def is_upward(w: xr.DataArray) -> bool | None:
    """True for an upward wind, False for a downward one, None if nothing says it."""
    stated = str(w.attrs.get("positive", "")).lower()
    for words in (w.attrs.get("standard_name"), w.attrs.get("long_name"), f"{stated}ward"):
        found = re.search(r"(?<![a-z])(up|down)wards?(?![a-z])", str(words).lower())
        if found:
            return found[1] == "up"
    return True if str(w.name).lower() in ("wo", "wmo", "vovecrtz", "wvel") else None


def is_height(coordinate: xr.DataArray) -> bool | None:
    """True where a coordinate grows upward, False where downward, None if nothing says it."""
    positive = str(coordinate.attrs.get("positive", "")).lower()
    if positive in ("up", "down"):
        return positive == "up"
    if conversion_factor(coordinate.attrs.get("units"), "Pa") is not None:
        return False
    stated = [coordinate.attrs.get(key) for key in ("standard_name", "long_name")]
    for words in (*stated, coordinate.name):
        if "depth" in str(words).lower():
            # Depths below zero are heights by another name, or an error; a field is not computed.
            is_plain = coordinate.ndim < 2 and coordinate.chunks is None
            return False if is_plain and not (coordinate < 0).any() else None
        if re.search(r"height|altitude", str(words).lower()):
            return True
    return None


def require_same_level(u: xr.DataArray, v: xr.DataArray) -> None:
    """Raise if two fields were selected at different levels or times, which xarray drops."""
    for name in (n for n in u.coords if n in v.coords):
        one, other = u.coords[name].variable, v.coords[name].variable
        if one.ndim or other.ndim or any(is_dask(c._data) or is_jax(c._data) for c in (one, other)):
            continue
        first, second = one.values, other.values
        kinds = {(c.dtype.kind, getattr(c.item(), "calendar", None)) for c in (first, second)}
        if is_time(first) and is_time(second):
            if len(kinds) > 1:  # dates of two calendars or libraries cannot be compared
                continue
            is_same = first == second or first != first or second != second  # NaT is no time
        elif all(kind in "iuf" for kind, _ in kinds) and _is_level(u.coords[name]):
            is_same = one.attrs.get("units") != other.attrs.get("units") or not (
                abs(first - second) > 1e-5 * abs(first)
            )
        else:
            continue
        if not is_same:
            raise CoordinateError(
                f"{u.name!r} is at {name} = {first} and {v.name!r} at {second}, but both components"
                " of a vector are needed at one level and time; select both alike, or if they "
                f"belong together, drop what differs: .drop_vars({name!r})"
            )


def _is_level(coordinate: xr.DataArray) -> bool:
    is_named = _LEVELS.fullmatch(str(coordinate.name).lower()) is not None
    return is_named or is_height(coordinate) is not None
