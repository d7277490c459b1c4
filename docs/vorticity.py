"""Draw docs/vorticity.png, the figure of the first page: wind at 500 hPa and its vorticity.

    python docs/vorticity.py eraint_uvz.nc

The file is the monthly mean ERA-Interim wind of xarray's tutorials.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import fdgrad_dask  # noqa: F401 (the accessor .fdgrad)


def main(source: str) -> None:
    warnings.filterwarnings("ignore", ".*non-conforming '_FillValue'")
    era = xr.open_dataset(source).sel(month=1, level=500)
    vorticity = era.fdgrad.vorticity("u", "v") * 1e5
    # The Pacific in the middle; no edge appears where the file has its seam.
    era, vorticity = (
        one.assign_coords(longitude=one.longitude % 360).sortby("longitude")
        for one in (era, vorticity)
    )
    figure, axes = plt.subplots(figsize=(10, 4.4), layout="constrained")
    mesh = axes.pcolormesh(
        vorticity.longitude, vorticity.latitude, vorticity, cmap="RdBu_r", vmin=-4, vmax=4
    )
    few = era.isel(latitude=slice(6, -6, 9), longitude=slice(4, None, 12))
    axes.quiver(few.longitude, few.latitude, few.u, few.v, color="0.15", scale=900, width=0.0012)
    axes.set(xticks=range(0, 361, 60), yticks=range(-90, 91, 30), ylim=(-90, 90), xlim=(0, 359.25))
    axes.xaxis.set_major_formatter("{x:g}°E")
    axes.yaxis.set_major_formatter("{x:g}°")
    axes.set_title('ds.fdgrad.vorticity("u", "v")', family="monospace", loc="left")
    axes.set_title("ERA-Interim, 500 hPa, mean of January", loc="right", fontsize=10)
    figure.colorbar(mesh, ax=axes, extend="both", label="vorticity [10⁻⁵ s⁻¹]", pad=0.01)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
    assert np.isfinite(vorticity).all()  # at the poles too


if __name__ == "__main__":
    main(sys.argv[1])
