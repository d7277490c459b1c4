"""Real clusters on this one machine, and one small workflow that every one of them computes.

They need root, and programs that ``make test-clusters`` installs: Slurm, munge, an SSH server, ip.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord
from fdgrad_dask.pipeline.store.folder import Folder
from tests.clusters.namespaces import Namespaces
from tests.clusters.services import Slurm, Sshd

ROOT = Path(__file__).parent.parent.parent
LIMIT = 300  # seconds that one run may take beside the whole suite


def _missing() -> str:
    if "FDGRAD_CLUSTERS" not in os.environ:
        return "make test-clusters starts real clusters"
    if os.geteuid() != 0:
        return "clusters on one machine need root"
    programs = ["slurmctld", "slurmd", "munged", "sshd", "ip", "openssl"]
    absent = [name for name in programs if not shutil.which(name)]
    return f"not installed: {', '.join(absent)}" if absent else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if reason := _missing():
        here = str(Path(__file__).parent)
        for item in items:
            if str(item.path).startswith(here):
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Ended:
    """A command that came to its end."""

    code: int
    told: str


@dataclass(frozen=True)
class Workflow:
    """Winds on a sphere, their vorticity and divergence, and the command that computes them."""

    folder: Path
    chunk: int
    """Hours of a chunk, which is a shard and a region as well."""

    def config(self, name: str) -> str:
        """The path of a config with a target of its own."""
        values = {
            "source": {"path": str(self.folder / "winds.zarr")},
            "steps": [
                {"operator": "vorticity", "inputs": ["u", "v"], "output": "vorticity"},
                {"operator": "gradient", "inputs": ["u"], "options": {"dim": "time"}},
            ],
            "target": {
                "path": str(self.target(name)),
                "chunks": {"time": self.chunk},
                "regions": {"time": self.chunk},
            },
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    def target(self, name: str) -> Path:
        return self.folder / f"{name}.zarr"

    def cluster(self, name: str, section: dict[str, Any]) -> str:
        """The path of a file with the section cluster."""
        path = self.folder / f"{name}-cluster.yaml"
        path.write_text(yaml.safe_dump(section))
        return str(path)

    def start(self, name: str, cluster: dict[str, Any]) -> subprocess.Popen[str]:
        """``fdgrad run`` on a cluster, not waited for."""
        command = [sys.executable, "-m", "fdgrad_dask.cli", "run", self.config(name)]
        return subprocess.Popen(
            [*command, "--cluster", self.cluster(name, cluster)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def run(self, name: str, cluster: dict[str, Any]) -> Ended:
        """``fdgrad run`` on a cluster, to its end."""
        started = self.start(name, cluster)
        told, _ = started.communicate(timeout=LIMIT)
        return Ended(started.returncode, told)

    def finished(self, name: str) -> int:
        """How many regions the journal has."""
        return len(self.records(name))

    def records(self, name: str) -> Collection[RegionRecord]:
        """Those of the regions that the journal has."""
        return Journal(Folder(f"{self.folder}/{name}.zarr.journal")).regions().values()

    def bytes_of(self, name: str) -> dict[str, str]:
        """The SHA-256 of every chunk file of a target."""
        target = self.target(name)
        return {
            str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(target.rglob("*"))
            if path.is_file() and path.name != "zarr.json"
        }


def made(folder: Path, hours: int, chunk: int) -> Workflow:
    """Winds on a grid of 5 degrees."""
    rng = np.random.default_rng(7)
    winds = {
        name: (
            ("time", "latitude", "longitude"),
            rng.normal(size=(hours, 37, 72)),
            {"units": "m/s"},
        )
        for name in ("u", "v")
    }
    coords = {
        "time": np.datetime64("2000-01-01", "ns") + np.arange(hours) * np.timedelta64(1, "h"),
        "latitude": ("latitude", np.linspace(90, -90, 37), {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(72) * 5.0, {"units": "degrees_east"}),
    }
    chunked = xr.Dataset(winds, coords).chunk(time=chunk)
    chunked.to_zarr(folder / "winds.zarr", zarr_format=3, consolidated=False)
    return Workflow(folder, chunk)


def cleanly(workflow: Workflow) -> dict[str, str]:
    """The chunk files of a run on ``local`` that nothing disturbed."""
    ended = workflow.run("local", {"kind": "local", "workers": 2, "threads": 1})
    assert ended.code == 0, ended.told
    written = workflow.bytes_of("local")
    assert len(written) > 2 * workflow.finished("local") > 0  # two results, and coordinates
    return written


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Twelve regions."""
    return made(tmp_path_factory.mktemp("short"), hours=48, chunk=4)


@pytest.fixture(scope="session")
def clean(workflow: Workflow) -> dict[str, str]:
    return cleanly(workflow)


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Enough regions for something to happen on the way."""
    return made(tmp_path_factory.mktemp("long"), hours=300, chunk=1)


@pytest.fixture(scope="session")
def long_clean(long: Workflow) -> dict[str, str]:
    return cleanly(long)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of this environment, which finds this checkout wherever it is called."""
    path = tmp_path_factory.mktemp("bin") / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with Slurm(tmp_path_factory.mktemp("slurm")) as started:
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = str(started.config)
        yield started
        os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture(scope="session")
def namespaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespaces]:
    with Namespaces(tmp_path_factory.mktemp("namespaces")) as started:
        yield started
