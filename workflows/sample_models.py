"""Small files as WRF, ROMS and NEMO write them, for the configs of these names.

    python workflows/sample_models.py
    fdgrad run configs/wrf.yaml

Air and water turn as a solid body, 20 m s-1 on the equator: the vorticity is 40 m s-1 · sin φ / a.
"""

import sys
from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

CELLS, FACES = np.arange(24) - 11.5, np.arange(25) - 12.0
NORTH, EAST, SPEED = ({"units": unit} for unit in ("degree_north", "degree_east", "m s-1"))


def main() -> int:
    (folder := Path("out/models")).mkdir(parents=True, exist_ok=True)
    for name, made in {"wrfout_d01": wrf(), "roms_his": roms(), **nemo()}.items():
        made.to_netcdf(folder / f"{name}.nc")
    return 0


def points(x, y, step, turned=0.0, **projection):
    """Places, metres on the map per metre, and the flow along x and y, at some points of a grid."""
    system, at = pyproj.Proj(**projection), step * np.add.outer(1j * y, x) * np.exp(1j * turned)
    lon, lat = system(at.real, at.imag, inverse=True)
    factors, east = system.get_factors(lon, lat), 20 * np.cos(np.deg2rad(lat))
    angle = turned - np.deg2rad(factors.meridian_convergence)
    flow = {"u": (east * np.cos(angle), SPEED), "v": (-east * np.sin(angle), SPEED)}
    found = {"lon": (lon, EAST), "lat": (lat, NORTH), "scale": (factors.meridional_scale, {})}
    return xr.Dataset({name: (("y", "x"), *held) for name, held in {**found, **flow}.items()})


def wrf():
    """Winds along the grid on the faces of the cells; all of the grid again for each time."""
    made, lambert = [], {"proj": "lcc", "lat_1": 30, "lat_2": 60, "lat_0": 45, "R": 6370000}
    for at, x, y in (("M", CELLS, CELLS), ("U", FACES, CELLS), ("V", CELLS, FACES)):
        own = points(x, y, 40e3, **lambert)[["lon", "lat", "scale", *at.lower().strip("m")]]
        end = f"_{at}".replace("_M", "")
        names = {"lon": f"XLONG{end}", "lat": f"XLAT{end}", "scale": f"MAPFAC_{at}"}
        names |= {
            "x": "west_east" + "_stag" * (at == "U"),
            "y": "south_north" + "_stag" * (at == "V"),
        }
        made.append(own.expand_dims(Time=2).set_coords(["lon", "lat"]).rename(names))
    return xr.merge(made).rename(u="U", v="V").assign_attrs(DX=40e3, DY=40e3)


def roms():
    """Axes turned by 30°; the steps as their inverse, pm and pn."""
    made, polar = [], {"proj": "stere", "lat_0": 40, "lon_0": -70, "R": 6371315}
    for at, x, y in (("rho", CELLS, CELLS), ("u", FACES[1:-1], CELLS), ("v", CELLS, FACES[1:-1])):
        own = points(x, y, 1e4, np.pi / 6, **polar).set_coords(["lon", "lat"])
        names = {"lon": f"lon_{at}", "lat": f"lat_{at}", "y": f"eta_{at}", "x": f"xi_{at}"}
        made.append(own[[at] if at in "uv" else ["scale"]].rename(names))
    pm = (made[0].scale / 1e4).assign_attrs(units="meter-1")
    return xr.merge(made[1:]).rename(u="ubar", v="vbar").assign(pm=pm, pn=pm)


def nemo():
    """Currents on the upper faces of the cells, whose sizes are in a file of their own."""
    mesh, fields, half = xr.Dataset(), xr.Dataset(), {"u": (0.5, 0), "v": (0, 0.5), "f": (0.5, 0.5)}
    for at, (x, y) in {"t": (0, 0), **half}.items():
        grid = {"proj": "merc", "lon_0": -30, "y_0": -5e6, "R": 6371229}
        own = points(CELLS + x, CELLS + y, 3e4, **grid)
        sizes = {f"e1{at}": 3e4 / own.scale, f"e2{at}": 3e4 / own.scale}
        mesh = mesh.assign({**sizes, f"glam{at}": own.lon, f"gphi{at}": own.lat})
        for name in {"u": ["vozocrtx"], "v": ["vomecrty"]}.get(at, []):
            fields[name] = own[at].expand_dims(f"depth{at}")
    return {"nemo_grid_UV": fields, "mesh_mask": mesh.expand_dims("t")}


if __name__ == "__main__":
    sys.exit(main())
