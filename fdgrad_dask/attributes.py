"""Name, units and attributes of a result: worked out, or left off; never copied unseen.

The algebra of units is pint's, with the words that cf-xarray teaches it; what comes out is a
string that UDUNITS reads.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any

import pint


def _registry() -> Any:
    """cf-xarray's units, without making them those of the whole application.

    Its import does that; MetPy and others would then meet units that are not theirs.
    """
    before = pint.application_registry.get()
    from cf_xarray.units import units

    pint.set_application_registry(before)
    return units


registry = _registry()

# What holds for a derivative as it held for the field.
KEPT = ("cell_methods", "grid_mapping")

# Words that pint does not know or UDUNITS does not read. A difference of degrees Celsius is one
# of kelvins; a degree north and a degree east are the same angle.
_WORDS = {
    **dict.fromkeys(("degC", "deg_C", "degreeC", "degreesC", "Celsius", "celsius", "°C"), "kelvin"),
    **dict.fromkeys(("degree_C", "degrees_C", "degree_Celsius", "degrees_Celsius"), "kelvin"),
    **dict.fromkeys(("degree_celsius", "degrees_celsius"), "kelvin"),
}
for _side in ("north", "south", "east", "west", "N", "S", "E", "W", "true"):
    _WORDS |= dict.fromkeys((f"degree_{_side}", f"degrees_{_side}"), "degree")
    _WORDS |= dict.fromkeys((f"degree{_side}", f"degrees{_side}"), "degree")
# What pint takes for something else: a coulomb, a constant.
_AMBIGUOUS = {"C", "sigma"}
_SYMBOLS = {
    "micron": "um",
    "nautical_mile": "nautical_mile",
    "degree": "degree",
    "day": "day",
    "year": "year",
    "knot": "knot",
    "sverdrup": "sverdrup",
    "degree_Fahrenheit": "degF",
}


def quotient(units: Any, per: Any, power: int = 1) -> str | None:
    """``units`` over ``per`` to the ``power``, as UDUNITS writes it; None if it cannot be said.

    >>> quotient("K", "s"), quotient("m s**-1", "degrees_north"), quotient("degC", "km", 2)
    ('K s-1', 'm s-1 degree-1', 'K km-2')
    >>> quotient("m", "m"), quotient("0.001", "m"), quotient("K", "(3600 days)")
    ('1', '0.001 m-1', 'K (3600 days)-1')
    """
    if not isinstance(units, str) or not isinstance(per, str) or not units.strip():
        return None
    return _quotient(units, per, power)


@cache
def _quotient(units: str, per: str, power: int) -> str | None:
    if per.startswith("("):  # a length of its own, as a decade of some calendar: not to be merged
        alone = quotient(units, "1")
        return None if alone is None else f"{alone} {per}-{power}"
    below = _exponents(per.split(" since ")[0])
    if below is None:
        return None
    factor, rest = _factor(units)
    above = _exponents(rest)
    if above is None:
        simple = not re.search(r"[/()]| since ", units)
        return (
            f"{units.strip()} {_written({k: -v * power for k, v in below.items()})}"
            if simple
            else None
        )
    for unit, exponent in below.items():
        above[unit] = above.get(unit, 0) - exponent * power
    written = _written(above)
    return " ".join(
        part for part in (factor, written if written != "1" or not factor else "") if part
    )


def ratio(units: Any, base: str) -> float | None:
    """How many ``base`` there are in one of ``units``; None if they are not of one kind.

    >>> ratio("km", "m"), ratio("K", "m")
    (1000.0, None)
    """
    return _ratio(units, base) if isinstance(units, str) else None


@cache
def _ratio(units: str, base: str) -> float | None:
    if _exponents(units) is None:
        return None
    unit = registry.Unit(units)
    if not unit.is_compatible_with(base):
        return None
    return float(registry.convert(1.0, unit, base))


def _factor(units: str) -> tuple[str, str]:
    """A leading number, and what follows it."""
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(.*)", units)
    if not match or float(match[1]) == 1:
        return "", units
    return match[1], match[2] or "1"


def _exponents(units: str) -> dict[str, float] | None:
    """Unit → exponent, in the order of the string; None if pint does not know a word."""
    if _AMBIGUOUS & set(re.findall(r"[A-Za-z_°]+", units)):
        return None
    words = re.sub(r"[A-Za-z_°]+", lambda word: _WORDS.get(word[0], word[0]), units)
    try:
        container: Any = registry.Unit(words)._units
        return dict(container)
    except Exception:  # pint raises some ten classes, among them those of Python's tokenizer
        return None


def _written(exponents: Mapping[str, float]) -> str:
    """The UDUNITS string: what is above the line first."""
    parts = []
    for above in (True, False):
        for unit, exponent in exponents.items():
            if exponent and (exponent > 0) == above:
                symbol = _SYMBOLS.get(unit) or registry.get_symbol(unit).replace("µ", "u")
                parts.append(symbol + ("" if exponent == 1 else f"{exponent:g}"))
    return " ".join(parts) or "1"


def derivative_name(name: Hashable | None, per: Hashable, order: int = 1) -> str:
    """``dT_dx``, ``d2T_dx2``; a field without a name is f.

    >>> derivative_name("T", "x"), derivative_name(None, "x", 2)
    ('dT_dx', 'd2f_dx2')
    """
    name = "f" if name is None else name
    return f"d{name}_d{per}" if order == 1 else f"d{order}{name}_d{per}{order}"


def derived(field: Any, units: str | None, long_name: str | None = None) -> dict[str, Any]:
    """The attributes of a result: those of ``field`` still true, its units and its long name.

    xarray moves some of them to the encoding when it opens a file with all its coordinates.
    """
    attrs = {**field.encoding, **field.attrs}
    kept: dict[str, Any] = {key: attrs[key] for key in KEPT if key in attrs}
    if units is not None:
        kept["units"] = units
    if long_name is not None:
        kept["long_name"] = long_name
    return kept


def title(attrs: Mapping[Any, Any], name: Hashable | None) -> str:
    """What a field is called in words: long name, standard name or name."""
    words = attrs.get("long_name") or attrs.get("standard_name") or name or "f"
    return str(words).replace("_", " ") if "long_name" not in attrs else str(words)
