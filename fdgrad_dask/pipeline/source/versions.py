"""By what each object of a source is known again: a version that changes when its content does.

Whatever is read is noted together with its version as it was just before: a file, or a chunk or
shard of a store. So two versions of one object can never end in one target unseen.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any

from zarr.abc.store import Store

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.source import remote

MISSING = "missing"
_CHANGED = ("ETag", "etag", "e_tag", "md5", "LastModified", "last_modified", "mtime", "created")
# Per context, so that runs in several threads of one process note their own reads only. zarr takes
# the context along to its event loop; a pool of threads has to be a `ContextPool`.
_recorders: ContextVar[tuple[dict[str, str], ...]] = ContextVar("_recorders", default=())


@contextmanager
def recording() -> Iterator[dict[str, str]]:
    """The version of every object that is read meanwhile in this context, by its name.

    A name is the number of a file of the source, or that and the key of an object in a store.
    """
    seen: dict[str, str] = {}
    token = _recorders.set((*_recorders.get(), seen))
    try:
        yield seen
    finally:
        _recorders.reset(token)


class ContextPool(ThreadPoolExecutor):
    """Threads that do each task in the context of whoever submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As of any pool; each task in a copy, as two threads cannot enter one context."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


def is_noted(name: str) -> bool:
    """Whether all that record have this object already, so that it need not be looked at again."""
    recorders = _recorders.get()
    return bool(recorders) and all(name in seen for seen in recorders)


def note(name: str, version: str) -> None:
    """An object is about to be read in this version."""
    for seen in _recorders.get():
        seen.setdefault(name, version)


def of(place: str, options: dict[str, Any]) -> str:
    """The version of a file here, or of what lies at a URL: its bytes, and its ETag or time."""
    try:
        if remote.is_url(place):
            system, path = remote.file_system(place, options)
            system.invalidate_cache(system._parent(path))
            info = system.info(path)
            changed = next(
                (str(info[key]) for key in _CHANGED if info.get(key)), "at a time unknown"
            )
            return f"{info['size']} bytes, changed {changed}"
        status = os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    seconds, rest = divmod(status.st_mtime_ns, 10**9)
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{status.st_size} bytes, changed {when:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def of_key(store: Store | None, root: str, key: str, options: dict[str, Any]) -> str:
    """The version of an object in the Zarr store at ``root``."""
    references = getattr(getattr(store, "fs", None), "references", None)
    if references is not None:  # kerchunk: what it refers to, or the file of references itself
        entry = references.get(key)
        refers = isinstance(entry, (list, tuple)) and entry[0]
        return of(str(entry[0]) if refers else root, options)
    if root.startswith("zip://"):
        root = root.partition("::")[2]
    elif remote.is_url(root) or os.path.isdir(root):
        return of(f"{root}/{key}", options)
    return of(root, options)  # an archive


def require_same(name: str, file: str, before: str, options: dict[str, Any]) -> None:
    """Notes that a file is read, which must still be the one that was opened."""
    if is_noted(name):
        return
    now = of(file, options)
    if now != before:
        raise InputError(
            f"{file} changed while it was read ({before} when it was opened, now: {now}); run "
            "again once nothing writes it any more"
        )
    note(name, before)
