"""Every error a reader of this package can meet, grouped by what they can do about it.

Each class is also the builtin that a caller of NumPy or xarray would expect, and carries the
exit code with which ``fdgrad`` ends when it meets one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FdgradError(Exception):
    """What is, what was needed, what to do."""

    exit_code = 1


class OptionError(FdgradError, ValueError):
    """An argument asks for something that does not exist: change the call."""

    exit_code = 2


class ConfigError(FdgradError, ValueError):
    """The YAML says something that cannot be run: edit the file."""

    exit_code = 2


class CoordinateError(FdgradError, ValueError):
    """The coordinate cannot be differentiated along: fix it, or name another."""

    exit_code = 3


class ChunkError(FdgradError, ValueError):
    """The chunks of a dask array cannot be cut into blocks with halos: rechunk."""

    exit_code = 3


class InputError(FdgradError, OSError):
    """The source cannot be read, or does not hold what the steps name: fix the data."""

    exit_code = 3


class OutputError(FdgradError, OSError):
    """The target is in the way, or cannot be written: move it, or make room."""

    exit_code = 4


class ClusterError(FdgradError, RuntimeError):
    """The workers cannot do what was asked: change the cluster or its limits."""

    exit_code = 5


class ClusterLostError(ClusterError):
    """The cluster went away while it computed: open another, and go on."""


class Interrupted(FdgradError, InterruptedError):  # noqa: N818
    """Somebody asked the run to stop, and it can go on later: run it again."""

    exit_code = 6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known.

    Examples
    --------
    >>> did_you_mean("gradeint", ["gradient", "laplacian"])
    "did you mean 'gradient'?"
    >>> did_you_mean("x", ["gradient", "laplacian"])
    'there is: gradient, laplacian'
    """
    names = [str(other) for other in known]
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is: {', '.join(names)}" if names else "there is none"
