"""Runs that stop half-way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute.task import Task


def failing(monkeypatch: pytest.MonkeyPatch, last: int) -> Callable[[], None]:
    """Regions after ``last`` fail, until what is returned is called."""
    original = Task.compute

    def compute(task: Task, attempts: Any) -> Any:
        if attempts[-1].region > last:
            raise OutputError("enough of it")
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", compute)
    return lambda: monkeypatch.setattr(Task, "compute", original)
