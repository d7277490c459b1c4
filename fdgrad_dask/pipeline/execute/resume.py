"""How a run begins: from the start, where it stopped, at broken shards; and what it refuses."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import NamedTuple

import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.console import say, warn
from fdgrad_dask.pipeline.execute import extending, verify
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.ownership import all_names, known, require_only_ours, require_ours
from fdgrad_dask.pipeline.execute.record import RegionRecord, RunRecord, key_of
from fdgrad_dask.pipeline.planning import identity
from fdgrad_dask.pipeline.planning.job import Job
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.source.versions import recording
from fdgrad_dask.pipeline.store.base import State, Store

_COMPRESSED = 4  # times that no codec makes real fields smaller


class Start(NamedTuple):
    """The plan of a run, and the regions that are missing."""

    plan: Plan
    todo: list[int]
    complete: bool = False
    """Whether the target is published already, and nothing is to be done."""
    resumed: bool = False
    """Whether an earlier run wrote into the target, which may have been killed."""


def started(
    job: Job,
    store: Store,
    journal: Journal,
    called: str,
    inputs: Mapping[str, str],
    *,
    fresh: bool,
    repair: bool,
) -> Start:
    """Decides what is to be done, and lays the target out where that is new.

    Raises
    ------
    OutputError
        The target is not ours, or is of something else, or the disk is too small.
    ClusterError
        The regions of a run that was begun elsewhere do not fit these workers.
    """
    path, begun = job.config.target.path, journal.run()
    state = require_ours(store, journal)
    keys = job.identity
    if repair:
        if state == "absent" or begun is None:
            raise OutputError(f"the target {path} has no journal to repair it by; run with --fresh")
        _require_same(begun, keys, path)
        return _repaired(job, store, journal, begun)
    is_laid_out = begun is not None and begun.laid_out
    more = [] if begun is None or state == "absent" else extending.grown(job, begun)
    if begun is not None and not fresh and job.config.target.extend in more:
        return _extended(job, store, journal, called, inputs, begun, state)
    if fresh or state == "absent" or (state == "unfinished" and not is_laid_out):
        return _from_the_start(job, store, journal, called, keys, inputs)
    assert begun is not None
    advice = (
        f"append what is new by target.extend: {more[0]}, " if more and store.can_extend else ""
    )
    if state == "finished" and is_laid_out:
        verify.require_config(begun.identity, keys, path, advice)
        _require_complete(job, store, journal, begun)
        return Start(Plan(**begun.plan), [], complete=True)
    _require_same(begun, keys, path, advice)
    if not is_laid_out:  # it was stopped before it began to replace what is finished
        return _from_the_start(job, store, journal, called, keys, inputs)
    return _resumed(job, store, journal, begun)


def _from_the_start(
    job: Job,
    store: Store,
    journal: Journal,
    called: str,
    keys: dict[str, str],
    inputs: Mapping[str, str],
) -> Start:
    plan, path = job.plan, job.config.target.path
    _require_space(job, store, plan, plan.count)
    begun = journal.run()
    require_only_ours(store, begun)
    state = store.state()
    if state == "unfinished":
        say(f"what an earlier run left of {path} is replaced")
    run = _record(job, called, keys, inputs, plan, begun)
    with recording() as read:
        template = _with_history(job.template, called, run.digest)
        journal.begin(run)
        labels = store.lay_out(template, [*run.names, *all_names(begun)])
    journal.amend(laid_out=True, labels=labels, read=read)
    return Start(plan, list(range(plan.count)))


def _record(
    job: Job,
    called: str,
    keys: dict[str, str],
    inputs: Mapping[str, str],
    plan: Plan,
    begun: RunRecord | None,
) -> RunRecord:
    """Of a run that begins, in place of what ``begun`` has made."""
    return RunRecord(
        digest=identity.digest(keys),
        identity=keys,
        config=job.config.model_dump(mode="json"),
        called=called,
        versions=identity.versions(),
        inputs=dict(inputs),
        read={},
        names=[str(name) for name in job.template.variables],
        replaces=known(begun),
        regions=plan.count,
        plan=asdict(plan),
        began=time.time(),
    )


def _extended(
    job: Job,
    store: Store,
    journal: Journal,
    called: str,
    inputs: Mapping[str, str],
    begun: RunRecord,
    state: State,
) -> Start:
    """What is new, and what of the old reaches beyond its end; nothing published is touched."""
    path, is_whole = job.config.target.path, state == "finished" and begun.laid_out
    require_only_ours(store, begun)
    old = extending.beginning_of(job, begun)
    _require_same(begun, old.identity, path)
    plan = extending.plan_of(job, begun)
    job.require_room(plan)
    kept = extending.kept(old, job, begun, plan, journal, is_whole=is_whole)
    _require_space(job, store, plan, plan.count - len(kept))
    if is_whole:  # what an interrupted publication left beside it
        store.publish(begun.names, begun.replaces)
    # In this order: whatever is cut off, no record counts that does not hold for the new target.
    journal.forget(journal.regions().keys() - set(kept))
    run = _record(job, called, job.identity, inputs, plan, begun)
    with recording() as read:
        template = _with_history(job.template, called, run.digest)
        base = begun.digest if is_whole else begun.grown_from or ""
        replaces = {begun.digest: begun.names} if is_whole else begun.replaces
        run = replace(run, replaces=replaces, grown_from=base)
        journal.amend(**vars(run))
        shards = (key for record in kept.values() for key in record.checksums)
        labels = store.extend(template, base, shards)
    journal.amend(laid_out=True, labels=labels, read=read)
    todo = _missing(plan, store, journal)
    say(f"extending {path}: {plan.count - len(todo)} of {plan.count} regions are kept")
    return Start(plan, todo, resumed=True)


def _with_history(template: xr.Dataset, called: str, digest: str) -> xr.Dataset:
    """With CF's audit trail, the newest line first, and what finds the journal again."""
    # https://reproducible-builds.org/specs/source-date-epoch: so that two runs can be equal.
    now = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    line = (
        f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ} {called} "
        f"(fdgrad_dask {identity.version('fdgrad_dask')})"
    )
    history = "\n".join([line, *filter(None, [template.attrs.get("history")])])
    return template.assign_attrs(history=history, fdgrad_digest=digest)


def _resumed(job: Job, store: Store, journal: Journal, begun: RunRecord) -> Start:
    """The regions that are not finished, or whose inputs have changed since."""
    plan, path = Plan(**begun.plan), job.config.target.path
    job.require_room(plan)
    if labels := job.inputs.changed([begun.read]):
        raise OutputError(
            f"coordinates of {path} were read from {job.inputs.shown(labels)}, which has changed "
            "since; run with --fresh"
        )
    if stale := _stale(job, journal.regions()):
        journal.forget(stale)
        warn(f"inputs have changed since: {len(stale)} of {plan.count} regions are computed again")
    todo = _missing(plan, store, journal)
    say(f"resuming {path}: {plan.count - len(todo)} of {plan.count} regions are finished")
    _require_space(job, store, plan, len(todo))
    return Start(plan, todo, resumed=True)


def _repaired(job: Job, store: Store, journal: Journal, begun: RunRecord) -> Start:
    """The regions of which a shard is missing or not what was written."""
    plan, path = Plan(**begun.plan), job.config.target.path
    job.require_room(plan)
    if changed := job.inputs.changed(verify.everything_read(begun, journal)):
        raise OutputError(
            f"{path} cannot be repaired: {job.inputs.shown(changed)} has changed since it was "
            "written, and two versions would be mixed; restore it, or run with --fresh"
        )
    found = verify.faults(store, journal)
    if labels := [fault for fault in found if fault.region is None]:
        raise OutputError(f"{labels[0]} of {path}, which no region writes; run with --fresh")
    broken = sorted({fault.region for fault in found if fault.region is not None})
    journal.forget(key_of(plan.span(number)) for number in broken)
    warn(f"{len(found)} shards are broken, in {len(broken)} of {plan.count} regions")
    return Start(plan, broken, resumed=True)


def _require_complete(job: Job, store: Store, journal: Journal, begun: RunRecord) -> None:
    """Refuses to call a published target complete that has holes, or other inputs than now."""
    path = job.config.target.path
    if missing := _missing(Plan(**begun.plan), store, journal):
        raise OutputError(
            f"{path} was complete, and shards of {len(missing)} regions are missing now; "
            "fdgrad run --repair computes them again"
        )
    verify.require_inputs(job.inputs, begun, journal, path)


def _stale(job: Job, records: Mapping[str, RegionRecord]) -> list[str]:
    """The finished regions that read what has changed since."""
    changed = job.inputs.changed(record.inputs for record in records.values())
    return [key for key, each in records.items() if not changed.isdisjoint(each.inputs)]


def _missing(plan: Plan, store: Store, journal: Journal) -> list[int]:
    """Regions that are not finished, or of which something has vanished since."""
    records = journal.numbered()
    vanished = store.absent(key for record in records.values() for key in record.checksums)

    def is_complete(record: RegionRecord | None) -> bool:
        return record is not None and vanished.isdisjoint(record.checksums)

    return [number for number in range(plan.count) if not is_complete(records.get(number))]


def _require_same(begun: RunRecord, keys: dict[str, str], path: str, advice: str = "") -> None:
    if begun.digest != identity.digest(keys):
        differing = "; ".join(identity.changed(begun.identity, keys))
        raise OutputError(
            f"{path} was begun with something else: {differing}; undo the change, {advice}run "
            "with --fresh to start again, or name another target"
        )


def _require_space(job: Job, store: Store, plan: Plan, regions: int) -> None:
    free, needed = store.free(), plan.bytes_written * regions // max(plan.count, 1)
    if free is None or free >= needed:
        return
    space = f"{format_bytes(needed)} are to be written beside {job.config.target.path}, and "
    if free < needed // _COMPRESSED:
        raise OutputError(
            f"{space}{format_bytes(free)} are free; make room, or name a target on another disk"
        )
    warn(f"{space}only {format_bytes(free)} are free: it fits if it compresses well")
