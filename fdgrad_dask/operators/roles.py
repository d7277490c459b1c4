"""What a field is, by its units, its standard name and its name; refused where that contradicts
the place in which it was given.

Only contradictions are refused: a vector may be anything from a current to a flux, and many files
say nothing at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.units import conversion_factor, kelvin_conversion

_TO_X = re.compile(r"eastward|(^|_)x_")
_TO_Y = re.compile(r"northward|(^|_)y_")
_SCALAR = re.compile(
    r"(^|_)(temperature|pressure|height|altitude|depth|humidity|density|salinity|geopotential|"
    r"speed|direction|fraction|ratio)$"
)
_POTENTIAL = ("theta", "thta", "th", "pt", "thetao", "potential_temperature")


def matched(
    u: xr.DataArray, v: xr.DataArray, others: Sequence[xr.DataArray]
) -> tuple[xr.DataArray, xr.DataArray]:
    """``u`` and ``v`` in the unit of ``u``, if they can be the two components of one vector.

    Where one of them has no units, it has those of the other.

    Raises
    ------
    OptionError
        They cannot.
    """
    hint = _other_order(u, v, others)
    if _direction(u) == "y" and _direction(v) == "x":
        raise OptionError(
            f"{u.name!r} is the component along y and {v.name!r} the one along x, as their "
            f"standard_names say; give them the other way around: {v.name}, {u.name}"
        )
    for one, place, other in ((u, "x", "y"), (v, "y", "x")):
        name = str(one.attrs.get("standard_name", ""))
        if _direction(one) == other:
            raise OptionError(
                f"{one.name!r} is the component along {other}, as its standard_name {name!r} says, "
                f"but the one along {place} is needed here; {hint}"
            )
        if _direction(one) is None and _SCALAR.search(name):
            raise OptionError(f"{one.name!r} is {name}, and no component of a vector; {hint}")
        if kelvin_conversion(one.attrs.get("units")) is not None:
            raise OptionError(
                f"{one.name!r} is in {one.attrs['units']}: a temperature, and no component of a "
                f"vector; {hint}"
            )
    if not _has_units(u) and _has_units(v):
        return u.assign_attrs(units=v.attrs["units"]), v
    return u, in_units_of(u, v, hint)


def in_units_of(u: xr.DataArray, v: xr.DataArray, hint: str = "") -> xr.DataArray:
    """``v`` in the unit of ``u``, where both say theirs; lazy if it is.

    Raises
    ------
    OptionError
        They are not of one kind.
    """
    one, other = u.attrs.get("units"), v.attrs.get("units")
    if not (_is_known(one) and _is_known(other)):
        return v
    factor = conversion_factor(other, str(one))
    if factor is None:
        raise OptionError(
            f"{u.name!r} is in {one} and {v.name!r} in {other}, which are not of one kind, but "
            f"the components of a vector have one unit; {hint or 'give both in the same'}"
        )
    if math.isclose(factor, 1, rel_tol=1e-5):
        return v
    return v.copy(data=v.data * factor).assign_attrs(units=one)


def speed(wind: xr.DataArray, result: str) -> float:
    """How many m s-1 there are in the unit of a wind; 1 if it has no units.

    Raises
    ------
    OptionError
        Its units are not those of a speed.
    """
    if not _has_units(wind):
        return 1.0
    units = wind.attrs["units"]
    factor = conversion_factor(units, "m s-1")
    if factor is None:
        raise OptionError(
            f"{wind.name!r} has the units {units!r}, but {result} needs a speed; convert it, or "
            "correct them: .assign_attrs(units='m s-1')"
        )
    return factor


def kelvin_scale(temperature: xr.DataArray, result: str) -> tuple[float, float]:
    """Scale and offset that turn a temperature into kelvin.

    Raises
    ------
    OptionError
        Its units are missing, or not those of a temperature.
    """
    found = kelvin_conversion(temperature.attrs.get("units"))
    if found is None:
        raise OptionError(
            f"{temperature.name!r} has the units {temperature.attrs.get('units')!r}, but {result} "
            "needs a temperature in kelvin or degrees Celsius; state them, if it is one: "
            ".assign_attrs(units='K')"
        )
    return found


def is_potential(temperature: xr.DataArray) -> bool:
    """True for a potential temperature: by standard name, else by long name, else by name."""
    for key in ("standard_name", "long_name"):
        words = str(temperature.attrs.get(key, "")).lower().replace("_", " ")
        if "temperature" in words:
            return "potential" in words
    return str(temperature.name).lower() in _POTENTIAL


def _has_units(field: xr.DataArray) -> bool:
    return bool(str(field.attrs.get("units") or "").strip())


def _is_known(units: object) -> bool:
    return isinstance(units, str) and conversion_factor(units, units) is not None


def _direction(field: xr.DataArray) -> str | None:
    """The axis of the map that a component is along, if its standard name says so."""
    name = str(field.attrs.get("standard_name", ""))
    found = [axis for axis, words in (("x", _TO_X), ("y", _TO_Y)) if words.search(name)]
    return found[0] if len(found) == 1 else None


def _other_order(u: xr.DataArray, v: xr.DataArray, others: Sequence[xr.DataArray]) -> str:
    """What to do about a component that is none: MetPy's order is (scalar, u, v)."""
    if others:
        last = others[0]
        of_speed = conversion_factor(last.attrs.get("units"), "m s-1") is not None
        if _direction(last) == "y" or _direction(v) == "x" or of_speed:
            return f"the wind comes first: {v.name}, {last.name}, {u.name}"
    return "give the wind as u and v, or correct its attributes"
