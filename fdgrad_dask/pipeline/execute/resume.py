"""How a run begins: from the start, where it stopped, at broken shards; and what it refuses."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.console import say, warn
from fdgrad_dask.pipeline.execute import extending, verify
from fdgrad_dask.pipeline.execute.journal import Journal, RunRecord, key_of
from fdgrad_dask.pipeline.execute.verify import all_names, known, require_only_ours, require_ours
from fdgrad_dask.pipeline.planning import identity
from fdgrad_dask.pipeline.planning.job import Job
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.source.versions import recording
from fdgrad_dask.pipeline.store.base import Store

_COMPRESSED = 4  # times that no codec makes real fields smaller


class Start(NamedTuple):
    """The plan of a run, and the regions that are missing."""

    plan: Plan
    todo: list[int]
    complete: bool = False
    """Whether the target is published already, and nothing is to be done."""
    resumed: bool = False
    """Whether an earlier run wrote into the target, which may have been killed."""


@dataclass(frozen=True)
class Beginning:
    """A run that begins: decides what is to be done, and lays the target out where that is new."""

    job: Job
    store: Store
    journal: Journal
    called: str
    inputs: Mapping[str, str]
    """What each file of the source is."""

    def start(self, *, fresh: bool, repair: bool) -> Start:
        """The way on from what is there.

        OutputError: the target is not ours, or is of something else, or the disk is too small.
        ClusterError: the regions of a run that was begun elsewhere do not fit these workers.
        """
        job, path = self.job, self.job.config.target.path
        state, begun = require_ours(self.store, self.journal), self.journal.run()
        if repair:
            if state == "absent" or begun is None:
                raise OutputError(
                    f"the target {path} has no journal to repair it by; run with --fresh"
                )
            is_complete = state == "finished"
            verify.require_config(
                begun.identity, job.identity, path, is_complete=is_complete, is_changed=True
            )
            # What lies there is the target before it, or one without its coordinates.
            if not begun.laid_out:
                raise OutputError(
                    f"the last run of {path} was stopped before it wrote anything that could be "
                    "repaired; run without --repair, which resumes it"
                )
            return self._repair(begun)
        if fresh or state == "absent" or begun is None:
            return self._start_over()
        is_complete = state == "finished" and begun.laid_out
        longer = extending.find_grown(job, begun)
        if job.config.target.extend in longer:
            return self._extend(begun, is_complete)
        if state == "unfinished" and not begun.laid_out:
            return self._start_over()
        can_extend = longer and self.store.can_extend
        advice = f"append what is new by target.extend: {longer[0]}, " if can_extend else ""
        verify.require_config(begun.identity, job.identity, path, advice, is_complete=is_complete)
        if is_complete:
            plan = Plan(**begun.plan)
            if missing := self._find_missing(plan):
                raise OutputError(
                    f"{path} was complete, and shards of {len(missing)} regions are missing now; "
                    "fdgrad run --repair computes them again"
                )
            verify.require_inputs(job.inputs, begun, self.journal, path)
            return Start(plan, [], complete=True)
        if not begun.laid_out:  # it was stopped before it began to replace what is finished
            return self._start_over()
        return self._resume(begun)

    def _start_over(self) -> Start:
        plan, begun = self.job.plan, self.journal.run()
        self._require_space(plan, plan.count)
        require_only_ours(self.store, begun)
        if self.store.state() == "unfinished":
            say(f"what an earlier run left of {self.job.config.target.path} is replaced")
        run = self._record(plan, known(begun))
        with recording() as read:
            template = _add_history(self.job.template, run)
            self.journal.begin(run)
            labels = self.store.lay_out(template, [*run.names, *all_names(begun)])
        self.journal.amend(laid_out=True, labels=labels, read=read)
        return Start(plan, list(range(plan.count)))

    def _record(
        self, plan: Plan, replaces: dict[str, list[str]], grown_from: str | None = None
    ) -> RunRecord:
        return RunRecord(
            digest=identity.digest(self.job.identity),
            identity=self.job.identity,
            config=self.job.config.model_dump(mode="json"),
            called=self.called,
            versions=identity.versions(),
            inputs=dict(self.inputs),
            names=[str(name) for name in self.job.template.variables],
            replaces=replaces,
            grown_from=grown_from,
            regions=plan.count,
            plan=asdict(plan),
            began=time.time(),
        )

    def _extend(self, begun: RunRecord, is_complete: bool) -> Start:
        """What is new, and what of the old reaches beyond its end; nothing published is touched."""
        job, store, journal, path = self.job, self.store, self.journal, self.job.config.target.path
        require_only_ours(store, begun)
        old = extending.find_beginning(job, begun)
        verify.require_config(
            begun.identity, old.identity, path, is_complete=is_complete, is_changed=True
        )
        plan = extending.plan_longer(job, begun)
        job.require_room(plan)
        kept = extending.keep_records(old, job, begun, plan, journal, is_complete=is_complete)
        self._require_space(plan, plan.count - len(kept))
        if is_complete:  # what an interrupted publication left beside it
            store.publish(begun.names, begun.replaces)
        # In this order: whatever is cut off, each record that counts holds for the new target.
        journal.forget(journal.regions().keys() - set(kept))
        base = begun.digest if is_complete else begun.grown_from or ""
        replaces = {begun.digest: begun.names} if is_complete else begun.replaces
        run = self._record(plan, replaces, base)
        with recording() as read:
            template = _add_history(job.template, run)
            journal.amend(**vars(run))
            shards = (key for record in kept.values() for key in record.checksums)
            labels = store.extend(template, base, shards)
        journal.amend(laid_out=True, labels=labels, read=read)
        todo = self._find_missing(plan)
        say(f"extending {path}: {plan.count - len(todo)} of {plan.count} regions are kept")
        return Start(plan, todo, resumed=True)

    def _resume(self, begun: RunRecord) -> Start:
        """The regions that are not finished, or whose inputs have changed since."""
        job, plan, path = self.job, Plan(**begun.plan), self.job.config.target.path
        job.require_room(plan)
        if labels := job.inputs.changed([begun.read]):
            raise OutputError(
                f"coordinates of {path} were read from {job.inputs.shown(labels)}, which has "
                "changed since; run with --fresh"
            )
        records = self.journal.regions()
        changed = job.inputs.changed(record.inputs for record in records.values())
        if stale := [key for key, each in records.items() if changed.intersection(each.inputs)]:
            self.journal.forget(stale)
            warn(
                f"inputs have changed since: {len(stale)} of {plan.count} regions are computed "
                "again"
            )
        todo = self._find_missing(plan)
        say(f"resuming {path}: {plan.count - len(todo)} of {plan.count} regions are finished")
        self._require_space(plan, len(todo))
        return Start(plan, todo, resumed=True)

    def _repair(self, begun: RunRecord) -> Start:
        """The regions of which a shard is missing or not what was written."""
        job, plan, path = self.job, Plan(**begun.plan), self.job.config.target.path
        job.require_room(plan)
        if changed := job.inputs.changed(verify.everything_read(begun, self.journal)):
            raise extending.refuse_mixture(job, "repaired", changed)
        found = verify.faults(self.store, self.journal)
        if labels := [fault for fault in found if fault.region is None]:
            raise OutputError(f"{labels[0]} of {path}, which no region writes; run with --fresh")
        broken = sorted({fault.region for fault in found if fault.region is not None})
        self.journal.forget(key_of(plan.span(number)) for number in broken)
        warn(f"{len(found)} shards are broken, in {len(broken)} of {plan.count} regions")
        return Start(plan, broken, resumed=True)

    def _find_missing(self, plan: Plan) -> list[int]:
        """Regions that are not finished, or of which something has vanished since."""
        records = self.journal.numbered()
        vanished = self.store.absent(key for each in records.values() for key in each.checksums)
        complete = {n for n, each in records.items() if vanished.isdisjoint(each.checksums)}
        return [number for number in range(plan.count) if number not in complete]

    def _require_space(self, plan: Plan, regions: int) -> None:
        free, needed = self.store.free(), plan.bytes_written * regions // max(plan.count, 1)
        if free is None or free >= needed:
            return
        path = self.job.config.target.path
        space = f"{format_bytes(needed)} are to be written beside {path}, and "
        if free < needed // _COMPRESSED:
            raise OutputError(
                f"{space}{format_bytes(free)} are free; make room, or name a target on another disk"
            )
        warn(f"{space}only {format_bytes(free)} are free: it fits if it compresses well")


def _add_history(template: xr.Dataset, run: RunRecord) -> xr.Dataset:
    """With CF's audit trail, the newest line first, and what finds the journal again."""
    # https://reproducible-builds.org/specs/source-date-epoch: so that two runs can be equal.
    now = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    line = (
        f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ} {run.called} "
        f"(fdgrad_dask {identity.version('fdgrad_dask')})"
    )
    history = "\n".join([line, *filter(None, [template.attrs.get("history")])])
    return template.assign_attrs(history=history, fdgrad_digest=run.digest)
