"""The conductor: from a config to a finished target, in order; and ``check``, which only looks."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version

import xarray as xr
from distributed import Client

from fdgrad_dask.pipeline import cluster, describe, picture, progress, steps, target
from fdgrad_dask.pipeline.config import Config
from fdgrad_dask.pipeline.source import open_source
from fdgrad_dask.pipeline.worker import Ready


def run(config: Config, *, called: str, fresh: bool) -> str:
    """Computes the steps, writes the target and draws the picture; a summary of it.

    Parameters
    ----------
    config : Config
        What to do.
    called : str
        The command, for the target's ``history``.
    fresh : bool
        Whether a target that is there is replaced.

    Raises
    ------
    FdgradError
        The class says whose turn it is; no target bears its name then.
    """
    began = time.monotonic()
    target.require_free(config.target, fresh=fresh)
    source, result = _planned(config)
    result = result.assign_attrs(history=_history(result, called))
    if os.path.isdir(target.partial_name(config.target)):
        _say(f"{target.partial_name(config.target)} of a run that did not end is replaced")
    _say(f"starting {config.cluster.workers} workers, threads of each: {config.cluster.threads}")
    with cluster.opened(config.cluster) as client, cluster.computing(config.cluster):
        with target.writing(config.target):
            _compute(client, config, result)
        target.publish(config.target)
        if config.picture:
            picture.draw(config.picture, config.target)
    lines = describe.what_is_read(config, source) + describe.what_is_written(config, result)
    if config.picture:
        lines.append(f"picture  {config.picture.path}")
    return "\n".join([*lines, f"took     {time.monotonic() - began:.1f} s"])


def _compute(client: Client, config: Config, result: xr.Dataset) -> None:
    """Fills the target under its partial name."""
    # The workers import JAX while the driver lays out the target.
    with ThreadPoolExecutor(1) as aside:
        ready = aside.submit(client.register_plugin, Ready())
        writes = target.lay_out(config.target, result)
        ready.result()
    future = client.compute(writes)
    progress.follow(client, future)
    future.result()


def check(config: Config) -> str:
    """What ``run`` would read, do and write, found out without computing anything."""
    source, result = _planned(config)
    lines = describe.what_is_read(config, source) + describe.what_is_planned(config, result)
    if os.path.exists(config.target.path):
        lines.append(f"         {config.target.path} exists: run needs --fresh, or another target")
    return "\n".join(lines)


def _planned(config: Config) -> tuple[xr.Dataset, xr.Dataset]:
    """The source, and the lazy result in the chunks of the target."""
    if config.picture:
        picture.require_matplotlib("picture")
    source = open_source(config.source)
    result = target.aligned(steps.build(config, source), config.target.chunks)
    if config.picture:
        picture.require_drawable(config.picture, result)
    return source, result


def _history(result: xr.Dataset, called: str) -> str:
    """CF's audit trail: the newest line first, with what was run by which version."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {called} (fdgrad_dask {version('fdgrad_dask')})"
    return "\n".join([line, *filter(None, [result.attrs.get("history")])])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
