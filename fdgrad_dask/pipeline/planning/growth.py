"""A source that has become longer: what it was before, and whether its old part still gives that.

All labels of a dimension decide together how it is differentiated: where one step differs they are
no longer evenly spaced, and the weights of all points are others, if only in their last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import dask.local
import numpy as np
from dask.core import flatten

from fdgrad_dask.pipeline.config.source import Picked
from fdgrad_dask.pipeline.planning import steps
from fdgrad_dask.pipeline.planning.cutting import Halo, Span
from fdgrad_dask.pipeline.planning.graph import Region, culled, ends_of, middle_of
from fdgrad_dask.pipeline.planning.job import Job
from fdgrad_dask.pipeline.planning.regions import Plan, planned
from fdgrad_dask.pipeline.source.open import chunked
from fdgrad_dask.pipeline.source.select import selected

_ROWS = 16  # that are compared


def beginning(job: Job, dim: str, size: int) -> Job:
    """The job over the first ``size`` points along ``dim`` alone."""
    source = selected(job.source, {dim: Picked(index=(0, size))})
    whole = chunked(source, {str(each): points for each, points in source.sizes.items()})
    return replace(job, source=source, result=steps.build(job.config, whole))


def lengthened(job: Job, region: dict[str, int], dim: str) -> Plan:
    """The plan with regions of this shape, which may have ended with the source in a shard."""
    shard = job.workload.shards[dim]
    return planned(job.workload, {**region, dim: -(-region[dim] // shard) * shard})


def agree(old: Job, new: Job, dim: str, stop: int) -> bool:
    """Whether both make the same bits, of values made up here, of some rows that end at ``stop``.

    To compare the graphs would be to know all that operators may put into them.
    """
    ends = {str(each): middle_of(size) for each, size in new.source.sizes.items()}
    span = {**ends, dim: (max(0, stop - _ROWS), stop)}
    before, now = (_bits(job, span, new.halos) for job in (old, new))
    return before == now


def _bits(job: Job, span: Span, halos: Mapping[str, Halo]) -> list[bytes]:
    region = Region(job.config, job.source, [span], {}, halos)
    parts = [part for _, _, part in region.results()]
    tasks = culled(parts)
    for key in tasks:
        if isinstance(key, tuple) and key[0] in region.read:
            array = region.read[key[0]]
            at = np.ogrid[tuple(slice(*ends) for ends in ends_of(array.chunks, key[1:]))]
            values = 100 * np.sin(sum((n + 1.7) * each for n, each in enumerate(at)))
            tasks[key] = values.astype("i8" if array.dtype.kind in "mM" else "f8").astype(
                array.dtype
            )
    keys = list(flatten([part.__dask_keys__() for part in parts]))
    return [np.asarray(block).tobytes() for block in dask.local.get_sync(tasks, keys)]
