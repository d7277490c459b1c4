"""Rasters as rioxarray opens them: x and y without attributes, a fill where data are missing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fdgrad_dask.errors import CoordinateError

rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is not installed")
rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
pytestmark = pytest.mark.filterwarnings(
    "ignore::PendingDeprecationWarning"
)  # of affine's operators

STEP = 30.0  # m
EAST, NORTH = 0.1, 0.05  # rises of the plane
SCALE = 0.9996  # of UTM on its central meridian: the map is smaller than the ground


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    """A plane across the central meridian of UTM zone 33, with a gap in a corner."""
    path = tmp_path_factory.mktemp("raster") / "height.tif"
    rows, columns = np.indices((20, 30))
    z = (EAST * columns - NORTH * rows) * STEP
    z[:2, :2] = -9999
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        place = rasterio.transform.from_origin(499_550, 5_000_000, STEP, STEP)
        options = {"height": 20, "width": 30, "count": 1, "dtype": "float64", "nodata": -9999}
        options |= {"crs": "EPSG:32633", "transform": place}
        with rasterio.open(path, "w", driver="GTiff", **options) as file:
            file.write(z, 1)
    return path


def test_a_slope(raster):
    made = rioxarray.open_rasterio(raster, masked=True).fdgrad.gradient_magnitude()
    true = np.hypot(EAST, NORTH) * SCALE
    np.testing.assert_allclose(made.isel(band=0)[4:], true, rtol=1e-6)
    assert int(made.isnull().sum()) == 8  # the gap, and the points beside it


def test_a_fill_is_not_differentiated(raster):
    z = rioxarray.open_rasterio(raster)
    with pytest.raises(CoordinateError, match=r"_FillValue.*masked=True"):
        z.fdgrad.gradient_magnitude()
