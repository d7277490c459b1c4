"""How a run begins: anew, where it stopped, or where shards are broken; and what it refuses."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version

import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline import identity, verify
from fdgrad_dask.pipeline.job import Job
from fdgrad_dask.pipeline.journal import Journal
from fdgrad_dask.pipeline.plan import Plan
from fdgrad_dask.pipeline.record import RegionRecord, RunRecord
from fdgrad_dask.pipeline.source import fingerprint
from fdgrad_dask.pipeline.targets.store import Store

_COMPRESSED = 4  # times that no codec makes real fields smaller


def require_ours(store: Store, job: Job) -> None:
    """Refuses a target that is something else, before anything is touched.

    Raises
    ------
    OutputError
        It is no store of this format.
    """
    if store.state() == "foreign":
        raise OutputError(
            f"{job.config.target.path!r} exists and is not what would be written there, so it is "
            "not replaced; move it, or name another target"
        )


def started(
    job: Job, store: Store, journal: Journal, called: str, *, fresh: bool, repair: bool
) -> tuple[Plan, list[int]]:
    """The plan of this run, and the regions that are missing.

    Raises
    ------
    OutputError
        The target is finished, or was begun with something else, or the disk is too small.
    ClusterError
        The regions of a run that was begun elsewhere do not fit these workers.
    """
    path, state, begun = job.config.target.path, store.state(), journal.run()
    keys = identity.identity(job.config, job.layout, job.source, job.read, job.result)
    if repair:
        if state == "absent" or begun is None:
            raise OutputError(f"the target {path} has no journal to repair it by; run with --fresh")
        _require_same(begun, keys, path)
        return _repaired(job, store, journal, begun)
    if fresh or state == "absent" or (state == "unfinished" and not (begun and begun.laid_out)):
        return _anew(job, store, journal, called, keys)
    if state == "finished":
        raise OutputError(
            f"the target {path} exists and is finished; fdgrad verify proves it whole, run with "
            "--fresh to replace it, or name another target"
        )
    assert begun is not None
    _require_same(begun, keys, path)
    plan = Plan(**begun.plan)
    job.require_room(plan)
    todo = _missing(plan, store, journal)
    say(f"going on with {path}: {plan.count - len(todo)} of {plan.count} regions are finished")
    for file, print_ in fingerprint(job.config.source).items():
        if begun.inputs.get(file, print_) != print_:
            say(f"{file} has changed since the run began; regions that are finished are kept")
    _require_space(job, store, plan, len(todo))
    return plan, todo


def _anew(
    job: Job, store: Store, journal: Journal, called: str, keys: dict[str, str]
) -> tuple[Plan, list[int]]:
    plan = job.plan
    _require_space(job, store, plan, plan.count)
    if store.state() == "unfinished":
        say(f"what an earlier run left of {job.config.target.path} is replaced")
    number = identity.digest(keys)
    run = RunRecord(
        digest=number,
        identity=keys,
        config=job.config.model_dump(mode="json"),
        called=called,
        versions=identity.versions(),
        inputs=fingerprint(job.config.source),
        regions=plan.count,
        plan=asdict(plan),
        began=time.time(),
    )
    journal.begin(run)
    labels = store.lay_out(_told(job.template, called, number))
    journal.amend(laid_out=True, labels=labels)
    return plan, list(range(plan.count))


def _told(template: xr.Dataset, called: str, digest: str) -> xr.Dataset:
    """With CF's audit trail, the newest line first, and what finds the journal again."""
    # https://reproducible-builds.org/specs/source-date-epoch: so that two runs can be equal.
    now = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    line = (
        f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ} {called} "
        f"(fdgrad_dask {version('fdgrad_dask')})"
    )
    history = "\n".join([line, *filter(None, [template.attrs.get("history")])])
    return template.assign_attrs(history=history, fdgrad_digest=digest)


def _repaired(job: Job, store: Store, journal: Journal, begun: RunRecord) -> tuple[Plan, list[int]]:
    """The regions of which a shard is missing or not what was written."""
    plan = Plan(**begun.plan)
    job.require_room(plan)
    found = verify.faults(store, journal)
    if labels := [fault for fault in found if fault.region is None]:
        raise OutputError(
            f"{labels[0]} of {job.config.target.path}, which no region writes; run with --fresh"
        )
    broken = sorted({fault.region for fault in found if fault.region is not None})
    journal.forget(broken)
    say(f"{len(found)} shards are broken, in {len(broken)} of {plan.count} regions")
    return plan, broken


def _missing(plan: Plan, store: Store, journal: Journal) -> list[int]:
    """Regions that are not finished, or of which something has vanished since."""
    records = journal.regions()
    vanished = store.absent(key for record in records.values() for key in record.checksums)

    def whole(record: RegionRecord | None) -> bool:
        return record is not None and vanished.isdisjoint(record.checksums)

    return [number for number in range(plan.count) if not whole(records.get(number))]


def _require_same(begun: RunRecord, keys: dict[str, str], path: str) -> None:
    if begun.digest != identity.digest(keys):
        differing = "; ".join(identity.changed(begun.identity, keys))
        raise OutputError(
            f"{path} was begun with something else: {differing}; undo the change, run with "
            "--fresh to begin anew, or name another target"
        )


def _require_space(job: Job, store: Store, plan: Plan, regions: int) -> None:
    free, needed = store.free(), plan.bytes_written * regions // max(plan.count, 1)
    if free is None or free >= needed:
        return
    told = f"{format_bytes(needed)} are to be written beside {job.config.target.path}, and "
    if free < needed // _COMPRESSED:
        raise OutputError(
            f"{told}{format_bytes(free)} are free; make room, or name a target on another disk"
        )
    say(f"{told}only {format_bytes(free)} are free: it fits if it compresses well")


def say(text: str) -> None:
    """A line for the user, on stderr."""
    print(text, file=sys.stderr, flush=True)
