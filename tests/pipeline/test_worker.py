"""What workers are asked before the first region, and how they are told off."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import pytest
from distributed import versions

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.config.cluster import Local

SECTION = Local(workers=1, threads=2, memory_limit="1 GiB")


class Told:
    """What a client says of a cluster with one worker."""

    def __init__(self, packages: dict[str, Any], **found: Any) -> None:
        self._packages = packages
        self._found = {"nthreads": 1, "memory_limit": 2**30, **found}

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"tls://10.0.0.2:1": self._found}}

    def get_versions(self, packages: list[str]) -> dict[str, Any]:
        here = versions.get_versions(packages)
        told = {**here, "packages": here["packages"] | self._packages}
        return {"client": here, "workers": {"tls://10.0.0.2:1": told, "tls://10.0.0.3:1": told}}

    def register_plugin(self, plugin: cluster.Ready) -> None:
        raise AssertionError("nothing is sent to a worker that does not fit")


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"jax": "0.4.1", "zarr": None},
        {},
        rf"workers differ from the driver: jax 0.4.1 \(here {version('jax')}\), zarr is missing "
        rf"\(here {version('zarr')}\); install the driver's versions there",
    ),
    (
        {"python": "3.10.1.final.0"},
        {},
        rf"workers differ from the driver: python 3.10.1.final.0 \(here {sys.version_info.major}\.",
    ),
    (
        {},
        {"nthreads": 4},
        r"the worker tls://10.0.0.2:1 would take 4 regions at once.*; start it with --nthreads 1",
    ),
    (
        {},
        {"memory_limit": 2**29},
        r"tls://10.0.0.2:1 has 512.00 MiB of memory, the section cluster says 1.00 GiB; write",
    ),
]


@pytest.mark.parametrize(("packages", "found", "message"), REFUSED)
def test_a_worker_that_does_not_fit(
    packages: dict[str, Any], found: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        cluster.make_ready(Told(packages, **found), SECTION)  # type: ignore[arg-type]


def test_versions_that_change_no_result_may_differ() -> None:
    newer = ".".join([*version("dask").split(".")[:2], "99"])
    cluster._require_versions(Told({"dask": newer}))  # type: ignore[arg-type]
