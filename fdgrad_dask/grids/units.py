"""Algebra of units: quotients, conversion factors, temperatures in kelvin.

pint does the algebra, with the words of files added to it. Results are strings that UDUNITS reads
as the same unit.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

_lock = threading.Lock()

# Words in files that pint does not know, or takes for something else (its mb is a millibarn).
# Derivatives need differences: those of degrees Celsius are kelvins, those of degrees Fahrenheit
# are degrees Rankine. A degree north and a degree east are the same angle.
_WORDS = {
    **dict.fromkeys(("mb", "MB", "mbs"), "millibar"),
    **dict.fromkeys(("gpdm", "gpdam", "dagpm"), "decameter"),
    **dict.fromkeys(("gpm", "Gpm", "GPM"), "meter"),
    **dict.fromkeys(("kts", "KT", "KTS"), "knot"),
    **dict.fromkeys(("degrees", "°"), "degree"),
    **dict.fromkeys(("celsius", "centigrade", "°C", "℃"), "kelvin"),
    **dict.fromkeys(("fahrenheit", "°F", "℉"), "degR"),
}
for _degree in ("deg", "deg_", "degree", "degree_", "degrees", "degrees_", "delta_degree_"):
    for _word, _names in {
        "kelvin": "C K celsius Celsius centigrade Centigrade",
        "degR": "F fahrenheit Fahrenheit",
        "degree": "north south east west true N S E W",
    }.items():
        _WORDS |= dict.fromkeys((_degree + name for name in _names.split()), _word)
# The same in two words; with an exponent, as in "degree K-1", it is an angle per kelvin.
_PAIRS = re.compile(
    r"\bdeg(?:ree)?s?(?:\. ?| )(C|F|K|celsius|centigrade|fahrenheit|kelvin|north|south|east|west)\b"
    r"(?![-+\d^*])",
    re.IGNORECASE,
)
_POWER = re.compile(r"(?<=[A-Za-z])(?<!\d[eE])(?=-?\d)")  # as UDUNITS writes it: s-1
_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")  # a product, as in m.s-1, but not of digits
_GEOPOTENTIAL = re.compile(r"\bgeopotential[ _](?=(deca|kilo)?met(er|re)s?\b)", re.IGNORECASE)
# What pint takes for something else: a coulomb, a constant.
_AMBIGUOUS = {"C", "F", "a", "sigma"}
# Units on which pint and UDUNITS agree, and how UDUNITS spells them; tests compare the two.
_UNITS = """
meter=m micron=um second=s ampere=A candela=cd gram=g mole=mol kelvin=K radian=rad degree=degree
arcminute=arcmin arcsecond=arcsec steradian=sr percent=% ppm=ppm minute=min hour=h day=day
week=week month=month year=year common_year=common_year gregorian_year=gregorian_year hertz=Hz
newton=N dyne=dyne joule=J erg=erg watt=W pascal=Pa bar=bar standard_atmosphere=atm torr=torr
inch_Hg=inch_Hg knot=knot sverdrup=sverdrup sievert=Sv galileo=Gal liter=l hectare=ha
metric_ton=tonne pound=lb inch=inch foot=ft yard=yd mile=mile fathom=fathom
nautical_mile=nautical_mile degree_Rankine=degR poise=poise stokes=St katal=kat gray=Gy lumen=lm
lux=lx langley=langley coulomb=C volt=V ohm=ohm siemens=S farad=F weber=Wb henry=H tesla=T
angstrom=angstrom
"""
_PREFIXES = """
= exa=E peta=P tera=T giga=G mega=M kilo=k hecto=h deca=da deci=d centi=c milli=m micro=u nano=n
pico=p femto=f atto=a
"""
_SPELLED, _PREFIXED = (dict(one.split("=") for one in text.split()) for text in (_UNITS, _PREFIXES))


@cache
def _make_registry() -> Any:
    import pint

    return pint.UnitRegistry(
        preprocessors=[
            lambda units: _POWER.sub("**", units),
            lambda units: units.replace("%", "percent"),
        ]
    )


def _registry() -> Any:
    """Return a registry of our own, made when a unit is first asked for, by one thread."""
    with _lock:
        return _make_registry()


def divide_units(units: Any, per: Any, power: int = 1) -> str | None:
    """Divide ``units`` by ``per`` to the ``power``, spelled as in UDUNITS; None if unknown.

    >>> divide_units("K", "s"), divide_units("degC", "km", 2)
    ('K s-1', 'K km-2')
    >>> divide_units("m s**-1", "degrees_north")
    'm s-1 degree-1'
    >>> divide_units("m", "m"), divide_units("0.001", "m"), divide_units("K", "(3600 days)")
    ('1', '0.001 m-1', 'K (3600 days)-1')
    """
    if not isinstance(units, str) or not isinstance(per, str) or not units.strip():
        return None
    return _divide_units(units, per, power)


@cache
def _divide_units(units: str, per: str, power: int) -> str | None:
    if per.startswith("("):  # a unit such as a decade of some calendar, which stays as it is
        alone = divide_units(units, "1")
        return None if alone is None else f"{alone} {per}-{power}"
    divisor = _parse_exponents(per.split(" since ")[0])
    if divisor is None:
        return None
    below = {unit: -exponent * power for unit, exponent in divisor.items()}
    factor, rest = _split_factor(units)
    above = _parse_exponents(rest)
    if above is None:
        is_simple = not re.search(r"[/()]| since ", units)
        return f"{units.strip()} {_write_units(below)}" if is_simple else None
    written = _write_units({u: above.get(u, 0) + below.get(u, 0) for u in {**above, **below}})
    return " ".join([factor] * bool(factor) + [written] * (written != "1" or not factor))


def conversion_factor(units: Any, base: str) -> float | None:
    """Return how many ``base`` one of ``units`` is; None if they are of different kinds.

    >>> conversion_factor("km", "m"), conversion_factor("K", "m")
    (1000.0, None)
    """
    return _conversion_factor(units, base) if isinstance(units, str) else None


def is_degrees(units: Any) -> bool:
    """True for degrees in any spelling, of any direction, and where no unit is given.

    >>> is_degrees("Degrees"), is_degrees("degrees_north "), is_degrees(None), is_degrees("rad")
    (True, True, True, False)
    """
    spelt = "" if units is None else str(units).strip().lower()
    return not spelt or conversion_factor(spelt, "degree") == 1.0


@cache
def _conversion_factor(units: str, base: str) -> float | None:
    (factor, rest), (other_factor, other_rest) = _split_factor(units), _split_factor(base)
    above, below = _parse_exponents(rest), _parse_exponents(other_rest)
    if above is None or below is None:
        return None
    registry = _registry()
    one, other = (registry.Unit(registry.UnitsContainer(e)) for e in (above, below))
    if not one.is_compatible_with(other):
        return None
    return float(factor or 1) / float(other_factor or 1) * float(registry.convert(1.0, one, other))


def kelvin_conversion(units: Any) -> tuple[float, float] | None:
    """Return scale and offset from a unit of temperature to kelvin; None for other units.

    >>> kelvin_conversion("degC"), kelvin_conversion("deg K"), kelvin_conversion("m")
    ((1.0, 273.15), (1.0, 0.0), None)
    """
    if not isinstance(units, str):
        return None
    match = re.fullmatch(
        r"(?:°|deg(?:ree)?s?[_. ]*)?(C|F|celsius|centigrade|fahrenheit)|([℃℉])",
        units.strip(),
        re.IGNORECASE,
    )
    if match:
        is_celsius = (match[1] or match[2]).lower() not in ("f", "fahrenheit", "℉")
        return (1.0, 273.15) if is_celsius else (5 / 9, 459.67 * 5 / 9)
    scale = conversion_factor(units, "K")
    if scale is None or re.search("C|F|celsius|centigrade|fahrenheit", units):
        return None
    return scale, 0.0


def are_different(one: str, other: str) -> bool:
    """Whether two units are known to be different; what cannot be parsed may be the same.

    >>> are_different("m s**-1", "m/s"), are_different("psu", "1e-3"), are_different("K", "degC")
    (False, False, True)
    >>> are_different("hours since 2000-01-01", "hours since 2000-01-02")
    True
    """
    if one == other or " since " in f"{one}{other}":
        return one != other
    if to_pint(one) is None or to_pint(other) is None:
        return False
    factor = conversion_factor(one, other)
    is_same = factor is not None and math.isclose(factor, 1)
    return not is_same or kelvin_conversion(one) != kelvin_conversion(other)


def to_pint(units: str) -> str | None:
    """Spell a unit in words that every registry of pint knows; None if it is unknown.

    >>> to_pint("m s-1")
    'meter ** 1 * second ** -1'
    """
    exponents = _parse_exponents(units)
    if exponents is None:
        return None
    return " * ".join(f"{name} ** {exponent:g}" for name, exponent in exponents.items())


def _split_factor(units: str) -> tuple[str, str]:
    """Split a unit into a leading number and the rest."""
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(.*)", units)
    if not match or float(match[1]) == 1:
        return "", units
    return match[1], match[2] or "1"


@cache
def _parse_exponents(units: str) -> dict[str, float] | None:
    """Parse units to {unit: exponent} in the order of the string; None if a word is ambiguous."""
    text = _PAIRS.sub(lambda pair: f"deg_{pair[1].lower()}", units.strip())
    text = re.sub(r"\bdeg_([cfk])\b", lambda word: f"deg_{word[1].upper()}", text)
    text = _DOT.sub(" ", _GEOPOTENTIAL.sub("", text))
    if _AMBIGUOUS & set(re.findall(r"[A-Za-z_°]+", text)):
        return None
    registry = _registry()
    words = re.sub(r"[A-Za-z_°℃℉]+", lambda word: _to_pint_word(word[0]), text)
    try:
        exponents: dict[str, float] = dict(registry.Unit(words)._units)
        names = [registry.parse_unit_name(name)[0] for name in exponents]
    except Exception:  # pint raises some ten classes, among them those of Python's tokenizer
        return None
    if any(prefix not in _PREFIXED or base not in _SPELLED for prefix, base, _ in names):
        return None
    return exponents


def _to_pint_word(word: str) -> str:
    """Translate a word for pint. As in UDUNITS, case matters for symbols but not for names."""
    lower = word.lower() if len(word) > 3 else word
    for known in (word, lower):
        if known in _WORDS:
            return _WORDS[known]
    return word if _registry().parse_unit_name(word) else lower


def _write_units(exponents: Mapping[str, float]) -> str:
    """Write {unit: exponent} as a UDUNITS string, positive exponents first."""
    parts = []
    for above in (True, False):
        for unit, exponent in exponents.items():
            if exponent and (exponent > 0) == above:
                prefix, base, _ = _registry().parse_unit_name(unit)[0]
                symbol = _SPELLED[base]
                symbol = (_PREFIXED[prefix] if len(symbol) < 4 else prefix) + symbol
                parts.append(symbol + ("" if exponent == 1 else f"{exponent:g}"))
    return " ".join(parts) or "1"
