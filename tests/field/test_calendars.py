"""Units and calendars of time that files have (F16; cases 11e to 11g)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

N = 4


def series(tmp_path, units: str, calendar: str | None = None, times=None):
    """A file of temperatures that rise by 3 in each step of time."""
    attrs = {"units": units} | ({"calendar": calendar} if calendar else {})
    times = np.arange(N) + 0.5 if times is None else times
    values = 3.0 * np.arange(3 * N).reshape(N, 3) / 3
    ds = xr.Dataset(
        {"sst": (("T", "Y"), values, {"units": "K"})},
        {"T": ("T", times, attrs), "Y": [0.0, 1, 2]},
    )
    path = tmp_path / "times.nc"
    ds.to_netcdf(path)
    return path


STEP = ("gradient", ["sst"], "d", {"dim": "T"})


def test_months_of_thirty_days(tmp_path, run):
    path = series(tmp_path, "months since 1960-01-01", "360_day")
    made = run(path, STEP)
    np.testing.assert_allclose(made.d, 3 / (30 * 86400), rtol=1e-9)
    assert made.d.attrs["units"] == "K s-1"


UNREAD = {
    "months of a real calendar": ("months since 1960-01-01", "standard"),
    "years of a real calendar": ("years since 1960-01-01", "standard"),
    "a calendar of another name": ("days since 1900-01-01", "THIRTY_DAY_MONTHS"),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_times_that_cannot_be_decoded(kind, tmp_path, check, run):
    path = series(tmp_path, *UNREAD[kind])
    code, message = check(path, STEP)
    if code:  # the message names the key, and with it the run goes on per month, year or day
        assert code == 3
        assert "decode_times" in message
        assert "whole" not in message
    made = run(path, STEP, source={"decode_times": False}, decode_times=False)
    np.testing.assert_allclose(made.d, 3, rtol=1e-9)


DAY = 86400.0
READ = {
    "days since the year 1": ("days since 0001-01-01", "standard", None, DAY),
    "float32 minutes": ("minutes since 2000-01-01", "standard", np.arange(N, dtype="f4") * 10, 600),
    "Z behind it": ("hours since 2000-01-01T00:00:00Z", None, None, 3600),
    "no leap years": ("days since 1999-02-27", "noleap", None, DAY),
}


@pytest.mark.filterwarnings("ignore:Unable to decode time axis")
@pytest.mark.parametrize("kind", READ)
def test_times_that_are_decoded(kind, tmp_path):
    units, calendar, times, seconds = READ[kind]
    path = series(tmp_path, units, calendar, times)
    with xr.open_dataset(path) as ds:
        made = ds.sst.fdgrad.gradient("T")
        np.testing.assert_allclose(made, 3 / seconds, rtol=1e-6)
        assert made.attrs["units"] == "K s-1"


def test_gaps_in_time(tmp_path):
    path = series(tmp_path, "days since 2000-01-01", None, np.array([0.0, 1, 11, 12]))
    with xr.open_dataset(path) as ds:
        made = ds.sst.fdgrad.gradient("T").isel(Y=0)
    # Weights of uneven spacing: 1 and 10 days, 10 and 1 day.
    inner = [(10 * 3 + 1 * 0.3) / 11, (1 * 0.3 + 10 * 3) / 11]
    np.testing.assert_allclose(made * DAY, [3, *inner, 3], rtol=1e-9)
