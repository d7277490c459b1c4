"""A small store as ARCO-ERA5 is one, for configs/era5_pv.yaml: its levels have no units.

    python workflows/sample_era5.py
    fdgrad run configs/era5_pv.yaml

Air turns as a solid body, 20 m s-1 on the equator, and its potential temperature falls by 0.05 K
per hPa: the potential vorticity is g · 5e-4 K Pa-1 · (2 Ω + 40 m s-1 / a) · sin φ.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr


def main() -> int:
    (folder := Path("out/models")).mkdir(parents=True, exist_ok=True)
    units = {"latitude": "degrees_north", "longitude": "degrees_east"}
    grid = {"level": [300, 400, 500, 600, 700, 850], "latitude": np.arange(90.0, -91, -5)}
    grid["longitude"] = np.arange(0.0, 360, 5)
    still = xr.DataArray(np.zeros((6, 37, 72)), grid, tuple(grid))
    for name, unit in units.items():
        still[name].attrs["units"] = unit
    made = {
        "u_component_of_wind": still + 20 * np.cos(np.deg2rad(still.latitude)),
        "v_component_of_wind": still,
        "temperature": (still + 350 - 0.05 * still.level) * (still.level / 1000) ** (2 / 7),
    }
    for name, field in made.items():
        made[name] = field.assign_attrs(units="K" if name == "temperature" else "m s-1")
    store = xr.Dataset(made).astype("f4").chunk(level=2)
    store.to_zarr(folder / "arco_era5.zarr", mode="w", zarr_format=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
