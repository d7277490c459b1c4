"""What decides a result, key by key: two runs that agree in all of it compute the same.

Steps, source, layout, labels and the versions of what computes; not where it is computed, nor
what is drawn of it. So a run that began on a laptop may go on on a cluster.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any

import xarray as xr

from fdgrad_dask.pipeline.config.redaction import scrub
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.config.section import SAMPLE

_COMPUTING = ("fdgrad_dask", "jax", "jaxlib", "numpy")
_WITH_IT = ("xarray", "dask", "distributed", "zarr", "numcodecs")
_VERSION = "version of "
LOOKED_AT = ("layout.", "input ", "coordinate ", _VERSION)  # what the source decides, or we
# How stored numbers become values; the rest of an encoding decides nothing.
_DECODING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "units", "calendar")
# What decides nothing, or shows in the layout.
_ELSEWHERE = {"source": {"chunks"}, "target": {"path", "regions", "chunks", "shards", "extend"}}


@cache
def version(package: str) -> str:
    """Of what is installed; to find it reads and parses a file."""
    return metadata.version(package)


def versions() -> dict[str, str]:
    """Of all that a result may come to depend on."""
    return {name: version(name) for name in (*_COMPUTING, *_WITH_IT)}


def identity(
    config: Config,
    chunks: Mapping[str, int],
    shards: Mapping[str, int],
    source: xr.Dataset,
    read: set[str],
    result: xr.Dataset,
) -> dict[str, str]:
    """Every key with a short value, long ones hashed."""
    keys: dict[str, Any] = dict(of_config(config))
    keys.update(_flat("layout.chunks", chunks))
    if shards != chunks:
        keys.update(_flat("layout.shards", shards))
    labels = {str(name) for name, held in source.variables.items() if held._in_memory}
    for name in sorted(read | labels):
        keys[f"input {name}"] = _described(source.variables[name])
    for name in sorted(map(str, result.coords)):
        keys[f"coordinate {name}"] = _described(result.variables[name])
    keys |= {f"{_VERSION}{name}": version(name) for name in _COMPUTING}
    return {key: _short(value) for key, value in keys.items()}


def of_config(config: Config) -> dict[str, str]:
    """Those of the keys that stand in the file; paths are relative to the folder of the target.

    So a folder with source and target may move. Keys to a store may change: they are no part of it.
    Beside a bucket there is no path of this machine.
    """
    deciding = {"source", "steps", "target", *(["grid"] if config.grid else [])}
    sections = config.model_dump(include=deciding, exclude=_ELSEWHERE)
    beside = os.path.dirname(config.target.path)
    if not config.source.coordinates:
        del sections["source"]["coordinates"]
    for section in filter(None, [sections["source"], sections["source"].get("coordinates")]):
        section["path"] = [
            path
            if "://" in path + beside or path.startswith(SAMPLE)
            else os.path.relpath(path, beside)
            for path in section["path"]
        ]
    return {key: _short(value) for key, value in _flat("", sections)}


def digest(keys: Mapping[str, str]) -> str:
    """One number for all of it."""
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def without_versions(keys: Mapping[str, str], *, but_ours: bool = False) -> dict[str, str]:
    """What a finished target is compared by: it stays what it is when a package is updated.

    What is added to it has the same bits by any NumPy and JAX, but not by any ``fdgrad_dask``,
    whose formulas may have been corrected.
    """
    kept = f"{_VERSION}fdgrad_dask" if but_ours else None
    return {
        key: value for key, value in keys.items() if key == kept or not key.startswith(_VERSION)
    }


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
    content = None
    if held is not None:
        is_object = held.dtype.hasobject
        content = _hash(str(held.tolist()).encode() if is_object else held.tobytes())
    packing = {key: variable.encoding[key] for key in _DECODING if key in variable.encoding}
    return [variable.dims, variable.shape, str(variable.dtype), variable.attrs, packing, content]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    # What came from the environment is written by no value.
    return text if len(text) <= 60 and scrub(text) == text else _hash(text.encode())
