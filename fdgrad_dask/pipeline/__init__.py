"""From a config to a finished target: `run`, `plan`, `check`, `status`, `verify`; and its rooms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdgrad_dask.pipeline.api import check, plan, run, status, verify

__all__ = ["check", "plan", "run", "status", "verify"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # `fdgrad --help` need not wait for what computes.
        if name not in __all__:
            raise AttributeError(f"module 'fdgrad_dask.pipeline' has no attribute {name!r}")
        value = getattr(import_module("fdgrad_dask.pipeline.api"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
