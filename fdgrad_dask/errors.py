"""The errors of this package, grouped by what a user can do about them.

Each class is also the builtin that a caller of NumPy or xarray would expect, and carries the
exit code of the command ``fdgrad``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FdgradError(Exception):
    """The base class: a message says what was found, what is needed and what to do."""

    exit_code = 1


class OptionError(FdgradError, ValueError):
    """An argument asks for something that does not exist: change the call."""

    exit_code = 2


class ConfigError(FdgradError, ValueError):
    """The YAML asks for something that cannot be run: edit the file."""

    exit_code = 2


class CoordinateError(FdgradError, ValueError):
    """A coordinate cannot be differentiated along: fix it, or name another."""

    exit_code = 3


class ChunkError(FdgradError, ValueError):
    """The chunks of a dask array cannot be cut into blocks with halos: rechunk."""

    exit_code = 3


class InputError(FdgradError, OSError):
    """The source cannot be read, or lacks what the steps name: fix the data."""

    exit_code = 3


class OutputError(FdgradError, OSError):
    """The target exists already, or cannot be written: move it, or make room."""

    exit_code = 4


class ClusterError(FdgradError, RuntimeError):
    """The workers cannot do what was asked: change the cluster or its limits."""

    exit_code = 5


class ClusterLostError(ClusterError):
    """The cluster was lost during the run: start another and resume."""


class Interrupted(FdgradError, InterruptedError):  # noqa: N818
    """The run was asked to stop and can be resumed: run it again."""

    exit_code = 6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Write the end of a message about an unknown name.

    Examples
    --------
    >>> did_you_mean("gradeint", ["gradient", "laplacian"])
    "did you mean 'gradient'?"
    >>> did_you_mean("x", ["gradient", "laplacian"])
    'there is: gradient, laplacian'
    """
    names = list(dict.fromkeys(map(str, known)))
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is: {', '.join(names)}" if names else "there is none"
