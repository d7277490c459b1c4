"""A scheduler that somebody else started, and its workers, which stay when the run ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client

from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.config.cluster import Address


@contextmanager
def address(cluster: Address) -> Iterator[Client]:
    """A client of it; closing that is all that is closed."""
    tls = cluster.tls
    security = resources.security(tls.ca, tls.cert, tls.key) if tls else None
    with Client(cluster.address, security=security, timeout=30) as client:
        yield client
