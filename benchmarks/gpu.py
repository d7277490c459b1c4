"""On a GPU: the kernel against a copy there, and against the way there and back; zarr to zarr.

Launches and compilations are counted on any backend. Without a GPU the same is measured on the CPU
where that takes seconds, and the targets are said not to be shown.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np

import fdgrad_dask as fd
from benchmarks import files
from benchmarks.calculus import wind
from benchmarks.command import run
from benchmarks.rows import Row, in_turn, over, seconds_of, spread
from fdgrad_dask.blocks import device

kernel = device.run_kernel

SHAPES = {"quick": (4, 100, 200), "usual": (12, 1000, 2000)}  # 96 MB of float32
ON_GPU = (96, 1000, 2000)
THREADS = 4
NOT_SHOWN = "not shown: no GPU here"


def rows(size: str) -> Iterator[Row]:
    """What this backend can show."""
    gpu = jax.default_backend() == "gpu"
    shape = ON_GPU if gpu else SHAPES.get(size, SHAPES["usual"])
    f = np.random.default_rng(0).random(shape, "float32")
    runs = 2 if size == "quick" else 5
    yield from _speeds(f, gpu, runs)
    yield from _from_zarr_to_zarr(size, gpu, 1 if size == "quick" else 3)
    yield from _counts()


def _speeds(f: np.ndarray, gpu: bool, runs: int) -> Iterator[Row]:
    there = jax.device_put(f)
    gradient = jax.jit(partial(fd.gradient, axis=1))
    copy = jax.jit(jnp.copy)
    chunks = da.from_array(f, chunks=(max(1, len(f) // (2 * THREADS)), -1, -1))
    lazy = fd.gradient(chunks, axis=1)
    for what, target, peer, ours, theirs in (
        (
            "kernel on device data",
            "gpu",
            "a copy on the device",
            lambda: gradient(there).block_until_ready(),
            lambda: copy(there).block_until_ready(),
        ),
        (
            f"NumPy chunks, fed by {THREADS} threads",
            "gpu from host",
            "a copy to the device and back",
            lambda: lazy.compute(scheduler="threads", num_workers=THREADS),
            lambda: np.array(jax.device_put(f, may_alias=False)),
        ),
        (
            "one NumPy array",
            "",
            "a copy to the device and back",
            lambda: fd.gradient(f, axis=1),
            lambda: np.array(jax.device_put(f, may_alias=False)),
        ),
    ):
        seconds = in_turn({"ours": ours, "theirs": theirs}, runs)
        measured = over(seconds["theirs"], seconds["ours"])
        case = f"{f.nbytes / 1e6:.0f} MB of float32"
        note = seconds_of(seconds["ours"])
        if gpu:
            yield Row(what, case, peer, target, **measured, note=f"{note}; {_device()}")
            continue
        if target:
            yield Row(what, case, peer, target, note=NOT_SHOWN)
        yield Row(what, case, f"{peer}, on the CPU", **measured, note=note)


def _from_zarr_to_zarr(size: str, gpu: bool, runs: int) -> Iterator[Row]:
    """`fdgrad run` on the GPU, against the same on the cores of the machine."""
    what, peer = "`fdgrad run` on a GPU, zarr to zarr", "the same on the cores"
    if not gpu:
        yield Row(what, "", peer, note=NOT_SHOWN)
        return
    steps = [{"operator": "gradient", "inputs": [files.FIELD], "options": {"dim": "y"}}]
    # This process keeps three quarters of the memory of the device.
    clusters = {
        "ours": {"kind": "gpu", "workers": 1, "gpu_memory": 0.2},
        "theirs": {"kind": "local", "workers": 1},
    }
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    shape = files.SIZES.get(size, files.SIZES["usual"])
    with tempfile.TemporaryDirectory() as made:
        files.store(Path(made) / "in.zarr", shape)
        for _ in range(runs):
            for name, cluster in clusters.items():
                sections = {"steps": steps, "cluster": cluster}
                ran = run(Path(made), "in.zarr", f"{name}.zarr", sections)
                seconds[name].append(ran.working)
    case = f"{4 * np.prod(shape) / 1e9:.1f} GB of float32"
    measured = over(seconds["theirs"], seconds["ours"])
    yield Row(what, case, peer, **measured, note=f"{seconds_of(seconds['ours'])}; {_device()}")


def _device() -> str:
    return str(jax.devices()[0].device_kind)


def _counts() -> Iterator[Row]:
    """Launches of a fused operator, and compilations of chunks that are alike."""
    u, v = wind(8)
    ours = partial(fd.operators.kinematics, which=["divergence", "vorticity"])
    launches, compiled = [], []
    for times in (4, 8):
        lazy = [
            fd.to_device(w.isel(time=slice(times)).chunk(time=1, lat=-1, lon=-1)) for w in (u, v)
        ]
        before = kernel._cache_size()
        launches = _launches(partial(_computed, ours, lazy))
        compiled.append(kernel._cache_size() - before)
    backend = jax.default_backend()
    note = f"of divergence and vorticity, compiled for {backend}"
    if backend != "gpu":
        note += ", where a fusion is a loop and no launch"
    yield Row("fusions in a kernel, at most", **spread([max(launches)]), unit="fusions", note=note)
    yield Row("compilations", "4 chunks alike", **spread(compiled[:1]), unit="kernels")
    yield Row("compilations", "8 more chunks", **spread(compiled[1:]), unit="kernels")


def _computed(ours: Callable[..., Any], winds: list[Any]) -> Any:
    return ours(*winds).compute(scheduler="synchronous")


def _launches(compute: Callable[[], object]) -> list[int]:
    """Fusions at the entry of each kernel that a computation calls."""
    found: dict[Any, int] = {}

    def counted(*args: Any, program: Any, **static: Any) -> Any:
        if program not in found:
            text = kernel.lower(*args, program=program, **static).compile().as_text()
            entry = text[text.index("\nENTRY") :]
            found[program] = len(re.findall(r"= .*? (?:fusion|custom-call)\(", entry))
        return kernel(*args, program=program, **static)

    with mock.patch.object(device, "run_kernel", counted):
        compute()
    return list(found.values())
