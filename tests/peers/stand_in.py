"""A pytest plugin that puts our gradient in the place of a peer's, in the peer's own tests.

``FDGRAD_PEER`` says whose. What was called, and how the tests ended, goes as JSON into the file
``FDGRAD_REPORT``. Nothing is replaced on import, only once the tests are collected.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

CALLS = {"ours": 0, "own": 0}
ENDS = {"passed": 0, "failed": 0, "skipped": 0}


def ours(f, *args, **options):
    import fdgrad_dask

    CALLS["ours"] += 1
    return fdgrad_dask.gradient(f, *args, **options)


def counting(function):
    """``function``, which counts who calls it from outside of this package."""

    def own(*args, **options):
        caller = sys._getframe(1).f_globals["__name__"]
        CALLS["own"] += not caller.startswith("fdgrad_dask")
        return function(*args, **options)

    return own


class Instead:
    """A module, but for ``gradient``."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        return ours if name == "gradient" else getattr(self._module, name)


def stand_in_for_numpy(tests):
    import numpy as np

    # Dates, masked arrays and the like are handed on to NumPy by us: that is not counted.
    np.gradient = counting(np.gradient)
    tests.np, tests.gradient = Instead(np), ours


def stand_in_for_dask(tests):
    import dask.array as da

    da.gradient = da.routines.gradient = counting(da.gradient)
    tests.da = Instead(da)  # its np stays: numpy.gradient is what the answers are held against


def stand_in_for_xarray(tests):
    import xarray as xr
    from xarray.core import duck_array_ops

    import fdgrad_dask  # noqa: F401 - registers the accessors

    def of_array(field, coord, edge_order=1, datetime_unit=None):
        CALLS["ours"] += 1
        options = {"edge_order": edge_order, "datetime_unit": datetime_unit}
        return field.fdgrad.gradient(coord, **options)

    def of_dataset(dataset, coord, edge_order=1, datetime_unit=None):
        CALLS["ours"] += 1
        options = {"edge_order": edge_order, "datetime_unit": datetime_unit}
        result = dataset.fdgrad.gradient(coord, **options)
        return result.rename({f"d{name}_d{coord}": name for name in dataset.data_vars})

    duck_array_ops.gradient = counting(duck_array_ops.gradient)
    xr.DataArray.differentiate, xr.Dataset.differentiate = of_array, of_dataset


STAND_IN = {
    "numpy": stand_in_for_numpy,
    "dask": stand_in_for_dask,
    "xarray": stand_in_for_xarray,
}


def pytest_collection_finish(session):
    for tests in {item.module for item in session.items}:
        STAND_IN[os.environ["FDGRAD_PEER"]](tests)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        ENDS[report.outcome] += 1


def pytest_sessionfinish():
    Path(os.environ["FDGRAD_REPORT"]).write_text(json.dumps(CALLS | ENDS))
