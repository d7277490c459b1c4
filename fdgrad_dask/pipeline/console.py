"""What the command says: on stdout and stderr, without secrets, and also when nobody listens.

A reader that goes away (``fdgrad run … 2>&1 | head -1``) ends no run: what it would have read is
dropped from then on.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from fdgrad_dask.pipeline.config.redaction import scrub


def say(text: str) -> None:
    """A line for the user, on stderr."""
    write(text, sys.stderr)


def write(text: str, stream: TextIO | None) -> None:
    """A line on ``stream``, which may be closed."""
    if stream is None:  # the process was started with it closed
        return
    try:
        print(scrub(text), file=stream, flush=True)
    except BrokenPipeError:
        _drop(stream)


def flush() -> None:
    """Writes what is left, so that the interpreter finds no closed pipe when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            _drop(stream)
        except ValueError:  # closed by somebody
            pass


def _drop(stream: TextIO) -> None:
    """What is written from now on, and what the stream still holds, goes nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
