"""What of an earlier run holds for a source that has become longer along ``target.extend``."""

from __future__ import annotations

import json

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.console import say
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.record import RegionRecord, RunRecord, key_of
from fdgrad_dask.pipeline.planning import growth
from fdgrad_dask.pipeline.planning.job import Job
from fdgrad_dask.pipeline.planning.regions import Plan


def grown(job: Job, begun: RunRecord) -> list[str]:
    """The dimensions along which a run can go on as a longer one.

    Also that of one that was to become longer, and was stopped before it was laid out.
    """
    before = begun.plan["sizes"]
    if not begun.laid_out and begun.grown_from is None:
        return []
    now = job.workload.sizes
    longer = [dim for dim in now if now[dim] > before.get(dim, now[dim])]
    return longer if begun.laid_out else [job.config.target.extend or "", *longer]


def beginning_of(job: Job, begun: RunRecord) -> Job:
    """The job over the part of the source that was there."""
    return growth.beginning(job, *_old_end(job, begun))


def plan_of(job: Job, begun: RunRecord) -> Plan:
    """The new plan, with the regions of the old one."""
    return growth.lengthened(job, begun.plan["region"], _old_end(job, begun)[0])


def kept(
    old: Job, new: Job, begun: RunRecord, plan: Plan, journal: Journal, *, is_whole: bool
) -> dict[str, RegionRecord]:
    """The records that hold for the new plan: those of regions that do not reach the old end.

    Raises
    ------
    OutputError
        Of a whole target: what it was made of has changed, other than at the end.
    """
    (dim, before), path, records = _old_end(new, begun), new.config.target.path, journal.regions()
    changed = new.inputs.changed([begun.read, *(each.inputs for each in records.values())])
    last = [each for key, each in records.items() if json.loads(key)[dim][1] == before]
    # What the last regions read may have become longer itself: a chunk, or the only file.
    if is_whole and (replaced := changed.difference(*(each.inputs for each in last))):
        raise OutputError(
            f"{path} cannot be extended: {new.inputs.shown(replaced)} has changed since it was "
            "written, and two versions would be mixed; restore it, or run with --fresh"
        )
    halo = new.halos[dim]
    stop = 0 if halo.around else before - halo.depth
    if stop > 0 and not growth.agree(old, new, dim, stop):
        say(f"the new labels of {dim} change the weights of the old ones: all is computed again")
        stop = 0
    spans = map(plan.span, range(plan.count))
    keys = {key_of(span) for span in spans if span[dim][1] <= stop}
    return {
        key: each
        for key, each in records.items()
        if key in keys and changed.isdisjoint(each.inputs)
    }


def _old_end(job: Job, begun: RunRecord) -> tuple[str, int]:
    dim = str(job.config.target.extend)
    return dim, begun.plan["sizes"][dim]
