"""What counts: a source its reads, and a context the compilations meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from functools import cache

import dask.array as da
import jax
import numpy as np
import xarray as xr

from fdgrad_dask import Curvilinear
from fdgrad_dask import operators as op
from fdgrad_dask.blocks.interior import compute_interior
from fdgrad_dask.blocks.kernel import run_kernel

COMPILED = "/jax/core/compile/backend_compile_duration"
_counts = []  # those that grow now


@contextmanager
def compilations():
    """A list that grows by one for everything that XLA compiles meanwhile; nothing is cached."""
    _listen()
    run_kernel.clear_cache()
    compute_interior.clear_cache()
    seen = []
    _counts.append(seen)
    try:
        yield seen
    finally:
        _counts.pop()


@cache
def _listen():
    """Once, and for good: the oldest JAX has no public way to take a listener back."""

    def heard(event, duration, **details):
        if event == COMPILED:
            for seen in _counts:
                seen.append(details)

    jax.monitoring.register_event_duration_secs_listener(heard)


class Source:
    """An array that counts how often each of its parts is read."""

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.reads, self.lock = Counter(), threading.Lock()

    def __getitem__(self, key):
        with self.lock:
            self.reads[str(key)] += 1
        return self.values[key]

    def chunked(self, chunks):
        """It as a dask array, whose tasks nothing is fused into."""
        meta = np.empty((0,) * self.ndim, self.dtype)  # or dask would read it off the source
        return da.from_array(self, chunks=chunks, meta=meta, name=False)


DIMS = ("time", "lat", "lon")
SHAPE, CHUNKS = (12, 60, 120), (1, 20, 30)
BLOCKS = 12 * 3 * 4
LATITUDES = {
    "no poles": np.linspace(-88.5, 88.5, 60),
    "poles": np.linspace(-90, 90, 60),
}


def sources(*names, lat="no poles", chunks=CHUNKS):
    """Fields of noise, and what counts their reads."""
    rng = np.random.default_rng(1)
    coords = {
        "time": ("time", 1.0 + np.arange(12), {"units": "hPa", "axis": "Z"}),
        "lat": ("lat", LATITUDES[lat], {"units": "degrees_north"}),
        "lon": ("lon", np.arange(0.0, 360, 3), {"units": "degrees_east"}),
    }
    counted, fields = [], []
    for name in names:
        source = Source(rng.normal(size=SHAPE))
        units = {"units": {"z": "m2 s-2", "s": "K"}.get(name, "m s-1")}
        counted.append(source)
        fields.append(xr.DataArray(source.chunked(chunks), coords, DIMS, name=name, attrs=units))
    return counted, fields


TURNED = Curvilinear(angle=30.0)
CALLS = {  # what is called, of which fields
    "absolute_vorticity": (op.absolute_vorticity, "uv"),
    "advection": (op.advection, "uvs"),
    "deformation": (op.deformation, "uv"),
    "divergence": (op.divergence, "uv"),
    "divergent_wind": (op.divergent_wind, "uv"),
    "frontogenesis": (op.frontogenesis, "uvs"),
    "geostrophic_wind": (op.geostrophic_wind, "z"),
    "gradient of two": (lambda s: op.gradient(s, ["lat", "lon"]), "s"),
    "gradient_magnitude": (op.gradient_magnitude, "s"),
    "helmholtz": (op.helmholtz, "uv"),
    "horizontal_gradient": (op.horizontal_gradient, "s"),
    "inverse_laplacian": (op.inverse_laplacian, "s"),
    "kinematics": (op.kinematics, "uv"),
    "laplacian": (op.laplacian, "s"),
    "potential_vorticity": (op.potential_vorticity, "uvs"),
    "q_vector": (op.q_vector, "uvs"),
    "rotate_to_earth": (lambda u, v: op.rotate_to_earth(u, v, geometry=TURNED), "uv"),
    "rotate_to_grid": (lambda u, v: op.rotate_to_grid(u, v, geometry=TURNED), "uv"),
    "rotational_wind": (op.rotational_wind, "uv"),
    "stream_function": (op.stream_function, "uv"),
    "truncate": (op.truncate, "s"),
    "velocity_potential": (op.velocity_potential, "uv"),
    "vorticity": (op.vorticity, "uv"),
}
