"""What counts: a source its reads, and a context the compilations meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from functools import cache

import dask.array as da
import jax
import numpy as np

from fdgrad_dask.kernels import on_sweep, on_tile

COMPILED = "/jax/core/compile/backend_compile_duration"
_counts = []  # those that grow now


@contextmanager
def compilations():
    """A list that grows by one for everything that XLA compiles meanwhile; it begins anew."""
    _listen()
    on_tile.clear_cache()
    on_sweep.clear_cache()
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
