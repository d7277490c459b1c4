"""The conductor: from a config to a finished target, in order; and what only looks at it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator
from contextlib import closing
from threading import Event

from fdgrad_dask.errors import InputError, Interrupted, OutputError
from fdgrad_dask.pipeline.config.cluster import Threads
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.console import log_into, say, warn
from fdgrad_dask.pipeline.execute import progress
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.lock import locked
from fdgrad_dask.pipeline.execute.pending import Pending
from fdgrad_dask.pipeline.execute.resume import Start, started
from fdgrad_dask.pipeline.execute.task import Result, Task
from fdgrad_dask.pipeline.execute.threads import in_threads
from fdgrad_dask.pipeline.execute.threads import keep_to_cpu as keep_to_cpu
from fdgrad_dask.pipeline.execute.verify import everything_read
from fdgrad_dask.pipeline.execute.window import stoppable
from fdgrad_dask.pipeline.planning import describe
from fdgrad_dask.pipeline.planning.job import Job, looked_at
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.planning.sample import sampled
from fdgrad_dask.pipeline.report import picture
from fdgrad_dask.pipeline.report.page import reported, write
from fdgrad_dask.pipeline.source.open import fingerprint
from fdgrad_dask.pipeline.source.remote import is_bucket
from fdgrad_dask.pipeline.store.base import Store
from fdgrad_dask.pipeline.store.open import beside, store_of
from fdgrad_dask.pipeline.summary import Checked, Finished, Planned


def run(config: Config, *, called: str, fresh: bool = False, repair: bool = False) -> Finished:
    """Computes what is missing, proves it complete, and gives it its name.

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
    path = config.target.path
    with locked(journal.place, path) as require_held:
        inputs = fingerprint(job.config.source)
        start = started(job, store, journal, called, inputs, fresh=fresh, repair=repair)
        if start.complete:
            text = _already(config, store, journal)
            return Finished(text, path, start.plan.count, 0, time.monotonic() - began)
        if not is_bucket(path):
            log_into(os.path.join(journal.place.path, "run.log"))
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
    seconds = time.monotonic() - began
    text = "\n".join([*lines, f"took     {seconds:.1f} s"])
    return Finished(text, path, start.plan.count, len(start.todo), seconds)


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
    if changed := job.inputs.changed([job.opened, *everything_read(run, journal)]):
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
    """Fills the target; of what an interrupt leaves, it says how to go on."""
    total, finished, nbytes = start.plan.count, start.plan.count - len(start.todo), 0
    before, shown = finished, progress.shown()
    given = (job.config, job.source, job.workload.shards, job.halos, job.pieces)
    task = Task(*given, job.config.cluster.threads, inputs, start.todo[0])
    pending = Pending(task.halos, start.plan, start.todo)
    with stoppable() as stop, closing(_execute(task, pending, stop, start.plan, journal)) as done:
        try:
            shown.show(finished, total, 0, 0)
            for results in done:
                for _, parcel in results:
                    store.accept(parcel)
                records = [record for record, _ in results]
                journal.finish(*records)
                for each in records:
                    say(f"region {each.number} {each.key}: {each.seconds:.1f} s", logging.DEBUG)
                    nbytes += each.bytes_read + each.bytes_written
                finished += len(records)
                shown.show(finished, total, finished - before, nbytes)
        finally:
            store.settle()
            shown.close()
    if pending:
        journal.note("interrupted", f"{len(pending)} of {total} regions were left")
        raise Interrupted(
            f"interrupted, {total - len(pending)} of {total} regions are finished and "
            f"kept. To resume: {called.replace(' --fresh', '')}"
        )


def _execute(
    task: Task, pending: Pending, stop: Event, plan: Plan, journal: Journal
) -> Generator[list[Result], None, None]:
    """What the executor of the config's cluster gives."""
    cluster = task.config.cluster
    if isinstance(cluster, Threads):
        return in_threads(task, pending, stop, cluster)
    # Only here: a run in this process need not wait for these imports.
    from fdgrad_dask.pipeline.execute.distributed import on_cluster

    def note(kind: str, text: str) -> None:
        journal.note(kind, text)
        warn(text)

    return on_cluster(task, pending, stop, cluster, plan.memory, note)


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


def check(config: Config) -> Checked:
    """What ``run`` would read, do and write, found out without computing anything."""
    job = _prepare(config)
    lines = describe.what_is_read(job) + describe.what_is_planned(job)
    return Checked("\n".join(lines), config.target.path, job.result)


def plan(config: Config, *, sample: bool = False) -> Planned:
    """The same with regions, bytes and memory, and if asked for what one region takes here.

    Raises
    ------
    ClusterError
        A worker has not the memory for a region.
    """
    job = _prepare(config)
    lines = describe.what_is_read(job) + describe.what_is_planned(job) + describe.regions(job)
    text = "\n".join([*lines, *(sampled(job) if sample else [])])
    return Planned(text, config.target.path, job.result, job.plan)
