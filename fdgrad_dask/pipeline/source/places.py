"""From a path of the config to the files that it names, here or behind a URL, and their format."""

from __future__ import annotations

import glob
import os
from importlib.util import find_spec
from typing import Any

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.section import SAMPLE
from fdgrad_dask.pipeline.config.source import Stored
from fdgrad_dask.pipeline.source import remote, snapshots

_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf", ".h5", ".hdf5")


def files_of(source: Stored) -> list[str]:
    """Every file, folder or URL of a source, patterns and samples replaced by what they name."""
    return [file for path in source.path for file in _named(path, source.storage_options)]


def format_of(file: str, source: Stored) -> str:
    """What a file is, by its name and what it looks like."""
    if source.format != "auto":
        return source.format
    name = file.rstrip("/").lower()
    if source.branch or source.tag or source.snapshot or name.endswith(".icechunk"):
        return "icechunk"
    if name.endswith(".json"):
        return "kerchunk"
    if remote.is_url(file):
        return "netcdf" if name.endswith(_NETCDF) else "zarr"
    if os.path.isdir(file):
        return "icechunk" if snapshots.is_repository(os.listdir(file)) else "zarr"
    return "zarr" if name.endswith(".zip") else "netcdf"


def _named(path: str, options: dict[str, Any]) -> list[str]:
    if path.startswith(SAMPLE):
        return [_sample(path.removeprefix(SAMPLE))]
    if remote.is_url(path):
        return remote.matching(path, options) if "*" in path else [path]
    if os.path.exists(path):
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise InputError(f"no source {path!r}: there is no folder {folder!r}; fix the path")
        what = "no file matches" if glob.has_magic(path) else "no source"
        inside = sorted(os.listdir(folder))
        raise InputError(f"{what} {path!r}; {did_you_mean(os.path.basename(path), inside)}")
    return found


def _sample(name: str) -> str:
    spec = find_spec("iris_sample_data")
    if spec is None or spec.origin is None:
        raise InputError(
            f"{SAMPLE}{name} needs the package iris-sample-data, which is not installed; "
            "pip install 'fdgrad_dask[samples]'"
        )
    folder = os.path.join(os.path.dirname(spec.origin), "sample_data")
    names = sorted(file for file in os.listdir(folder) if file.endswith(".nc"))
    if name not in names:
        raise InputError(f"no sample {name!r}; {did_you_mean(name, names)}")
    return os.path.join(folder, name)
