"""Maps of what the wind does: vorticity, divergence, geostrophic wind, potential vorticity.

    FDGRAD_ERAINTERIM=eraint_uvz.nc python workflows/era5_kinematics.py

`fdgrad run` computes what configs/era5_kinematics.yaml says. The potential vorticity is made here,
as in a notebook: it needs a temperature, which the thickness of the layers gives.
"""

import calendar
import os
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import fdgrad_dask  # noqa: F401 (the accessor .fdgrad)
from fdgrad_dask.cli import main as fdgrad

CONFIG = Path(__file__).parents[1] / "configs" / "era5_kinematics.yaml"
FOLDER = Path("out")
GAS_CONSTANT = 287.05  # J kg-1 K-1, of dry air


def main() -> int:
    source = os.environ.get("FDGRAD_ERAINTERIM")
    if source is None:
        sys.exit(
            "no wind to look at; set FDGRAD_ERAINTERIM to a netCDF file with u, v and z by month, "
            "level, latitude and longitude, such as eraint_uvz.nc of xarray's tutorials"
        )
    if code := fdgrad(["run", str(CONFIG), "--fresh"]):
        return code
    warnings.filterwarnings("ignore", ".*non-conforming '_FillValue'")  # all values are there
    k = xr.open_zarr(FOLDER / "era5_kinematics.zarr")
    draw("Vorticity", k.vorticity * 1e5, "10⁻⁵ s⁻¹")
    draw("Divergence", k.divergence * 1e6, "10⁻⁶ s⁻¹")
    speed = np.hypot(k.ug, k.vg).where(abs(k.latitude) > 5)  # f is zero on the equator
    draw("Geostrophic wind speed", speed, "m s⁻¹", within=0.995)
    with xr.open_dataset(source, chunks={}) as era:
        draw("Potential vorticity", potential_vorticity(era) * 1e6, "PVU")
    return 0


def potential_vorticity(era: xr.Dataset) -> xr.DataArray:
    """With T = −(1/R) ∂Φ/∂ln p, the temperature that carries the layers."""
    thickness = era.z.fdgrad.gradient("level", coordinate=np.log(era.level), edge_order=2)
    temperature = (-thickness / GAS_CONSTANT).assign_attrs(units="K")
    winds = era.assign(t=temperature)
    return winds.fdgrad.potential_vorticity("u", "v", "t", vertical="level")


def draw(name: str, field: xr.DataArray, unit: str, within: float = 0.99) -> None:
    """Levels downwards, months across; on each scale lies a share ``within`` of the area."""
    area = np.cos(np.deg2rad(field.latitude))
    # The file's seam, at the date line, comes to lie in the middle of the Pacific jet.
    field = field.assign_coords(longitude=field.longitude % 360).sortby("longitude").compute()
    shape = field.sizes["level"], field.sizes["month"]
    figure, rows = plt.subplots(*shape, figsize=(14, 9.5), squeeze=False, layout="constrained")
    for row, (level, one) in zip(rows, field.groupby("level"), strict=True):
        most = float(abs(one).weighted(area).quantile(within))  # not by mountains
        signs = bool((one < 0).any())
        style = {"vmin": -most, "cmap": "RdBu_r"} if signs else {"vmin": 0, "cmap": "viridis"}
        for axes, (month, chart) in zip(row, one.squeeze("level").groupby("month"), strict=True):
            chart = chart.squeeze("month")
            mesh = axes.pcolormesh(chart.longitude, chart.latitude, chart, vmax=most, **style)
            axes.set_title(f"{calendar.month_name[month]}, {level} hPa", loc="left")
            axes.set(facecolor="0.85", xticks=range(0, 361, 60), yticks=range(-90, 91, 30))
            axes.xaxis.set_major_formatter("{x:g}°E")
            axes.yaxis.set_major_formatter("{x:g}°")
        figure.colorbar(mesh, ax=row, extend="both" if signs else "max", label=unit, pad=0.01)
    figure.suptitle(name)
    figure.savefig(FOLDER / f"{name.lower().replace(' ', '_')}.png", dpi=110)


if __name__ == "__main__":
    sys.exit(main())
