"""What cannot be right must be refused, with an error of the contract and never one from inside.

A small wind, or a scalar, is spoilt in one way and given to an operator.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError
from oracle.drawn import Case

SCALARS = ["horizontal_gradient", "gradient_magnitude", "laplacian"]
WINDS = ["divergence", "vorticity", "deformation", "kinematics", "absolute_vorticity"]
NAN, INF = np.nan, np.inf

# Values that no option of this name has.
OPTIONS: dict[str, list[Any]] = {
    "accuracy": [0, 1, 3, 10, -2, 2.5, "2", None, [2], NAN],
    "edge_order": [0, 3, -1, 1.5, "1", None, [1], NAN],
    "boundary": ["wrap", "", ("extend",), (1, 2, 3), {"nowhere": "extend"}, ("periodic", None)],
    "skipna": [True, "both", 1, "one sided"],
    "geometry": ["sphere", fd.Sphere, 5, {}, fd.Sphere(0.0), fd.Sphere(-1.0), fd.Sphere(NAN)],
}
OPTIONS["boundary"] += [True, {"lat": "wrap"}, {"lat": ("periodic", 0.0)}, object, [], {"lat": []}]
OPTIONS["geometry"] += [fd.Curvilinear(dx=0.0, dy=1.0), fd.Curvilinear(dx=NAN, dy=1.0)]
OPTIONS["geometry"] += [fd.Curvilinear(dx=1.0), fd.Curvilinear(dx="1", dy=1.0), fd.Sphere("big")]
OF_GRADIENT: dict[str, list[Any]] = {
    "order": [0, 3, "1", None, 1.5],
    "period": [360.0],  # without a boundary that is periodic
    "coordinate": ["z", 5.0, np.arange(5.0)],
    "dim": ["nowhere", 5, ["lat", "nowhere"], ("nowhere",)],
}
PERIODS = ["x", -1.0, 0.0, NAN, INF, [360.0], np.timedelta64(1, "D"), 3.0, True]


def _replaced(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[xr.DataArray], Any]:
    """With other values of a coordinate."""

    def spoil(field: xr.DataArray) -> xr.DataArray:
        points = change(field[name].values.copy())
        return field.assign_coords({name: (name, points, field[name].attrs)})

    return spoil


def _set(at: int, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(points: np.ndarray) -> np.ndarray:
        points[at] = value
        return points

    return change


FIELDS: dict[str, Callable[[xr.DataArray], Any]] = {
    "NaN in a coordinate": _replaced("lat", _set(2, NAN)),
    "NaN at its end": _replaced("lon", _set(0, NAN)),
    "infinity in a coordinate": _replaced("lat", _set(-1, INF)),
    "a repeated point": _replaced("lat", lambda p: np.r_[p[0], p[:-1]]),
    "a coordinate that turns": _replaced("lat", lambda p: p[[0, 2, 1, 3, 4]]),
    "text": _replaced("lat", lambda p: p.astype(str)),
    "booleans": _replaced("lat", lambda p: p > 20),
    "objects": _replaced("lat", lambda p: np.array([None, *p[1:]], object)),
    "one point": lambda f: f.isel(lat=[0]),
    "no point": lambda f: f.isel(lat=[]),
    "one latitude": lambda f: f.isel(lat=0),
    "no array": lambda f: f.values,
    "nothing": lambda f: None,
    "a name": lambda f: "u",
    "a dataset": lambda f: f.to_dataset(),
    "flags": lambda f: f > 0,
    "words": lambda f: f.astype(str),
}


def _field(name: str) -> xr.DataArray:
    coords = {
        "lat": ("lat", np.array([10.0, 20, 30, 40, 50]), {"units": "degrees_north"}),
        "lon": ("lon", np.array([0.0, 20, 40, 60, 80, 100]), {"units": "degrees_east"}),
    }
    values = np.arange(30.0).reshape(5, 6) ** 1.5
    return xr.DataArray(values, coords, ("lat", "lon"), name, {"units": "m s-1"})


def draw(rng: Random) -> Case:
    how = rng.choice(("option", "field", "gradient", "period", "field of gradient", "wind", "key"))
    operator = rng.choice(SCALARS + WINDS)
    fields = [_field(name) for name in ("uv" if operator in WINDS else "s")]
    options: dict[str, Any] = {}
    also: tuple[type[Exception], ...] = ()
    if how == "option":
        key = rng.choice(list(OPTIONS))
        options[key] = rng.choice(OPTIONS[key])
        words = f"{key}={options[key]!r}"
    elif how == "key":
        options[rng.choice(("acuracy", "axis", "dx"))] = 2
        words, also = str(options), (TypeError,)
    elif how == "wind":
        operator = rng.choice(WINDS)
        words, fields = _spoilt_wind(rng)
    elif how == "field":
        words = rng.choice(list(FIELDS))
        at = rng.randrange(len(fields))
        fields[at] = FIELDS[words](fields[at])
        also = (TypeError,) if words in ("flags", "words", "nothing") else ()
    else:
        operator, fields, options, words = "gradient", [_field("s")], {"dim": "lat"}, how
        if how == "period":
            options |= {"boundary": "periodic", "period": rng.choice(PERIODS)}
        elif how == "gradient":
            chosen = OF_GRADIENT | {k: v for k, v in OPTIONS.items() if k != "geometry"}
            key = rng.choice(list(chosen))
            options[key] = rng.choice(chosen[key])
        else:
            words = rng.choice([key for key in FIELDS if "at its end" not in key])
            fields = [FIELDS[words](fields[0])]
            words += ", gradient"
            also = (TypeError,)
            if "a dataset" in words:
                fields = [_field("s").drop_vars("lat").to_dataset().isel(lat=[])]
        words += f" {options}"

    return Case(
        operator,
        "spoilt",
        "numpy",
        lambda: {"": getattr(op, operator)(*fields, **options)},
        dict,
        1.0,
        lambda: words,
        refused=(FdgradError, *also),
    )


def _spoilt_wind(rng: Random) -> tuple[str, list[Any]]:
    u, v = _field("u"), _field("v")
    made = {
        "other latitudes": v.assign_coords(lat=v.lat + 5),
        "fewer points": v.isel(lat=slice(1, None)),
        "another dimension": v.rename(lat="latv"),
        "a temperature": v.assign_attrs(units="K"),
        "a pressure": v.assign_attrs(units="Pa"),
        "the other component": v.assign_attrs(standard_name="eastward_wind"),
        "dates": v.astype("datetime64[s]"),
        "flags": v > 0,
        "nothing": None,
    }
    words = rng.choice([key for key in made if key not in ("flags", "nothing")])
    return words, [u, made[words]]
