"""The conductor: from a config to a finished target, in order; and what only looks at it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import dask

from fdgrad_dask.errors import ClusterLostError, InputError, Interrupted, OutputError
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.console import say
from fdgrad_dask.pipeline.execute import progress, verify
from fdgrad_dask.pipeline.execute.distributed import Conductor, stoppable
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.lock import locked
from fdgrad_dask.pipeline.execute.record import RegionRecord
from fdgrad_dask.pipeline.execute.region import Opened
from fdgrad_dask.pipeline.execute.resume import Start, started
from fdgrad_dask.pipeline.execute.work import Work
from fdgrad_dask.pipeline.plan import describe
from fdgrad_dask.pipeline.plan.job import Job, looked_at
from fdgrad_dask.pipeline.plan.regions import Plan
from fdgrad_dask.pipeline.plan.sample import sampled
from fdgrad_dask.pipeline.report import picture
from fdgrad_dask.pipeline.report.page import reported, write
from fdgrad_dask.pipeline.source.open import fingerprint
from fdgrad_dask.pipeline.store.base import Store
from fdgrad_dask.pipeline.store.open import beside, store_of

_REBUILDS = 3
_SCHEDULER = {
    # A region that killed its worker comes back to us at once, and we say so.
    "distributed.scheduler.allowed-failures": 0,
    # The dashboard would remember the last 100 000 regions, of a kilobyte or more each.
    "distributed.scheduler.dashboard.tasks.task-stream-length": 1000,
}


def run(config: Config, *, called: str, fresh: bool = False, repair: bool = False) -> str:
    """Computes what is missing, proves it complete, gives it its name; a summary.

    Parameters
    ----------
    config : Config
        What to do.
    called : str
        The command, for the target's ``history`` and for the way to go on.
    fresh : bool
        Whether a target that is there is replaced.
    repair : bool
        Whether the broken shards of one that exists are written again.

    Raises
    ------
    FdgradError
        The class says whose turn it is; a target that is not whole does not bear its name.
    """
    began = time.monotonic()
    job, store = _prepare(config), store_of(config.target)
    journal = Journal(beside(config.target))
    with locked(journal.place, config.target.path) as require_held:
        inputs = fingerprint(job.config.source)
        start = started(job, store, journal, called, inputs, fresh=fresh, repair=repair)
        if start.complete:
            return _already(config, store, journal)
        with reported(config, journal):
            if start.todo:
                _compute(job, start, store, journal, called, inputs)
            _require_whole(start.plan, store, journal)
            _require_inputs(job, journal)
            require_held()
            _remove_leftovers(start, store, journal)
            _publish(store, journal)
            journal.end()
    if config.picture:
        picture.draw(config.picture, config.target)
    lines = describe.what_is_read(job) + describe.what_is_written(job)
    if config.picture:
        lines.append(f"picture  {config.picture.path}")
    if config.report:
        lines.append(f"report   {config.report.path}")
    return "\n".join([*lines, f"took     {time.monotonic() - began:.1f} s"])


def _already(config: Config, store: Store, journal: Journal) -> str:
    """What is left to do for a target that is complete: pages that an interrupted run owes."""
    _publish(store, journal)
    run = journal.run()
    if run is not None and run.ended is None:
        journal.end()
    if config.report and not os.path.lexists(config.report.path):
        write(config, journal)
    if config.picture and not os.path.lexists(config.picture.path):
        picture.draw(config.picture, config.target)
    return f"{config.target.path} is already complete; nothing to do (use --fresh to recompute it)"


def _remove_leftovers(start: Start, store: Store, journal: Journal) -> None:
    """Of writers that were killed, where any were: to look costs as much as to list the target."""
    run = journal.run()
    if run is not None and (start.resumed or run.events):
        store.remove_leftovers(run.names)


def _publish(store: Store, journal: Journal) -> None:
    if run := journal.run():
        store.publish(run.names, run.replaces)


def _require_inputs(job: Job, journal: Journal) -> None:
    """Refuses to publish what is made of two versions of an input.

    Raises
    ------
    InputError
        What was read is not what is there now; running again computes those regions again.
    """
    if (run := journal.run()) is None:
        return
    if changed := job.inputs.changed([job.opened, *verify.everything_read(run, journal)]):
        raise InputError(
            f"{job.inputs.shown(changed)} changed while the run went on, so "
            f"{job.config.target.path} is not published; run again once nothing writes there any "
            "more, and what was made of it is computed again"
        )


def _compute(
    job: Job,
    start: Start,
    store: Store,
    journal: Journal,
    called: str,
    inputs: dict[str, str],
) -> None:
    """Fills the target; on another cluster where one is lost."""
    config, shown = job.config, progress.shown()
    plan, todo = start.plan, start.todo
    total, new, nbytes = plan.count, 0, 0

    def finished(record: RegionRecord, parcel: Any) -> None:
        nonlocal new, nbytes
        store.accept(parcel)
        journal.finish(record)
        new, nbytes = new + 1, nbytes + record.bytes_read + record.bytes_written
        shown.show(total - len(todo) + new, total, new, nbytes)

    def note(kind: str, text: str) -> None:
        journal.note(kind, text)
        say(text)

    work = Work(
        uuid4().hex[:8],
        config,
        job.workload.shards,
        job.halos,
        job.pieces,
        config.cluster.threads,
        inputs,
        todo[0],
    )
    with stoppable() as stop:
        conductor = Conductor(work, plan, todo, job.limit, stop, finished, note)
        try:
            shown.show(total - len(todo), total, 0, 0)
            _on_clusters(job, Opened(work, job.source, plan.middle), conductor, note)
        finally:
            store.settle()
            shown.close()
    if conductor.left:
        journal.note("interrupted", f"{conductor.left} of {total} regions were left")
        raise Interrupted(
            f"interrupted, {total - conductor.left} of {total} regions are finished and "
            f"kept. To resume: {called.replace(' --fresh', '')}"
        )


def _on_clusters(
    job: Job, source: Opened, conductor: Conductor, note: Callable[[str, str], None]
) -> None:
    wanted = job.config.cluster
    for rebuilt in range(_REBUILDS + 1):
        say(f"starting {wanted.workers} workers, threads of each: {wanted.threads}")
        try:
            with (
                dask.config.set(_SCHEDULER),
                cluster.opened(wanted) as client,
                cluster.computing(wanted),
            ):
                say(f"dashboard at {client.dashboard_link}")
                client.register_plugin(source)
                try:
                    conductor.on(client)
                finally:
                    with suppress(Exception):  # the cluster may be lost, and with it the plugin
                        client.unregister_worker_plugin(source.name)
                return
        except ClusterLostError as error:
            if rebuilt == _REBUILDS:
                raise
            note("cluster lost", f"cluster lost, rebuilding ({rebuilt + 1}/{_REBUILDS}): {error}")


def _require_whole(plan: Plan, store: Store, journal: Journal) -> None:
    """Refuses to publish what has holes, whoever made them."""
    records = journal.numbered()
    keys = [key for record in records.values() for key in record.checksums]
    holes = len(store.absent(keys))
    if holes or len(records) < plan.count:
        raise OutputError(
            f"{holes} shards and the records of {plan.count - len(records)} regions vanished "
            "while the run went on; run again to write them"
        )


def _prepare(config: Config) -> Job:
    """The job of a config, once picture and report are known to be possible.

    Raises
    ------
    FdgradError
        Whatever is wrong with source, steps, target, picture or report.
    """
    for section in ("picture", "report"):
        if getattr(config, section):
            picture.require_matplotlib(section)
    job = looked_at(config)
    if config.picture:
        picture.require_drawable(config.picture, job.result)
    return job


def check(config: Config) -> str:
    """What ``run`` would read, do and write, found out without computing anything."""
    job = _prepare(config)
    return "\n".join(describe.what_is_read(job) + describe.what_is_planned(job))


def planned(config: Config, *, sample: bool = False) -> str:
    """The same with regions, bytes and memory, and if asked for what one region takes here.

    Raises
    ------
    ClusterError
        A worker has not the memory for a region.
    """
    job = _prepare(config)
    lines = describe.what_is_read(job) + describe.what_is_planned(job)
    return "\n".join([*lines, *describe.regions(job), *(sampled(job) if sample else [])])
