"""The same graphs for an hour: ``python -m oracle.endure --hours 1 --log endure.log``.

Each round computes graphs of the accessor with eight threads and two configs of the command: one in
threads of this process, one on two workers that live as long as we do; every twentieth round a
cluster of two new processes as well. Every array must have the SHA-256 of the first round, also
those that are held for some rounds. A line per minute has the memory of this process and of the
workers, open files, threads and child processes. The exit code is 1 if any of these grows.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass, fields
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import xarray as xr

import fdgrad_dask  # noqa: F401  (the accessor)
from fdgrad_dask import operators as op
from fdgrad_dask.pipeline import run

MB = 1e6
EVERY = 20  # rounds between two runs on processes of their own, whose start costs seconds
HELD = 5  # rounds for which results are held
WARM = 30  # rounds until allocators and pools have what they need
# A leak of a kilobyte a task would be ten times this in an hour. Less is what an allocator's
# arenas, and the bounded records of a scheduler that fills them, may still take after a third.
PER_HOUR, LEAST = 0.02, 12.0  # of the median, and MB: the larger one is allowed


@dataclass
class Sample:
    """What a round leaves behind."""

    minutes: float
    rounds: int
    memory: float  # MB of this process
    workers: float  # MB of the larger of the two that live as long
    files: int
    threads: int
    children: int
    different: int


def make_source(path: Path) -> xr.Dataset:
    """A wind and a temperature on a globe, in chunks that neither fit its size nor each other."""
    rng = np.random.default_rng(7)
    lat, lon = np.linspace(-90, 90, 37), np.arange(0, 360, 5.0)
    coords = {
        "time": ("time", np.arange(2)),
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    units = {"u": "m s-1", "v": "m s-1", "t": "K"}
    made = {
        name: (("time", "lat", "lon"), rng.standard_normal((2, 37, 72)), {"units": unit})
        for name, unit in units.items()
    }
    ds = xr.Dataset(made, coords).chunk({"time": 1, "lat": 17, "lon": 25})
    ds.to_zarr(path, zarr_format=3, consolidated=False)
    return ds


def make_graphs(ds: xr.Dataset) -> xr.Dataset:
    """Operators of all rooms, of chunks that NumPy computes and of one that XLA does."""
    u, v, t = ds.u, ds.v, ds.t
    wide = xr.DataArray(np.sin(np.arange(720_000.0)).reshape(600, 1200), dims=("y", "x"))
    made = op.kinematics(u, v, which=["vorticity", "divergence", "total_deformation"])
    made["advection"] = op.advection(u, v, t)
    made["laplacian"] = op.laplacian(t)
    made["slope"] = t.fdgrad.gradient("lat", accuracy=6)
    made["wide"] = wide.chunk().fdgrad.gradient("x")
    return made


def make_config(folder: Path, cluster: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": {"path": str(folder / "source.zarr")},
        "steps": [
            {"operator": "vorticity", "inputs": ["u", "v"], "output": "vorticity"},
            {"operator": "gradient", "inputs": ["t"], "options": {"dim": "lon"}, "output": "t_x"},
        ],
        "target": {"path": str(folder / "target.zarr")},
        "cluster": cluster,
    }


def digest(values: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(values)).hexdigest()


def run_config(folder: Path, cluster: dict[str, Any], *, alone: bool) -> dict[str, str]:
    """A run from nothing, by the command or in this process, and the digests of its shards."""
    config = make_config(folder, cluster)
    if alone:
        command = [sys.executable, "-m", "fdgrad_dask.cli", "run", "-"]
        subprocess.run(command, input=json.dumps(config), text=True, check=True)
    else:
        run(config)
    target = folder / "target.zarr"
    shards = sorted(target.glob("*/c/**/*"))
    found = {
        str(one.relative_to(target)): sha256(one.read_bytes()).hexdigest()
        for one in shards
        if one.is_file()
    }
    for one in folder.iterdir():
        if "source" not in one.name:
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    return found


def _keep_cluster(pipe: Any) -> None:
    """A scheduler and two workers, until the other end says so."""
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.worker.profile.enabled": False}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="1GiB"
        ) as cluster,
        Client(cluster) as client,
    ):
        pipe.send((cluster.scheduler_address, list(client.run(os.getpid).values())))
        pipe.recv()


@contextmanager
def open_workers() -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and two workers in processes that live as long as we do.

    A scheduler keeps what it knows of clients for an hour after they left, and a closed one leaves
    its routes behind, so that none of them is in this process.
    """
    here, there = get_context("spawn").Pipe()
    keeper = get_context("spawn").Process(target=_keep_cluster, args=(there,))
    keeper.start()
    try:
        address, pids = here.recv()
        yield address, [psutil.Process(pid) for pid in pids]
    finally:
        here.send("close")
        keeper.join()


class Rounds:
    """Rounds, what they must give, and what is still held of them."""

    def __init__(self, folder: Path, address: str | None) -> None:
        self.folder = folder
        self.graphs = make_graphs(make_source(folder / "source.zarr"))
        self.first: dict[str, str] = {}
        self.held: deque[tuple[np.ndarray, str]] = deque()
        self.different = 0
        self.clusters: list[dict[str, Any]] = [{"kind": "threads", "workers": 2, "threads": 2}]
        if address is not None:
            remote = {"kind": "address", "address": address, "workers": 2, "threads": 1}
            self.clusters.append(remote | {"memory_limit": "1 GiB"})
        self.local = {"kind": "local", "workers": 2, "threads": 1, "memory_limit": "1 GiB"}

    def _check(self, name: str, found: str) -> None:
        if self.first.setdefault(name, found) != found:
            self.different += 1
            print(f"DIFFERENT: {name}", flush=True)

    def run(self, number: int, *, processes: bool) -> None:
        made = self.graphs.compute(scheduler="threads", num_workers=8)
        for at, (name, one) in enumerate(made.data_vars.items()):
            found = digest(one.values)
            self._check(f"graph {name}", found)
            if (number + at) % 2 and one.nbytes < MB:  # the others are dropped at once
                self.held.append((one.values, found))
        while len(self.held) > HELD * 4:
            values, found = self.held.popleft()
            self.different += digest(values) != found
        for cluster in [*self.clusters, *([self.local] if processes else [])]:
            shards = run_config(self.folder, cluster, alone=cluster is self.local)
            self._check("shards", str(sorted(shards)))
            for name, found in shards.items():
                self._check(name, found)


def grows(minutes: np.ndarray, values: np.ndarray) -> float:
    """How much more there is in an hour, by the median of all slopes over the last two thirds."""
    last = slice(len(values) // 3, None)
    x, y = minutes[last], values[last]
    pairs = itertools.combinations(range(len(x)), 2)
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i, j in pairs if x[j] > x[i]]
    return float(np.median(slopes)) * 60 if slopes else 0.0


def find_faults(samples: list[Sample]) -> list[str]:
    """What grows, or differs."""
    found = []
    if samples[-1].different:
        found.append(f"{samples[-1].different} arrays differ from the first round")
    warm = [one for one in samples if one.rounds > WARM]
    third = len(warm) // 3
    if third < 3:  # a few rounds say nothing about growth
        return found
    table = np.array([astuple(one) for one in warm], float)
    columns = {one.name: table[:, i] for i, one in enumerate(fields(Sample))}
    for name in ("memory", "workers"):
        more, median = grows(columns["minutes"], columns[name]), np.median(columns[name])
        if more > max(PER_HOUR * median, LEAST):
            found.append(f"{name}: {more:+.1f} MB an hour of {median:.0f} MB")
    for name in ("files", "threads", "children"):
        middle, last = columns[name][third : 2 * third], columns[name][2 * third :]
        if np.median(last) > np.median(middle) + 1:
            found.append(f"{name}: {np.median(middle):.0f}, then {np.median(last):.0f}")
    return found


def take_sample(begin: float, rounds: int, state: Rounds, workers: list[Any]) -> Sample:
    gc.collect()
    own = psutil.Process()
    return Sample(
        round((time.monotonic() - begin) / 60, 2),
        rounds,
        round(own.memory_info().rss / MB, 1),
        round(max((one.memory_info().rss for one in workers), default=0) / MB, 1),
        own.num_fds(),
        own.num_threads(),
        len(own.children(recursive=True)),
        state.different,
    )


def endure(
    hours: float,
    say: Callable[[str], None],
    *,
    every: float = 60.0,
    rounds: int | None = None,
    workers: bool = True,
) -> list[str]:
    """What is wrong after so long, or after so many rounds."""
    names = [one.name for one in fields(Sample)]
    opened = open_workers() if workers else nullcontext((None, []))
    with tempfile.TemporaryDirectory() as place, opened as (address, processes):
        state, samples = Rounds(Path(place), address), []
        say(" ".join(f"{name:>9}" for name in names))
        begin = time.monotonic()
        for number in itertools.count(1):
            state.run(number, processes=workers and number % EVERY == 0)
            now = time.monotonic() - begin
            if not samples or now >= 60 * samples[-1].minutes + every:
                samples.append(take_sample(begin, number, state, processes))
                say(" ".join(f"{value:9}" for value in astuple(samples[-1])))
            if number == rounds or now > 3600 * hours:
                break
    faults = find_faults(samples)
    say("\n".join(f"FAULT: {fault}" for fault in faults) or f"{number} rounds, nothing grows")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--log", type=Path, default=None)
    given = parser.parse_args()

    def say(text: str) -> None:
        print(text, flush=True)
        if given.log:
            with given.log.open("a") as log:
                print(text, file=log)

    return int(bool(endure(given.hours, say)))


if __name__ == "__main__":
    sys.exit(main())
