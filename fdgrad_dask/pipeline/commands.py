"""The conductor: from a config to a finished target, in order; and what only looks at it."""

import logging
import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

import xarray as xr

from fdgrad_dask.errors import InputError, Interrupted, OutputError
from fdgrad_dask.pipeline.config.cluster import Threads
from fdgrad_dask.pipeline.config.schema import AnyConfig, Config, load
from fdgrad_dask.pipeline.console import log_into, say, warn
from fdgrad_dask.pipeline.execute import progress
from fdgrad_dask.pipeline.execute.journal import Journal, RunRecord
from fdgrad_dask.pipeline.execute.lock import locked
from fdgrad_dask.pipeline.execute.resume import Beginning, Start
from fdgrad_dask.pipeline.execute.task import Result, Task, sampled
from fdgrad_dask.pipeline.execute.verify import everything_read
from fdgrad_dask.pipeline.execute.window import Pending, in_threads, stoppable
from fdgrad_dask.pipeline.planning import describe
from fdgrad_dask.pipeline.planning.describe import Summary
from fdgrad_dask.pipeline.planning.job import Job, looked_at
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.report import page
from fdgrad_dask.pipeline.source.open import fingerprint
from fdgrad_dask.pipeline.source.remote import is_bucket
from fdgrad_dask.pipeline.store.base import Store
from fdgrad_dask.pipeline.store.open import beside, store_of


@dataclass(frozen=True)
class Checked(Summary):
    """What a run would do."""

    result: xr.Dataset = field(repr=False)
    """Its results, lazy and in arrays of one chunk."""


@dataclass(frozen=True)
class Planned(Checked):
    """What a run would cost."""

    plan: Plan
    """Its regions, the bytes that they read and write, and the memory that one needs."""


@dataclass(frozen=True)
class Finished(Summary):
    """A target that is complete, with its regions, and those that this call computed."""

    regions: int
    computed: int
    seconds: float


def run(
    config: AnyConfig,
    *,
    settings: Sequence[str] = (),
    fresh: bool = False,
    repair: bool = False,
    called: str = "",
) -> Finished:
    """Compute and write what a config says; called again, resume it.

    Parameters
    ----------
    config : path, dict or Config
        A YAML file, or its content.
    settings : sequence of str
        ``a.b=c``, as ``--set`` of the command has it.
    fresh : bool
        Replace a target that exists.
    repair : bool
        Write the broken shards of one that exists again.
    called : str
        How to call it again, for the target's ``history`` and for messages.

    Returns
    -------
    Finished
        ``str`` of it is what ``fdgrad run`` prints.

    Raises
    ------
    FdgradError
        Its class says whose turn it is; a target that is not complete does not bear its name.
    """
    began = time.monotonic()
    shown = repr(os.fspath(config)) if isinstance(config, str | os.PathLike) else "config"
    called = called or f"fdgrad_dask.pipeline.run({shown})"
    config = load(config, settings)
    job, store = _prepare(config), store_of(config.target)
    journal = Journal(beside(config.target))
    path = config.target.path
    with locked(journal.place, path) as require_held:
        inputs = fingerprint(job.config.source)
        beginning = Beginning(job, store, journal, called, inputs)
        start = beginning.start(fresh=fresh, repair=repair)
        if start.complete:
            text = _already(config, store, journal)
            return Finished(text, path, start.plan.count, 0, time.monotonic() - began)
        if not is_bucket(path):
            log_into(os.path.join(journal.place.path, "run.log"))
        with page.reported(config, journal):
            if start.todo:
                _compute(job, start, store, journal, called, inputs)
            run = _require_whole(job, start.plan, store, journal)
            require_held()
            # Of writers that were killed, where any were: to look is to list the target.
            if start.resumed or run.events:
                store.remove_leftovers(run.names)
            _publish(store, journal)
            journal.end()
    if config.picture:
        page.draw(config.picture, config.target)
    lines = describe.what_is_read(job) + describe.what_is_written(job)
    pages = {"picture": config.picture, "report": config.report}
    lines += [f"{name:<8} {made.path}" for name, made in pages.items() if made]
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
        page.write(config, journal)
    if config.picture and not os.path.lexists(config.picture.path):
        page.draw(config.picture, config.target)
    return f"{config.target.path} is already complete; nothing to do (use --fresh to recompute it)"


def _publish(store: Store, journal: Journal) -> None:
    if run := journal.run():
        store.publish(run.names, run.replaces)


def _compute(
    job: Job, start: Start, store: Store, journal: Journal, called: str, inputs: dict[str, str]
) -> None:
    """Fills the target; of what an interrupt leaves, it says how to go on."""
    total, finished, nbytes = start.plan.count, start.plan.count - len(start.todo), 0
    before, shown = finished, progress.Progress()
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


def _require_whole(job: Job, plan: Plan, store: Store, journal: Journal) -> RunRecord:
    """Refuses to publish what has holes, or is made of two versions of an input."""
    run, records = journal.run(), journal.numbered()
    holes = len(store.absent([key for record in records.values() for key in record.checksums]))
    if run is None or holes or len(records) < plan.count:
        raise OutputError(
            f"{holes} shards and the records of {plan.count - len(records)} regions vanished "
            "while the run went on; run again to write them"
        )
    if changed := job.inputs.changed([job.opened, *everything_read(run, journal)]):
        raise InputError(
            f"{job.inputs.shown(changed)} changed while the run went on, so "
            f"{job.config.target.path} is not published; run again once nothing writes there any "
            "more, and what was made of it is computed again"
        )
    return run


def _prepare(config: Config) -> Job:
    """The job of a config, once picture and report are known to be possible."""
    for section in ("picture", "report"):
        if getattr(config, section):
            page.require_matplotlib(section)
    job = looked_at(config)
    if config.picture:
        page.require_drawable(config.picture, job.result)
    return job


def check(config: AnyConfig, *, settings: Sequence[str] = ()) -> Checked:
    """Find out what a run would read and write, from metadata alone; see ``run``."""
    job = _prepare(load(config, settings))
    lines = describe.what_is_read(job) + describe.what_is_planned(job)
    return Checked("\n".join(lines), job.config.target.path, job.result)


def plan(
    config: AnyConfig,
    *,
    settings: Sequence[str] = (),
    sample: bool = False,
    draw: bool = False,
) -> Planned:
    """Find out what a run would cost, from metadata alone; see ``run``.

    With ``sample`` one region is computed here, and measured; with ``draw`` one is drawn.

    Raises
    ------
    ClusterError
        A worker has not the memory for a region.
    """
    job = _prepare(load(config, settings))
    lines = describe.what_is_read(job) + describe.what_is_planned(job) + describe.regions(job)
    lines += describe.draw(job.workload, job.plan) if draw else []
    text = "\n".join([*lines, *(sampled(job) if sample else [])])
    return Planned(text, job.config.target.path, job.result, job.plan)
