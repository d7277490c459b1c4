"""The commands from Python: a file, a dict or a model of a config in, a summary out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from fdgrad_dask.pipeline import commands
from fdgrad_dask.pipeline.config.schema import Config, load, parse
from fdgrad_dask.pipeline.execute import status as progress
from fdgrad_dask.pipeline.execute import verify as prove
from fdgrad_dask.pipeline.summary import Checked, Finished, Planned, Standing, Verified

AnyConfig = str | os.PathLike[str] | Mapping[str, Any] | Config


def run(
    config: AnyConfig, *, settings: Sequence[str] = (), fresh: bool = False, repair: bool = False
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

    Returns
    -------
    Finished
        ``str`` of it is what ``fdgrad run`` prints.

    Raises
    ------
    FdgradError
        Its class says whose turn it is; a target that is not complete does not bear its name.
    """
    called = f"fdgrad_dask.pipeline.run({_shown(config)})"
    return commands.run(_load(config, settings), called=called, fresh=fresh, repair=repair)


def plan(config: AnyConfig, *, settings: Sequence[str] = (), sample: bool = False) -> Planned:
    """Find out what a run would cost, from metadata alone; see ``run``.

    With ``sample`` one region is computed here, and measured.
    """
    return commands.plan(_load(config, settings), sample=sample)


def check(config: AnyConfig, *, settings: Sequence[str] = ()) -> Checked:
    """Find out what a run would read and write, from metadata alone; see ``run``."""
    return commands.check(_load(config, settings))


def verify(config: AnyConfig, *, settings: Sequence[str] = ()) -> Verified:
    """Prove a target complete and intact; see ``run``.

    Raises
    ------
    OutputError
        It is not, with the keys of what is missing or broken.
    """
    return prove.verify(_load(config, settings))


def status(config: AnyConfig, *, settings: Sequence[str] = ()) -> Standing:
    """Find out how far a run is, which another process may compute; see ``run``."""
    return progress.status(_load(config, settings))


def _load(config: AnyConfig, settings: Sequence[str]) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return parse("the config", json.dumps(config, default=os.fspath, indent=1), settings)
    return load(os.fspath(config), settings)


def _shown(config: AnyConfig) -> str:
    return repr(os.fspath(config)) if isinstance(config, str | os.PathLike) else "config"
