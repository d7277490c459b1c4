"""Who computes."""

from __future__ import annotations

from typing import Annotated, Literal

from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from pydantic import AfterValidator, Field, PositiveInt

from fdgrad_dask.pipeline.sections.section import Section


def _memory(limit: str) -> str:
    try:
        if limit == "auto" or parse_bytes(limit) > 0:
            return limit
    except ValueError:
        pass
    raise ValueError(f"{limit!r} is no amount of memory; write it like 4 GiB, or auto")


class Cluster(Section):
    """Who computes."""

    kind: Literal["local"] = "local"
    """local: processes on this machine."""
    workers: PositiveInt = Field(default_factory=lambda: min(4, CPU_COUNT))
    """Number of processes."""
    threads: PositiveInt = Field(
        default_factory=lambda data: max(1, CPU_COUNT // data.get("workers", 1))
    )
    """Threads of each of them."""
    memory_limit: Annotated[str, AfterValidator(_memory)] = "auto"
    """Memory of each of them, like 4 GiB; auto shares out what the machine has."""
