"""What a field is, by its units, its standard name and its name; refused where that contradicts
the place in which it was given.

Only contradictions are refused: a vector may be anything from a current to a flux, and many files
say nothing at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence

import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import Unnamed
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid
from fdgrad_dask.grids.units import conversion_factor, kelvin_conversion
from fdgrad_dask.halo.compute import scale
from fdgrad_dask.operators.verticals import require_same_level

_TO_X = re.compile(r"eastward|(^|_)x_")
_TO_Y = re.compile(r"northward|(^|_)y_")
_SCALAR = re.compile(
    r"(^|_)(temperature|pressure|height|altitude|depth|humidity|density|salinity|geopotential|"
    r"speed|direction|fraction|ratio)$"
)
_TURNED = re.compile(r"component (to the|along) (?:east|north|x|y) of ")
_SLOPE = re.compile(r"per metre along [xy]$")  # as `horizontal_gradient` calls what it makes
# Names of potential temperatures: those that mean nothing else, and those that may.
_THETA = re.compile("theta|thta|potential|pot_?temp")
_POTENTIAL = re.compile(r"potential|\bpot\b")
_SHORT_THETA = ("th", "pt", "pot", "tpot", "ptemp")


def match_components(
    u: xr.DataArray, v: xr.DataArray, others: Sequence[xr.DataArray]
) -> tuple[xr.DataArray, xr.DataArray]:
    """``u`` and ``v`` in the unit of ``u``, if they can be the two components of one vector.

    Where one of them has no units, it has those of the other.
    """
    require_same_level(u, v)
    hint, along = _suggest_order(u, v, others), (_find_direction(u), _find_direction(v))
    if along == ("y", "x"):
        raise OptionError(
            f"{u.name!r} is the component along y and {v.name!r} the one along x, as their "
            f"standard_names say; give them the other way around: {v.name}, {u.name}"
        )
    for component, found, needed in zip((u, v), along, "xy", strict=True):
        name = str(component.attrs.get("standard_name", ""))
        if found not in (None, needed):
            raise OptionError(
                f"{component.name!r} is the component along {found}, as its standard_name {name!r} "
                f"says, but the one along {needed} is needed here; {hint}"
            )
        if found is None and _SCALAR.search(name):
            raise OptionError(f"{component.name!r} is {name}, and no component of a vector; {hint}")
        if component.dtype.kind in "mM":
            raise OptionError(
                f"{component.name!r} holds {component.dtype}, and no component of a vector; {hint}"
            )
        if kelvin_conversion(component.attrs.get("units")) is not None:
            raise OptionError(
                f"{component.name!r} is in {component.attrs['units']}: a temperature, and no "
                f"component of a vector; {hint}"
            )
    if not _has_units(u) and _has_units(v):
        return u.assign_attrs(units=v.attrs["units"]), v
    return u, convert_to_unit(u, v, hint)


def choose_components(u: xr.DataArray, v: xr.DataArray, grid: HorizontalGrid) -> str:
    """``"earth"`` or ``"grid"``, what a wind is along: by the geometry, or by standard names."""
    geometry, name = grid.geometry, u.attrs.get("standard_name")
    if not isinstance(geometry, Curvilinear):
        said = {_read_components(component) for component in (u, v)} - {None}
        if grid.is_rotated and said != {"grid"}:
            points = "points east" if said else "does not say whether it points east"
            raise OptionError(
                f"{u.name!r} {points}, but {grid.x.name!r} are longitudes about a rotated pole, "
                "which do not; give the grid its 2-D latitude and longitude as coordinates, or the "
                "grid mapping with its pole, or, if the wind is along the grid, give it the "
                "standard_name x_wind"
            )
        return "earth"
    along = geometry.components
    if along not in (None, "earth", "grid"):
        raise OptionError(f"components is {along!r}; choose 'earth', 'grid', or None")
    along = along or read_components(u, v) or (None if grid.is_east else "grid")
    if along is None:
        raise OptionError(
            f"{u.name!r} lies on a curvilinear grid, and its standard_name {name!r} does not say "
            "whether it is to the east or along the grid; name it eastward_wind or x_wind, or give "
            "geometry=Curvilinear(components='earth') or 'grid'"
        )
    if along == "earth" and not grid.is_east:
        raise OptionError(
            f"{u.name!r} points east, but of its grid only dx and dy are known; give the angle of "
            "its x axis from east too, angle=0 where x is east, or say components='grid'"
        )
    if along == "grid":
        require_known_axes(u, grid)
    return along


def require_known_axes(u: xr.DataArray, grid: HorizontalGrid) -> None:
    """Raises if it is by order alone that one dimension is x and the other y."""
    if not grid.is_certain:
        raise OptionError(
            f"{u.name!r} is along the x of its grid, but which of {grid.y.dim!r} and "
            f"{grid.x.dim!r} is x cannot be inferred; rename them to x and y, or give each "
            "a coordinate with the attribute axis, 'X' or 'Y'"
        )


def read_components(u: xr.DataArray, v: xr.DataArray) -> str | None:
    """``"earth"`` or ``"grid"``, what both components say to be along; None if they do not."""
    said = {_read_components(component) for component in (u, v)} - {None}
    if len(said) > 1:
        raise OptionError(
            f"{u.name!r} and {v.name!r} have the standard_names {u.attrs.get('standard_name')!r} "
            f"and {v.attrs.get('standard_name')!r}, one to the east or north and one along the "
            "grid; turn one of them, or say geometry=Curvilinear(components=…)"
        )
    return said.pop() if said else None


def is_eastward(u: xr.DataArray) -> bool:
    """True if a component says that it points to the east or north."""
    return _read_components(u) == "earth"


def is_along_grid(field: xr.DataArray, *, is_on_face: bool = False) -> bool:
    """True if a field in the place of a scalar says that it is a component along its grid.

    Raises OptionError for a speed, and for what lies on the faces of cells, where nothing says it.
    """
    attrs = field.attrs
    said = _read_components(field) or _SLOPE.search(str(attrs.get("long_name", "")))
    is_speed = conversion_factor(attrs.get("units"), "m s-1") is not None
    if said is None and (is_speed or is_on_face) and not attrs.get("standard_name"):
        where = "lies on the faces of cells" if is_on_face else f"is a speed in {attrs['units']}"
        raise OptionError(
            f"{field.name!r} {where}, and nothing says whether it is a component along the grid, "
            "whose sign changes across a fold; give it a standard_name, such as x_wind, "
            "eastward_wind or wind_speed"
        )
    return said not in (None, "earth")


def _read_components(component: xr.DataArray) -> str | None:
    # A GRIB message says it itself; readers name the wind eastward all the same.
    flag = component.attrs.get("GRIB_uvRelativeToGrid")
    if flag is not None:
        return "grid" if int(flag) else "earth"
    name = str(component.attrs.get("standard_name", ""))
    if not name:  # as `rotate_to_earth` and `rotate_to_grid` call what has no standard name
        turned = _TURNED.match(str(component.attrs.get("long_name", "")))
        return turned and ("earth" if turned[1] == "to the" else "grid")
    if name.startswith(("x_", "y_", "grid_")) or "_x_" in name or "_y_" in name:
        return "grid"
    return "earth" if "eastward" in name or "northward" in name else None


def convert_to_unit(u: xr.DataArray, v: xr.DataArray, hint: str = "") -> xr.DataArray:
    """``v`` in the unit of ``u``, where both say theirs; lazy if it is."""
    unit, other = (one.attrs["units"] if _has_units(one) else None for one in (u, v))
    if any(conversion_factor(one, str(one)) is None for one in (unit, other)):  # unknown
        return v
    factor = conversion_factor(other, str(unit))
    if factor is None:
        raise OptionError(
            f"{u.name!r} is in {unit} and {v.name!r} in {other}, which are not of one kind, but "
            f"the components of a vector have one unit; {hint or 'give both in the same'}"
        )
    if math.isclose(factor, 1, rel_tol=1e-5):
        return v
    return v.copy(data=scale(v.data, factor)).assign_attrs(units=unit)


def find_speed_factor(wind: xr.DataArray, result: str) -> float:
    """The factor from the unit of a wind to m s-1; 1 if it has no units."""
    units = wind.attrs.get("units")
    factor = conversion_factor(units, "m s-1") if _has_units(wind) else 1.0
    if factor is None:
        raise OptionError(
            f"{wind.name!r} has the units {units!r}, but {result} needs a speed; convert it, or "
            "correct them: .assign_attrs(units='m s-1')"
        )
    return factor


def find_kelvin_scale(temperature: xr.DataArray, result: str) -> tuple[float, float]:
    """Scale and offset that turn a temperature into kelvin."""
    units = temperature.attrs.get("units")
    found = kelvin_conversion(units)
    if found is None:
        raise OptionError(
            f"{temperature.name!r} has the units {units!r}, but {result} needs a temperature in "
            "kelvin or degrees Celsius; state them, if it is one: .assign_attrs(units='K')"
        )
    return found


def is_potential(temperature: xr.DataArray) -> bool | None:
    """True for a potential temperature: by standard name, else by long name, else by name.

    None where nothing says which temperature it is: no words, and no name.

    Raises OptionError if a name such as theta contradicts the words, which xarray's arithmetic
    copies from the temperature to what is computed from it.
    """
    name = str(temperature.name).lower()
    is_theta = not isinstance(temperature.name, Unnamed) and bool(_THETA.search(name))
    for key in ("standard_name", "long_name"):
        words = str(temperature.attrs.get(key, "")).lower().replace("_", " ")
        is_said = _POTENTIAL.search(words) is not None
        if "temperature" not in words and not (is_said and "temp" in words):
            continue
        if is_theta and not is_said:
            raise OptionError(
                f"{temperature.name!r} is a potential temperature by its name, but a temperature "
                f"by its {key}, {temperature.attrs[key]!r}; if it is potential, correct that: "
                ".assign_attrs(standard_name='air_potential_temperature'), and if not, rename it: "
                ".rename('t')"
            )
        return is_said
    if isinstance(temperature.name, Unnamed):
        return None
    return is_theta or name in _SHORT_THETA


def _has_units(field: xr.DataArray) -> bool:
    return bool(str(field.attrs.get("units") or "").strip())


def _find_direction(field: xr.DataArray) -> str | None:
    """The axis of the map that a component is along, if its standard name says so."""
    name = str(field.attrs.get("standard_name", ""))
    found = [axis for axis, words in (("x", _TO_X), ("y", _TO_Y)) if words.search(name)]
    return found[0] if len(found) == 1 else None


def _suggest_order(u: xr.DataArray, v: xr.DataArray, others: Sequence[xr.DataArray]) -> str:
    """What to do about a component that is none: MetPy's order is (scalar, u, v)."""
    if others:
        last = others[0]
        of_speed = conversion_factor(last.attrs.get("units"), "m s-1") is not None
        if _find_direction(last) == "y" or _find_direction(v) == "x" or of_speed:
            return f"the wind comes first: {v.name}, {last.name}, {u.name}"
    return "give the wind as u and v, or correct its attributes"


def name_components(u: xr.DataArray, v: xr.DataArray) -> tuple[Hashable, Hashable]:
    """Names for results that replace the components: their own, or u and v if these do not differ.

    Components that were selected from one array have its name.
    """
    has_names = not any(one.name is None or isinstance(one.name, Unnamed) for one in (u, v))
    return (u.name, v.name) if has_names and u.name != v.name else ("u", "v")
