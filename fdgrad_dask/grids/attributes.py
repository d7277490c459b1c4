"""Name, units and attributes of a result: only what is true of it is kept."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from fdgrad_dask.errors import CoordinateError

# Attributes that are as true of a derivative as of its field.
_KEPT = ("cell_methods", "grid_mapping")


def name_derivative(name: Hashable | None, per: Hashable, order: int = 1) -> str:
    """Name a derivative: ``dT_dx``, ``d2T_dx2``; a field without a name is f.

    >>> name_derivative("T", "x"), name_derivative(None, "x", 2)
    ('dT_dx', 'd2f_dx2')
    """
    name = "f" if name is None else name
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
    words = attrs.get("long_name") or attrs.get("standard_name") or name or "f"
    return str(words).replace("_", " ") if "long_name" not in attrs else str(words)


def check_result_name(name: Hashable, field: Any) -> None:
    """Raise if a result of ``field`` would bear the name of one of its coordinates."""
    if name in field.coords:
        raise CoordinateError(
            f"the result is called {name!r}, and so is a coordinate of {field.name!r}; rename the "
            f"coordinate, or drop it: .drop_vars({name!r})"
        )
