"""What decides a result, key by key: two runs that agree in all of it compute the same.

Steps, source, layout, labels and the versions of what computes; not where it is computed, nor
what is drawn of it. So a run that began on a laptop may go on on a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.pipeline.config import Config
from fdgrad_dask.pipeline.layout import Layout

_COMPUTING = ("fdgrad_dask", "jax", "jaxlib", "numpy")
_WITH_IT = ("xarray", "dask", "distributed", "zarr", "numcodecs")
# What decides nothing, or shows in the layout.
_ELSEWHERE = {"source": {"chunks"}, "target": {"path", "regions", "chunks", "shards"}}


def versions() -> dict[str, str]:
    """Of all that a result may come to depend on."""
    return {name: version(name) for name in (*_COMPUTING, *_WITH_IT)}


def identity(
    config: Config, layout: Layout, source: xr.Dataset, read: set[str], result: xr.Dataset
) -> dict[str, str]:
    """Every key with a short value, long ones hashed."""
    told: dict[str, Any] = {}
    sections = config.model_dump(include={"source", "steps", "target"}, exclude=_ELSEWHERE)
    told.update(_flat("", sections))
    told.update(_flat("layout.chunks", layout.chunks))
    if layout.shards != layout.chunks:
        told.update(_flat("layout.shards", layout.shards))
    for name in sorted(read):
        told[f"input {name}"] = _described(source.variables[name])
    labels = {str(name): coord.variable for name, coord in result.coords.items()}
    for name, variable in sorted(labels.items()):
        told[f"coordinate {name}"] = _described(variable)
    told |= {f"version of {name}": version(name) for name in _COMPUTING}
    return {key: _short(value) for key, value in told.items()}


def digest(keys: Mapping[str, str]) -> str:
    """One number for all of it."""
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The keys in which two differ, with both values."""
    keys = sorted(before.keys() | now.keys())
    return [
        f"{key} (was {before.get(key, 'absent')}, is {now.get(key, 'absent')})"
        for key in keys
        if before.get(key) != now.get(key)
    ]


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Keys as a message names them: ``steps[0].options.dim``."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif prefix == "steps":
        for number, inner in enumerate(value):
            yield from _flat(f"{prefix}[{number}]", inner)
    else:
        yield prefix, value


def _described(variable: xr.Variable) -> list[Any]:
    held = variable.values if variable._in_memory else None
    content = None if held is None else _hash(_bytes(held))
    return [variable.dims, variable.shape, str(variable.dtype), variable.attrs, content]


def _bytes(values: np.ndarray[Any, Any]) -> bytes:
    return str(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return text if len(text) <= 60 else _hash(text.encode())
