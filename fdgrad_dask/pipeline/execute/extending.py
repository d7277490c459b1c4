"""What of an earlier run holds for a source that has become longer along ``target.extend``.

All labels of a dimension decide together how it is differentiated: where one step differs they are
no longer evenly spaced, and the weights of all points are others, if only in their last bit.
"""

import json
from collections.abc import Collection, Mapping

import dask.local
import numpy as np
from dask.core import flatten

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Picked
from fdgrad_dask.pipeline.console import say
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, RunRecord, key_of
from fdgrad_dask.pipeline.planning.cutting import Halo, Span
from fdgrad_dask.pipeline.planning.graph import Region, culled, ends_of, middle_of
from fdgrad_dask.pipeline.planning.job import Job, prepare
from fdgrad_dask.pipeline.planning.regions import Plan, planned
from fdgrad_dask.pipeline.source.select import selected

_ROWS = 16  # that are compared


def find_grown(job: Job, begun: RunRecord) -> list[str]:
    """The dimensions along which a run can go on as a longer one.

    Also that of one that was to become longer, and was stopped before it was laid out.
    """
    if not begun.laid_out and begun.grown_from is None:
        return []
    before, now = begun.plan["sizes"], job.workload.sizes
    longer = [dim for dim in now if now[dim] > before.get(dim, now[dim])]
    return longer if begun.laid_out else [job.config.target.extend or "", *longer]


def find_beginning(job: Job, begun: RunRecord) -> Job:
    """The job over the part of the source that was there."""
    dim, size = _old_end(job, begun)
    source = selected(job.source, {dim: Picked(index=(0, size))})
    return prepare(job.config, source, job.files, job.opened)


def plan_longer(job: Job, begun: RunRecord) -> Plan:
    """The plan with the regions of the old one, which may have ended with the source in a shard."""
    dim, _ = _old_end(job, begun)
    region, shard = begun.plan["region"], job.workload.shards[dim]
    return planned(job.workload, {**region, dim: -(-region[dim] // shard) * shard})


def keep_records(
    old: Job, new: Job, begun: RunRecord, plan: Plan, journal: Journal, *, is_complete: bool
) -> dict[str, RegionRecord]:
    """The records that hold for the new plan: those of regions that do not reach the old end."""
    (dim, before), records = _old_end(new, begun), journal.regions()
    changed = new.inputs.changed([begun.read, *(each.inputs for each in records.values())])
    last = [each for key, each in records.items() if json.loads(key)[dim][1] == before]
    # What the last regions read may have become longer itself: a chunk, or the only file.
    if is_complete and (replaced := changed.difference(*(each.inputs for each in last))):
        raise refuse_mixture(new, "extended", replaced)
    halo = new.halos[dim]
    stop = 0 if halo.around else before - halo.depth
    # Whether both make the same bits, of values made up here, of some rows that end at ``stop``.
    # To compare the graphs would be to know all that operators may put into them.
    ends = {str(each): middle_of(size) for each, size in new.source.sizes.items()}
    last_rows = {**ends, dim: (max(0, stop - _ROWS), stop)}
    if stop > 0 and _bits(old, last_rows, new.halos) != _bits(new, last_rows, new.halos):
        say(f"the new labels of {dim} change the weights of the old ones: all is computed again")
        stop = 0
    spans = map(plan.span, range(plan.count))
    keys = {key_of(span) for span in spans if span[dim][1] <= stop}
    return {
        key: each
        for key, each in records.items()
        if key in keys and changed.isdisjoint(each.inputs)
    }


def refuse_mixture(job: Job, done: str, changed: Collection[str]) -> OutputError:
    """The error of a target that would be made of two versions of its inputs."""
    return OutputError(
        f"{job.config.target.path} cannot be {done}: {job.inputs.shown(changed)} has changed since "
        "it was written, and two versions would be mixed; restore it, or run with --fresh"
    )


def _old_end(job: Job, begun: RunRecord) -> tuple[str, int]:
    dim = str(job.config.target.extend)
    return dim, begun.plan["sizes"][dim]


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
