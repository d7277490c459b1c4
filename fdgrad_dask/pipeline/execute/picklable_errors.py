"""Errors on their way from a worker to the driver, whole, whatever they were caused by."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from tblib import pickling_support

from fdgrad_dask.errors import FdgradError


@contextmanager
def travelling() -> Iterator[None]:
    """Takes from an error of ours the causes that cannot be pickled.

    distributed sends an error with its causes; where one of them cannot be, what arrives is a text
    without a class, and the exit code is that of a bug.
    """
    try:
        yield
    except FdgradError as error:
        link: BaseException | None = error
        while link is not None:
            before = link.__cause__ or link.__context__
            if before is not None and not _travels(before):
                before = link.__cause__ = link.__context__ = None
            link = before
        raise


def _travels(error: BaseException) -> bool:
    try:
        pickling_support.install(error)  # as distributed does, which changes how it is pickled
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever it says, it stays here
        return False
    return True
