"""What the command says: on stdout and stderr, without secrets, and also when nobody listens.

What goes to stderr is a record of the logger ``fdgrad_dask``. The command shows its text alone; the
log file has time and level too, and what libraries warn of. A program that calls the engine
listens to that logger as it likes. A reader that goes away (``fdgrad run … 2>&1 | head -1``) ends
no run: what it would have read is dropped from then on.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import TextIOWrapper
from logging.handlers import MemoryHandler
from typing import TextIO

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.redaction import scrub

_LOGGER = logging.getLogger("fdgrad_dask")
# A name or attribute of a source could move the cursor of a terminal, or retitle its window.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def say(text: str, level: int = logging.INFO, *, traceback: bool = False) -> None:
    """A line for the user; ``traceback`` adds that of the error at hand to the log file."""
    _LOGGER.log(level, scrub(text), exc_info=traceback)


def warn(text: str) -> None:
    """A line about what may need somebody."""
    say(text, logging.WARNING)


@contextmanager
def listening(level: int = logging.INFO) -> Iterator[None]:
    """Shows what is said within on stderr, from a level on, and keeps it for ``log_into``.

    Warnings of libraries go to the log file alone; to stderr too where the level is DEBUG.
    """
    # Before distributed is imported: where the root has handlers, it adds none that prints.
    root, before, log = logging.getLogger(), _LOGGER.level, _Log()
    handlers = (_Terminal(level), log)
    _LOGGER.setLevel(min(level, logging.INFO))
    for handler in handlers:
        loud = logging.WARNING if handler.level <= logging.DEBUG else logging.CRITICAL + 1
        handler.addFilter(partial(_is_shown, loud))
        root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler in handlers:
            root.removeHandler(handler)
        log.open(None)
        _LOGGER.setLevel(before)


def log_into(path: str | None, *, chosen: bool = False) -> None:
    """From now on, and with what was kept, the command's log is this file, or none.

    One that was ``chosen`` stays.

    OutputError: one that was chosen cannot be written.
    """
    for log in logging.getLogger().handlers:
        if isinstance(log, _Log) and not log.is_chosen:
            try:
                log.open(path)
            except OSError as error:
                if chosen:
                    raise OutputError(
                        f"the log file {path} cannot be written ({error.strerror or error}); "
                        "name another with --log-file"
                    ) from error
            log.is_chosen = chosen


def has_bar(stream: TextIO | None) -> bool:
    """Whether a bar suits: on a terminal, where neither less nor a line a region is wanted."""
    levels = [each.level for each in logging.getLogger().handlers if isinstance(each, _Terminal)]
    return stream is not None and stream.isatty() and levels in ([], [logging.INFO])


def write(text: str, stream: TextIO | None, end: str = "\n") -> None:
    """Write to a stream, which may be closed, with all that it still holds."""
    if stream is None:  # the process was started with it closed
        return
    try:
        print(_printable(text), file=stream, end=end, flush=True)
    except (BrokenPipeError, ValueError):  # nobody reads it any more, or somebody closed it
        with suppress(OSError, ValueError):  # from now on it leads nowhere
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


class _Terminal(logging.Handler):
    """The text alone, on what stderr is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        write(record.getMessage(), sys.stderr)


class _Log(MemoryHandler):
    """Keeps what is said until it is known where the log lies."""

    def __init__(self) -> None:
        super().__init__(capacity=1, flushOnClose=False)
        self.is_chosen = False

    def open(self, path: str | None) -> None:
        """Closes the file at hand and opens this one; None forgets what was kept."""
        before, self.target = self.target, None
        with suppress(OSError):  # of a full disk
            if before:
                before.close()
        self.target = _LogFile(path) if path else None
        self.flush()
        if path is None:
            self.buffer.clear()


class _LogFile(logging.FileHandler):
    """A file that only its owner reads."""

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S%z"))

    def _open(self) -> TextIOWrapper:
        private = partial(os.open, mode=0o600)
        return open(self.baseFilename, "a", encoding="utf-8", opener=private)

    def format(self, record: logging.LogRecord) -> str:
        return _printable(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A full disk ends a run by what it writes there, not by its log."""


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", scrub(text))


def _is_shown(loud: int, record: logging.LogRecord) -> bool:
    """Whether a record is ours, or one of a library that is loud."""
    return record.name == _LOGGER.name or record.levelno >= loud
