"""Clusters whose workers are threads of this process: they start at once, and import nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, LocalCluster


@contextmanager
def cluster_of_threads(section: Any) -> Iterator[Client]:
    """A client of as many workers as a section asks for, instead of what its kind would open."""
    with (
        LocalCluster(
            n_workers=section.workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
        ) as running,
        Client(running) as client,
    ):
        yield client
