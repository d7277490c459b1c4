"""What the peers are held against: ERA-Interim, and closed forms (`fields`)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import xarray as xr

ROOT = Path(__file__).parents[2]
ERA = Path(os.environ.get("FDGRAD_ERAINTERIM", ROOT / "../shared/data/eraint_uvz.nc"))


@pytest.fixture(scope="session")
def era():
    """u, v and z in January and July at 200, 500 and 850 hPa, 0.75°, coordinates in float64."""
    if not ERA.is_file():
        pytest.skip(f"no {ERA}: set FDGRAD_ERAINTERIM to a file with u, v and z of ERA-Interim")
    with warnings.catch_warnings():
        # Each variable says of itself that nothing is missing; xarray warns of how it says so.
        warnings.filterwarnings("ignore", ".*non-conforming '_FillValue'")
        with xr.open_dataset(ERA) as dataset:
            data = dataset.load()
    names = {name: data[name] for name in ("latitude", "longitude", "level")}
    wide = {name: (name, c.values.astype("f8"), c.attrs) for name, c in names.items()}
    return data.assign_coords(wide)
