"""Name, units and attributes of a result: only what is true of it is kept."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.units import is_degrees

# Attributes that are as true of a derivative as of its field.
_KEPT = ("cell_methods", "grid_mapping")
# Attributes of values as a file holds them, with what they are where nothing is to be decoded;
# xarray moves them to the encoding when it decodes.
_PACKED = {"scale_factor": 1.0, "add_offset": 0.0, "_Unsigned": None}
_MISSING = {"_FillValue": np.nan, "missing_value": np.nan}


def require_decoded(name: Hashable | None, attrs: Mapping[Any, Any], may_lack: bool = True) -> None:
    """Raise if attributes say that values are packed, or that one stands for missing values.

    So are data that were opened with ``mask_and_scale=False``, which is what rioxarray does.
    A coordinate without gaps, ``may_lack=False``, may name such a value. Dates as digits,
    20000131.5 in "day as %Y%m%d.%f", are no numbers to subtract either.
    """
    if "%Y" in str(attrs.get("units")):
        raise CoordinateError(
            f"{name!r} is in {attrs['units']!r}, dates as digits, whose differences are no time; "
            f"make dates of them: .assign_coords({name}=pandas.to_datetime(….{name}.values"
            ".astype(int).astype(str), format='%Y%m%d')), which leaves hours out, or cdo -r copy"
        )
    if attrs.keys().isdisjoint((*_PACKED, *_MISSING)):
        return
    plain = {**_PACKED, **_MISSING} if may_lack else _PACKED
    found = [key for key in plain if key in attrs and not _is_plain(attrs[key], plain[key])]
    if found:
        said = ", ".join(f"{key} = {attrs[key]}" for key in found)
        held = [f"{key!r}" for key in found]
        raise CoordinateError(
            f"{name!r} is not decoded: its attributes say {said}, so its values are packed or "
            "stand for missing ones; decode its dataset, xr.decode_cf(ds), or open it with "
            "mask_and_scale=True (in rioxarray masked=True); if that was done by hand, delete "
            f"what no longer holds: del ….attrs[{held[0]}]"
        )


def require_points(name: Hashable | None, values: NDArray[Any], units: Any) -> None:
    """Raise unless the values of a coordinate are numbers, and no radians called degrees."""
    if values.dtype.kind not in "iuf":
        raise CoordinateError(
            f"coordinate {name!r} holds {values.dtype}, but a derivative needs numbers or dates; "
            f"{_suggest_points(name, values)}drop it to count in steps (.drop_vars({name!r})), or "
            "name another"
        )
    refuse_radians(name, values, units)


def _suggest_points(name: Hashable | None, labels: NDArray[Any]) -> str:
    """What turns the periods or intervals of pandas, or dates as texts, into points; else ""."""
    first = labels.flat[0] if labels.size else None
    if hasattr(first, "to_timestamp"):
        return f"take their starts, .assign_coords({name}=….indexes[{name!r}].to_timestamp()), or "
    if hasattr(first, "mid"):
        return f"take their middles, .assign_coords({name}=….indexes[{name!r}].mid), or "
    if isinstance(first, str) and re.fullmatch(r"\d{4}-\d\d(-\d\d.*)?", first):
        return f"make dates of texts, .assign_coords({name}=….{name}.astype('datetime64[ns]')), or "
    return ""


def refuse_radians(name: Hashable | None, values: NDArray[Any], units: Any) -> None:
    """Raise for degrees that are surely radians: numpy.deg2rad keeps the attribute ``units``.

    Taken as radians they are whole seconds of arc, or a full or half circle; as degrees they are
    neither.
    """
    is_small = values.size > 2 and values.dtype.kind == "f" and abs(values.flat[-1]) < 6.3
    if not (is_small and units and is_degrees(units)):
        return
    line = values.ravel().astype(np.float64)
    span, step = abs(line[-1] - line[0]), abs(line[1] - line[0])
    turns = np.array([span, span + step]) / np.pi
    is_turn = values.ndim == 1 and np.isin(turns.round(6), (1.0, 2.0)).any()
    if is_turn or (_are_seconds(np.rad2deg(line)) and not _are_seconds(line)):
        raise CoordinateError(
            f"{name!r} has the units {units!r}, but values from {line[0]:g} to {line[-1]:g} that "
            "are radians, as numpy.deg2rad leaves them with the attributes of degrees; turn them "
            f"back: .assign_coords({name}=numpy.rad2deg(….{name})), or say what they are, for a "
            f"derivative per radian: ….{name}.attrs['units'] = 'radian'"
        )


def _are_seconds(degrees: NDArray[np.float64]) -> bool:
    """True if angles are multiples of a second of arc, to the rounding of float64."""
    seconds = degrees * 3600
    return bool((np.abs(seconds - seconds.round()) < 1e-6).all())


def _is_plain(value: Any, plain: Any) -> bool:
    """True if an attribute, a number or an array of some, leaves nothing to decode."""
    try:
        return value is None or bool(np.array_equal(np.ravel(value), [plain], equal_nan=True))
    except TypeError:  # a text, or nothing to compare with
        return False


class Unnamed(str):
    """Stands where a field has no name: messages say what it is, and results call it f."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def choose_name(name: Hashable | None) -> Hashable:
    """Choose the name of a field in those of results; f if it has none."""
    return "f" if name is None or isinstance(name, Unnamed) else name


def name_derivative(name: Hashable | None, per: Hashable, order: int = 1) -> str:
    """Name a derivative: ``dT_dx``, ``d2T_dx2``; a field without a name is f.

    >>> name_derivative("T", "x"), name_derivative(None, "x", 2)
    ('dT_dx', 'd2f_dx2')
    """
    name = choose_name(name)
    return f"d{name}_d{per}" if order == 1 else f"d{order}{name}_d{per}{order}"


def derive_attributes(
    field: Any, units: str | None, long_name: str | None = None
) -> dict[str, Any]:
    """Collect the attributes of a result: those of ``field`` still true, units and long name.

    xarray moves some of them to the encoding when it opens a file with all its coordinates.
    """
    attrs = {**field.encoding, **field.attrs}
    kept: dict[str, Any] = {key: attrs[key] for key in _KEPT if key in attrs}
    if units is not None:
        kept["units"] = units
    if long_name is not None:
        kept["long_name"] = long_name
    return kept


def choose_long_name(attrs: Mapping[Any, Any], name: Hashable | None) -> str:
    """Choose the name of a field in words: long name, standard name or name."""
    words = attrs.get("long_name") or attrs.get("standard_name") or choose_name(name)
    return str(words).replace("_", " ") if "long_name" not in attrs else str(words)


def check_result_name(name: Hashable, field: Any) -> None:
    """Raise if a result of ``field`` would bear the name of one of its coordinates."""
    if name in field.coords:
        raise CoordinateError(
            f"the result is called {name!r}, and so is a coordinate of {field.name!r}; rename the "
            f"coordinate, or drop it: .drop_vars({name!r})"
        )
