"""Where the values of a field are, for the overview; none are loaded to say so."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.halo.compute import is_dask


def describe_data(field: xr.DataArray) -> str:
    """Say where the values are, without loading any."""
    data: Any = field.variable._data
    if not is_dask(data):
        stored = field.encoding.get("preferred_chunks") if _is_unread(data) else None
        return _kind(data) + (f", stored in chunks of {_sizes(stored, field)}" if stored else "")
    chunks = ", ".join(str(sizes[0]) for sizes in data.chunks)
    number = int(np.prod(data.numblocks))
    return f"dask of {_kind(data._meta)}, {number} chunk{'s' * (number > 1)} of ({chunks})"


def _is_unread(data: Any) -> bool:
    return type(data).__module__.startswith("xarray.")


def _sizes(chunks: Mapping[Hashable, int | tuple[int, ...]], field: xr.DataArray) -> str:
    """The largest chunk along each dimension."""
    sizes = [chunks.get(dim, n) for dim, n in field.sizes.items()]
    return f"({', '.join(str(max(n) if isinstance(n, tuple) else n) for n in sizes)})"


def _kind(data: Any) -> str:
    if is_jax(data):
        try:
            return f"JAX on {', '.join(sorted(map(str, data.devices())))}"
        except Exception:  # a traced array is on no device yet
            return "JAX, traced"
    if _is_unread(data):
        return "not loaded"
    return "NumPy" if type(data) is np.ndarray else f"{type(data).__module__}.{type(data).__name__}"
