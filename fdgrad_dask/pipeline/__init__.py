"""From a config to a finished target: `run`, `plan`, `check`, `status`, `verify`; and its rooms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdgrad_dask.pipeline.commands import check, plan, run
    from fdgrad_dask.pipeline.execute.status import status
    from fdgrad_dask.pipeline.execute.verify import verify

__all__ = ["check", "plan", "run", "status", "verify"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # `fdgrad --help` need not wait for what computes.
        if name not in __all__:
            raise AttributeError(f"module 'fdgrad_dask.pipeline' has no attribute {name!r}")
        home = f"execute.{name}" if name in ("status", "verify") else "commands"
        return getattr(import_module(f"fdgrad_dask.pipeline.{home}"), name)


def __dir__() -> list[str]:
    return __all__
