"""Which operators to begin with on a dataset: what `fdgrad init` puts into a config."""

from __future__ import annotations

from typing import NamedTuple

import xarray as xr

from fdgrad_dask.operators.overview import _failure, _Known, _why_not, _winds, list_fields


class Suggestion(NamedTuple):
    """An operator, the names of its fields, and the dimension if it needs one."""

    operator: str
    inputs: tuple[str, ...]
    dim: str | None = None


def suggest_operators(dataset: xr.Dataset) -> list[Suggestion]:
    """The vorticity of every wind, then one derivative of every other field with a dimension.

    That is the length of its gradient where its horizontal grid is recognised, else the derivative
    along the first axis that has a coordinate. Like the overview this reads no values.
    """
    fields = [known for known in list_fields(dataset) if known.field.dtype.kind in "fc"]
    winds = [pair for pair in _winds(fields) if len(pair) == 2]
    found = [
        Suggestion("vorticity", (u.name, v.name))
        for u, v in winds
        if _why_not("vorticity", [u, v], dataset) is None
    ]
    taken = {known.name for pair in winds for known in pair}
    kinds: dict[object, tuple[str, str | None] | None] = {}
    for known in fields:
        if known.name not in taken:
            if known.kind not in kinds:  # fields of one kind get the answer of the first of them
                kinds[known.kind] = _derivative(known, dataset)
            if (chosen := kinds[known.kind]) is not None:
                found.append(Suggestion(chosen[0], (known.name,), chosen[1]))
    return found


def _derivative(known: _Known, dataset: xr.Dataset) -> tuple[str, str | None] | None:
    if _why_not("gradient_magnitude", [known], dataset) is None:
        return "gradient_magnitude", None
    dims = [dim for dim in known.field.dims if dim in known.field.coords]
    usable = (str(dim) for dim in dims if _failure("gradient", [known], dim) is None)
    return next((("gradient", dim) for dim in usable), None)
