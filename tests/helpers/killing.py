"""A process that dies between two effects on its files, or inside a write, without dying.

Python reports each open, rename, link and deletion to its audit hooks. Before effect ``n`` below a
folder all of the folder is copied, and afterwards put back: what a process leaves that is killed
there, with no ``finally`` run. The rest of the run goes to waste.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EFFECTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class _Watch:
    """Counts effects below a folder, and calls back before one of them."""

    def __init__(self, folder: str, at: int, call: Callable[[str | None], None]) -> None:
        self.folder, self.at, self.call = folder, at, call
        self.count, self.written = 0, ""
        self.lock = threading.Lock()
        self.is_calling = self.is_called = False  # what others do meanwhile is not counted

    def see(self, event: str, args: tuple[Any, ...]) -> None:
        path = args[0] if args and isinstance(args[0], str) else ""
        writes = event == "open" and bool(args[2] & _WRITING)
        if not (writes or event in _EFFECTS) or not path.startswith(self.folder):
            return
        if self.is_calling:
            return
        with self.lock:
            self.count += 1
            # Whoever is called may need the event loop of zarr, so not in its thread.
            is_due = 0 < self.at <= self.count and not self.is_called
            self.is_calling = is_caller = is_due and not _is_in_event_loop()
            self.is_called |= is_caller
            written, self.written = self.written or None, path if writes else ""
        if is_caller:
            try:
                self.call(written)
            finally:
                self.is_calling = False


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_watch: _Watch | None = None
_is_hooked = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watch is not None:
        _watch.see(event, args)


@contextmanager
def at_effect(folder: str, number: int, call: Callable[[str | None], None]) -> Iterator[_Watch]:
    """Calls back before effect ``number`` below ``folder``, counted from 1.

    What is called receives the file that was opened for writing just before, of which a process
    that is killed then may have written a part, or None.
    """
    global _watch, _is_hooked
    if not _is_hooked:  # a hook stays as long as its process
        sys.addaudithook(_hook)
        _is_hooked = True
    _watch = watch = _Watch(folder, number, call)
    try:
        yield watch
    finally:
        _watch = None


@contextmanager
def killed(folder: str, number: int, *, torn: bool) -> Iterator[_Watch]:
    """Leaves below ``folder`` what is there before effect ``number``, if it comes to that.

    With ``torn`` the write before that one was cut in its middle. Locks are those of the dead.
    """
    aside = f"{folder}-as-killed"

    def copy(written: str | None) -> None:
        while True:
            try:
                shutil.copytree(folder, aside)
                break
            except shutil.Error:  # another thread has just renamed what it wrote
                shutil.rmtree(aside)
        if torn and written and (file := Path(aside, os.path.relpath(written, folder))).exists():
            os.truncate(file, file.stat().st_size // 2)

    with at_effect(folder, number, copy) as watch:
        yield watch
    if os.path.exists(aside):
        shutil.rmtree(folder)
        os.rename(aside, folder)
        for lock in Path(folder).rglob("lock.json"):
            _bury(lock)


def _bury(lock: Path) -> None:
    """The number of the owner's process is another's now."""
    try:
        owner = json.loads(lock.read_bytes())
    except ValueError:  # torn
        return
    lock.write_text(json.dumps(owner | {"born": 1.0}))
