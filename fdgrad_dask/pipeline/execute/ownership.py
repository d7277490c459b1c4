"""Who wrote what lies at a target: fdgrad, if the journal says so and the target agrees.

Nothing else is ever deleted or replaced, whatever it is called.
"""

from __future__ import annotations

import os

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.record import RunRecord
from fdgrad_dask.pipeline.store.base import State, Store


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
