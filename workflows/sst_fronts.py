"""Where the tropical sea has fronts, and when: |∇SST| above 1 K in 100 km.

    python workflows/sst_fronts.py

`fdgrad run` computes the gradient as configs/sst_fronts.yaml says; here it becomes a mask of
fronts, which is stored beside it, and a figure.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import xarray as xr

from fdgrad_dask.cli import main as fdgrad

CONFIG = Path(__file__).parents[1] / "configs" / "sst_fronts.yaml"
FOLDER = Path("out")
FRONT = 1.0  # K in 100 km


def main() -> int:
    if code := fdgrad(["run", str(CONFIG), "--fresh"]):
        return code
    with xr.open_zarr(FOLDER / "sst_fronts.zarr", decode_timedelta=False) as result:
        steepness = (result.sst_gradient * 1e5).compute()  # K m-1 to K in 100 km
    fronts = (steepness > FRONT).where(steepness.notnull()).rename("front")
    fronts.attrs = {"long_name": f"1 where the gradient is above {FRONT:g} K in 100 km"}
    fronts.astype("f4").to_netcdf(FOLDER / "sst_fronts.nc")
    print(f"fronts   {100 * float(fronts.mean()):.1f} % of the water and the months")
    draw(steepness, fronts)
    return 0


def draw(steepness: xr.DataArray, fronts: xr.DataArray) -> None:
    """How steep on average, how often a front, and in which months."""
    figure, axes = plt.subplots(3, figsize=(12, 9), height_ratios=(1, 1, 2), layout="constrained")
    share = 100 * fronts
    charts = [
        ("Mean gradient", steepness.mean("time"), "latitude", "magma", "K in 100 km"),
        ("Months with a front", share.mean("time"), "latitude", "cividis", "%"),
        ("Latitudes with a front, month by month", share.mean("latitude"), "time", "cividis", "%"),
    ]
    for ax, (title, chart, upward, colours, unit) in zip(axes, charts, strict=True):
        most = float(chart.quantile(0.98)) or 1.0
        mesh = ax.pcolormesh(chart.longitude, chart[upward], chart, vmin=0, vmax=most, cmap=colours)
        figure.colorbar(mesh, ax=ax, extend="max", label=unit, pad=0.01)
        ax.set_title(title, loc="left")
        ax.set(facecolor="0.85", xticks=range(0, 361, 60))
        ax.xaxis.set_major_formatter("{x:g}°E")
        if upward == "latitude":
            ax.yaxis.set_major_formatter("{x:g}°")
    figure.savefig(FOLDER / "sst_fronts.png", dpi=110)


if __name__ == "__main__":
    sys.exit(main())
