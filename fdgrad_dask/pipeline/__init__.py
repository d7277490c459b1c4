"""From a config to a finished target: `run`, `plan`, `check`, `status`, `verify`; and its rooms.

`info` and `init` look at a store for which there is no config yet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdgrad_dask.pipeline.commands import check, plan, run
    from fdgrad_dask.pipeline.execute.progress import status
    from fdgrad_dask.pipeline.execute.verify import verify
    from fdgrad_dask.pipeline.planning.starter import info, init

__all__ = ["check", "info", "init", "plan", "run", "status", "verify"]

_HOMES = {
    "info": "planning.starter",
    "init": "planning.starter",
    "status": "execute.progress",
    "verify": "execute.verify",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # `fdgrad --help` need not wait for what computes.
        if name not in __all__:
            raise AttributeError(f"module 'fdgrad_dask.pipeline' has no attribute {name!r}")
        home = _HOMES.get(name, "commands")
        return getattr(import_module(f"fdgrad_dask.pipeline.{home}"), name)


def __dir__() -> list[str]:
    return __all__
