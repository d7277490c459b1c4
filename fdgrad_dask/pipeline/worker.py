"""What a worker does once, before its first task: import JAX and compile a kernel."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import xarray as xr
from distributed import Worker, WorkerPlugin

from fdgrad_dask import operators


class Ready(WorkerPlugin):
    """Warms a worker up while the driver plans, and keeps its tracebacks off the terminal."""

    name = "fdgrad-ready"

    async def setup(self, worker: Worker) -> None:
        """Compiles in a thread, so that the worker answers meanwhile; errors reach the driver."""
        # A task that fails is told by the driver, once and in words.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        await asyncio.to_thread(compile_one)


def compile_one() -> None:
    """Runs the smallest gradient: what JAX does at its first call takes seconds."""
    field = xr.DataArray(np.zeros(4, np.float32), dims="x", coords={"x": np.arange(4.0)})
    operators.gradient(field, "x")
