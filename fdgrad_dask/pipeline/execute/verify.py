"""Proves a target complete and intact: every shard has the bytes that were written.

And that fdgrad wrote it, as the config says, of inputs that are still what they were. Nothing else
is ever deleted or replaced, whatever it is called.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from fdgrad_dask.errors import InputError, OutputError
from fdgrad_dask.pipeline.config.schema import AnyConfig, Config, load
from fdgrad_dask.pipeline.execute.journal import Journal, RunRecord
from fdgrad_dask.pipeline.planning import identity
from fdgrad_dask.pipeline.planning.describe import Summary
from fdgrad_dask.pipeline.planning.job import looked_at
from fdgrad_dask.pipeline.source.open import Inputs
from fdgrad_dask.pipeline.source.remote import files_of
from fdgrad_dask.pipeline.store.base import State, Store
from fdgrad_dask.pipeline.store.open import beside, store_of

_READERS = 8
_SHOWN = 20


def require_ours(store: Store, journal: Journal) -> State:
    """Refuses what somebody else wrote, or of which nothing says that we did; what is there."""
    state, run, beside = store.state(), journal.run(), journal.place.path
    for each in store.held():
        if each.digest in known(run) or (each.partial and run and not run.laid_out):
            continue
        why = f"{beside} is of another one" if run else f"it has no {beside}"
        raise OutputError(
            f"{each.path} exists, and nothing shows that fdgrad wrote it ({why}), so it is not "
            "replaced; move it and run with --fresh, or name another target"
        )
    return state


def require_only_ours(store: Store, run: RunRecord | None) -> None:
    """Refuses to replace what somebody else has put something into."""
    for each in store.held():
        if os.path.islink(each.path):
            raise OutputError(
                f"{each.path} is a symbolic link, which fdgrad did not make, so it is not "
                "replaced; name the target that it leads to, or another one"
            )
        names = known(run).get(each.digest or "", all_names(run))
        if strange := next(iter(store.strangers(each, names)), None):
            raise OutputError(
                f"{each.path} holds {strange}, which fdgrad did not write, so it is not replaced; "
                "move that away, or name another target"
            )


def known(run: RunRecord | None) -> dict[str, list[str]]:
    """The targets that a journal is about, by digest, with the names of their arrays."""
    return {} if run is None else {run.digest: run.names, **run.replaces}


def all_names(run: RunRecord | None) -> list[str]:
    """The arrays of them all: what is left where one was cut off that made room for another."""
    return [name for names in known(run).values() for name in names]


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was written, and the region that wrote it."""

    key: str
    what: str
    region: int | None

    def __str__(self) -> str:
        return f"{self.key} {self.what}"


def faults(store: Store, journal: Journal) -> list[Fault]:
    """All that is missing or not what was written, by the checksums of the stored bytes."""
    run, records = journal.run(), journal.numbered()
    if run is None:
        return []
    missing = [n for n in range(run.regions) if n not in records]
    found = [Fault(f"region {number}", "was not finished", number) for number in missing]
    written: list[tuple[str, str, int | None]] = [(*each, None) for each in run.labels.items()]
    for number, record in records.items():
        written += [(*each, number) for each in record.checksums.items()]

    def compare(key: str, checksum: str, region: int | None) -> Fault | None:
        if (stored := store.checksum(key)) == checksum:
            return None
        what = "is empty" if store.absent([key]) else "has other bytes than were written"
        return Fault(key, "is missing" if stored is None else what, region)

    with ThreadPoolExecutor(_READERS) as readers:
        return found + [fault for fault in readers.map(lambda one: compare(*one), written) if fault]


def everything_read(run: RunRecord, journal: Journal) -> list[Mapping[str, str]]:
    """The versions of all objects that went into a target, a mapping a region."""
    return [run.read, *(record.inputs for record in journal.regions().values())]


def require_config(
    before: Mapping[str, str],
    now: Mapping[str, str],
    path: str,
    advice: str = "",
    *,
    is_complete: bool = False,
    is_changed: bool = False,
) -> None:
    """Refuses a config that is not the one of a run; a complete target outlives its packages.

    Where it ``is_changed`` they are but those that give the same bits; see `identity`.
    """
    if is_complete:
        before, now = (
            identity.without_versions(keys, but_ours=is_changed) for keys in (before, now)
        )
    if before != now:
        made = "is the result of" if is_complete else "was begun with"
        differing = "; ".join(identity.changed(before, now))
        raise OutputError(
            f"{path} {made} something else: {differing}; undo the change, {advice}run with --fresh "
            "to replace it, or name another target"
        )


def require_inputs(inputs: Inputs, run: RunRecord, journal: Journal, path: str) -> None:
    """Refuses a finished target whose inputs are not what they were."""
    if changed := inputs.changed(everything_read(run, journal)):
        raise OutputError(
            f"{path} is complete, but its inputs have changed since: {inputs.shown(changed)}; run "
            "with --fresh to compute it again, or restore them"
        )


@dataclass(frozen=True)
class Verified(Summary):
    """A target of which every stored byte is what was written."""

    regions: int
    shards: int


def verify(config: AnyConfig, *, settings: Sequence[str] = ()) -> Verified:
    """Prove a target complete and intact, and made of this config and these inputs; see ``run``.

    Raises
    ------
    OutputError
        It does not exist, or is not finished, or of something else, or broken; with the keys.
    """
    config = load(config, settings)
    store, path = store_of(config.target), config.target.path
    journal = Journal(beside(config.target))
    run, state = journal.run(), store.state()
    if state == "absent":
        raise OutputError(f"there is no target {path}; fdgrad run makes it")
    if run is None:
        raise OutputError(
            f"{path} has no journal {journal.place.path} that says what was written; restore it, "
            "or move the target and run again"
        )
    for each in store.held():  # one that says nothing of itself may be damaged, which is found
        if each.digest not in (None, *known(run)):
            require_ours(store, journal)
    if state != "finished":
        done = len(journal.numbered())
        raise OutputError(
            f"{path} is not finished, {done} of {run.regions} regions are; fdgrad run resumes it"
        )
    unseen = _require_same_job(config, run, journal)
    found = faults(store, journal)
    if found:
        more = [f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        lines = "\n  ".join([*map(str, found[:_SHOWN]), *more])
        raise OutputError(f"{path} is broken, fdgrad run --repair writes these again:\n  {lines}")
    require_ours(store, journal)  # also where what says whose it is was damaged
    shards = sum(len(record.checksums) for record in journal.numbered().values())
    text = f"{path} is complete: all {shards} shards of {run.regions} regions are intact{unseen}"
    return Verified(text, path, run.regions, shards)


def _require_same_job(config: Config, run: RunRecord, journal: Journal) -> str:
    """Compares config and inputs with those of the run, as far as the source is still there."""
    path = config.target.path
    try:
        job = looked_at(config)
    except InputError as error:
        known = run.identity.items()
        before = {key: value for key, value in known if not key.startswith(identity.LOOKED_AT)}
        require_config(before, identity.of_config(config), path, is_complete=True)
        # A source that is gone says nothing against a target; one that was replaced does.
        files: list[str] = []
        with suppress(InputError):
            files = files_of(config.source)
        inputs = Inputs(config.source, files)
        if not inputs.are_gone(everything_read(run, journal)):
            require_inputs(inputs, run, journal, path)
        return f"; its inputs are not compared: {error}"
    require_config(run.identity, job.identity, path, is_complete=True)
    require_inputs(job.inputs, run, journal, path)
    return ""
