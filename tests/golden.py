"""Hashes of what some hundreds of calls return, to prove that a change leaves right bits alone.

``python tests/golden.py OUT.json`` writes them (``--arrays`` also writes OUT.npz), and
``python tests/golden.py --compare A.json B.json`` lists the cases that differ. All inputs are
formulas without chance, and only such for which the answers are right at the commit that introduced
this file; together they take every path of the kernels: scratch, tiles, sweep, dask, JAX, NumPy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

import curved
import fields

import fdgrad_dask as fd
from fdgrad_dask import operators as op

Case = tuple[str, Callable[[], Any]]


def bumps(*shape: int, dtype: Any = "f8") -> np.ndarray:
    """Smooth values of order 1, without any symmetry; integers are of order 100."""
    points = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    values = sum(np.sin((3 + 2 * i) * x + i) + x**2 for i, x in enumerate(points))
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        values = values + 1j * np.cos(values)
    return (100 * values if dtype.kind == "i" else values).astype(dtype)


def line(n: int, kind: str) -> np.ndarray:
    """(n,) coordinates: even, uneven, even descending or uneven descending."""
    x = 0.25 * np.arange(n)
    x = x if kind.startswith("even") else x + 0.4 * np.sin(x)
    return x[::-1].copy() if kind.endswith("descending") else x


LINES = ("even", "uneven", "even descending", "uneven descending")
DTYPES = ("f8", "f4", "f2", "i4", "c8")
CHUNKS = ((5, 5), (7, 5))
RAGGED = {"p": {"p": (1, 3)}, "lat": {"lat": (6, 1, 6)}, "lon": {"lon": (9, 7)}}


def of_kind(f: np.ndarray, kind: str, chunks: Any = CHUNKS) -> Any:
    if kind == "dask":
        return da.from_array(f, chunks=chunks)
    return jnp.asarray(f) if kind == "jax" else f


def arrays() -> Iterator[Case]:
    """`fdgrad_dask.gradient` of (10, 12) arrays of every kind."""
    for dtype, kind, spaced in product(DTYPES, ("numpy", "dask", "jax"), LINES):
        f, x = bumps(10, 12, dtype=dtype), line(12, spaced)
        for edge_order in (1, 2) if dtype in ("f8", "f4") else (1,):
            yield (
                f"gradient {dtype} {kind} {spaced} edge_order {edge_order}",
                lambda f=f, x=x, e=edge_order, k=kind: fd.gradient(
                    of_kind(f, k), x, axis=1, edge_order=e
                ),
            )
    for dtype, kind in product(DTYPES, ("numpy", "dask", "jax")):
        f = bumps(10, 12, dtype=dtype)
        yield f"gradient {dtype} {kind} unit", lambda f=f, k=kind: fd.gradient(of_kind(f, k))
        yield (
            f"gradient {dtype} {kind} number",
            lambda f=f, k=kind: fd.gradient(of_kind(f, k), 0.3, axis=1),
        )
    bounds = ("reflect", "extend", 0.5, ("extend", "reflect"), "periodic", (None, 1.0))
    for dtype, kind, boundary in product(("f8", "f4"), ("numpy", "dask", "jax"), bounds):
        f = bumps(10, 12, dtype=dtype)
        yield (
            f"gradient {dtype} {kind} boundary {boundary}",
            lambda f=f, k=kind, b=boundary: fd.gradient(of_kind(f, k), 0.5, axis=1, boundary=b),
        )
    for dtype, kind, accuracy, spaced in product(
        ("f8", "f4"), ("numpy", "dask", "jax"), (4, 6, 8), LINES[:2]
    ):
        f, x = bumps(10, 12, dtype=dtype), line(12, spaced)
        chunks = ((5, 5), (8, 4)) if accuracy == 4 else ((5, 5), (12,))
        yield (
            f"gradient {dtype} {kind} accuracy {accuracy} {spaced}",
            lambda f=f, k=kind, x=x, a=accuracy, c=chunks: fd.gradient(
                of_kind(f, k, c), x, axis=1, accuracy=a
            ),
        )
    f, x = bumps(12), line(12, "uneven")
    yield (
        "gradient periodic with a period",
        lambda: fd.gradient(f, x, boundary="periodic", period=4.0),
    )
    single = jnp.asarray(f.astype("f4"))
    yield "gradient jit", lambda: jax.jit(lambda a: fd.gradient(a, 0.5, edge_order=2))(single)
    yield (
        "gradient vmap",
        lambda: jax.vmap(lambda a: fd.gradient(a, x))(jnp.asarray(bumps(10, 12, dtype="f4"))),
    )
    yield "gradient grad", lambda: jax.grad(lambda a: (fd.gradient(a, x) ** 2).sum())(single)
    masked = np.ma.masked_less(bumps(10, 12), 0.2)
    yield "gradient masked", lambda: fd.gradient(masked, 0.5, axis=0)
    yield "gradient long double", lambda: fd.gradient(bumps(10, 12).astype("longdouble"), 0.5)
    yield "gradient list", lambda: fd.gradient([0.0, 1.0, 4.0, 9.0], edge_order=2)
    for n in (2, 3, 5):
        yield f"gradient of {n} points", lambda n=n: fd.gradient(bumps(n), 0.3)


def large() -> Iterator[Case]:
    """Blocks of 6 MB and more: sweeps, tiles, transposed and strided memory."""
    f = bumps(8, 300, 320)
    x = [line(n, "uneven") for n in f.shape]
    for axis in (0, 1, 2, (1, 2)):
        spaced = [x[i] for i in np.atleast_1d(axis)]
        for dtype in ("f8", "f4"):
            yield (
                f"large {dtype} axis {axis}",
                lambda a=axis, s=spaced, d=dtype: fd.gradient(f.astype(d), *s, axis=a),
            )
    yield "large even", lambda: fd.gradient(f, 0.25, axis=1, edge_order=2)
    yield "large periodic", lambda: fd.gradient(f, 0.25, axis=2, boundary="periodic")
    yield "large reflect", lambda: fd.gradient(f, 0.25, axis=1, boundary="reflect")
    yield "large accuracy 4", lambda: fd.gradient(f, x[2], axis=2, accuracy=4)
    yield "large accuracy 6", lambda: fd.gradient(f, 0.25, axis=1, accuracy=6)
    yield "large complex", lambda: fd.gradient(f.astype("c8"), 0.25, axis=1)
    yield "large integers", lambda: fd.gradient((100 * f).astype("i4"), 0.25, axis=1)
    yield "large transposed", lambda: fd.gradient(f.T, x[1], axis=1)
    yield "large strided", lambda: fd.gradient(bumps(8, 300, 640)[..., ::2], x[2], axis=2)
    yield (
        "large dask",
        lambda: fd.gradient(da.from_array(f, chunks=((8,), (200, 100), (320,))), x[1], axis=1),
    )
    yield (
        "large tiles inside",
        lambda: fd.gradient(bumps(16, 300, 1000, dtype="f4"), 0.25, axis=1, accuracy=4),
    )
    yield "large tiles along the rows", lambda: fd.gradient(bumps(4, 1_200_000), 0.25, axis=1)
    ds = sphere(np.linspace(-89, 89, 300), np.arange(320) * 360 / 320, levels=True)
    for name in ("vorticity", "kinematics", "advection", "frontogenesis", "potential_vorticity"):
        yield f"large {name}", lambda n=name: apply(n, ds)
    ds_poles = sphere(np.linspace(-90, 90, 301), np.arange(320) * 360 / 320, levels=True)
    for name in ("vorticity", "laplacian", "horizontal_gradient"):
        yield f"large with poles {name}", lambda n=name: apply(n, ds_poles.astype("f4"))


LEVELS = [300.0, 400.0, 500.0, 700.0]


def filled(ds: xr.Dataset, dims: tuple[str, ...], *, levels: bool = False) -> xr.Dataset:
    """The coordinates of a dataset with u, v, t, z (height) on them, and omega on levels."""
    if levels:
        ds = ds.assign_coords(
            p=("p", LEVELS, {"units": "hPa", "axis": "Z", "positive": "down"}),
        )
        dims = ("p", *dims)
    shape = [ds.sizes[d] for d in dims]
    f = bumps(*shape)
    made = {
        "u": (10 * f, {"units": "m s-1", "standard_name": "eastward_wind"}),
        "v": (8 * np.roll(f, 1, -1) - 3, {"units": "m s-1", "standard_name": "northward_wind"}),
        "t": (280 + 5 * f, {"units": "K", "long_name": "temperature"}),
        "z": (5000 + 100 * f, {"units": "m"}),
        "omega": (0.1 * f, {"units": "Pa s-1"}),
    }
    return ds.assign({k: (dims, a, attrs) for k, (a, attrs) in made.items()})


def sphere(lat: Any, lon: Any, *, levels: bool = False) -> xr.Dataset:
    return filled(fields.degrees(lat, lon), ("lat", "lon"), levels=levels)


def on_places(grid: Callable, *, levels: bool = False) -> xr.Dataset:
    lat, lon = curved.sampled(grid, 13, 16)
    return filled(xr.Dataset(coords=curved.coordinates(lat, lon)), ("y", "x"), levels=levels)


def projected() -> xr.Dataset:
    mapping = {
        "grid_mapping_name": "lambert_conformal_conic",
        "standard_parallel": [30.0, 60.0],
        "earth_radius": 6371229.0,
        "longitude_of_central_meridian": 10.0,
        "latitude_of_projection_origin": 45.0,
    }
    names = {k: {"units": "m", "standard_name": f"projection_{k}_coordinate"} for k in "xy"}
    ds = xr.Dataset(
        coords={
            "x": ("x", np.arange(-8, 8) * 50e3, names["x"]),
            "y": ("y", np.arange(-6, 7) * 50e3, names["y"]),
            "crs": ((), 0, mapping),
        }
    )
    ds = filled(ds, ("y", "x"), levels=True)
    for name in ds.data_vars:
        ds[name].attrs["grid_mapping"] = "crs"
    return ds


def rotated() -> xr.Dataset:
    """Rotated longitudes and latitudes beside the true ones, and a wind along the grid."""
    s, t = np.linspace(-1, 1, 16), np.linspace(-1, 1, 13)
    ds = on_places(curved.rotated_pole, levels=True).rename(x="rlon", y="rlat")
    attrs = {"units": "degrees", "standard_name": "grid_longitude", "axis": "X"}
    ds = ds.assign_coords(
        rlon=("rlon", 20 * s, attrs),
        rlat=("rlat", 20 * t, {**attrs, "standard_name": "grid_latitude", "axis": "Y"}),
    )
    ds.u.attrs["standard_name"], ds.v.attrs["standard_name"] = "grid_eastward_wind", "y_wind"
    return ds


def steps(angle: bool) -> tuple[xr.Dataset, fd.Curvilinear]:
    ds = xr.Dataset({"u": (("y", "x"), np.zeros((13, 16)))})
    ds = filled(ds, ("y", "x"), levels=True)
    for name in "uv":
        del ds[name].attrs["standard_name"]
    dx = xr.DataArray(5e4 + 1e3 * bumps(13, 16), dims=("y", "x"), attrs={"units": "m"})
    dy = xr.DataArray(4e4 + 1e3 * bumps(13, 16), dims=("y", "x"), attrs={"units": "m"})
    turned = xr.DataArray(10 * bumps(13, 16), dims=("y", "x"), attrs={"units": "degree"})
    return ds, fd.Curvilinear(dx=dx, dy=dy, angle=turned if angle else None, components="grid")


SCALARS = ("horizontal_gradient", "gradient_magnitude", "laplacian")
WINDS = ("divergence", "vorticity", "absolute_vorticity", "deformation", "kinematics")
BOTH = ("advection", "frontogenesis", "q_vector", "potential_vorticity")
SHORT = ("horizontal_gradient", "laplacian", "kinematics", "potential_vorticity")
OPERATORS = (*SCALARS, "geostrophic_wind", *WINDS, *BOTH)


def apply(name: str, ds: xr.Dataset, **options: Any) -> Any:
    function = getattr(op, name)
    if name in SCALARS:
        return function(ds.t, **options)
    if name == "geostrophic_wind":
        return function(ds.z, **options)
    return function(ds.u, ds.v, *([ds.t] if name in BOTH else []), **options)


def labelled_operators() -> Iterator[Case]:
    """Every operator in every geometry, and its options on the sphere."""
    poles = sphere(np.linspace(-90, 90, 13), np.arange(16) * 22.5, levels=True)
    between = sphere(np.linspace(-85, 85, 13), np.arange(16) * 22.5, levels=True)
    falling = sphere(np.linspace(85, -85, 13), -180 + np.arange(16) * 22.5, levels=True)
    sector = sphere(np.linspace(20, 56, 13), 5 + 3 * np.arange(16), levels=True)
    uneven = sphere(20 + 10 * line(13, "uneven"), 5 + 9 * line(16, "uneven"), levels=True)
    flat = filled(fields.plane(np.arange(16) * 3e3, np.arange(13) * 2e3), ("y", "x"), levels=True)
    on_map, turned = projected(), rotated()
    both = sector.assign_coords(
        xlat=(("lat", "lon"), np.broadcast_to(sector.lat.values[:, None], (13, 16)).copy()),
        xlon=(("lat", "lon"), np.broadcast_to(sector.lon.values, (13, 16)).copy()),
    )
    both.xlat.attrs.update(units="degrees_north", standard_name="latitude")
    both.xlon.attrs.update(units="degrees_east", standard_name="longitude")
    grids: dict[str, tuple[xr.Dataset, dict[str, Any]]] = {
        "sphere with poles": (poles, {}),
        "sphere between poles": (between, {}),
        "sphere descending": (falling, {}),
        "sector": (sector, {}),
        "uneven sector": (uneven, {}),
        "plane": (flat, {"coriolis": 1e-4}),
        "2-D": (on_places(curved.turned, levels=True), {}),
        "2-D across the date line": (on_places(curved.across_date_line, levels=True), {}),
        "1-D with the same in 2-D": (both, {}),
        "Lambert": (on_map, {}),
        "rotated": (turned, {}),
        "dx, dy": (steps(False)[0], {"geometry": steps(False)[1], "coriolis": 1e-4}),
        "dx, dy, angle": (steps(True)[0], {"geometry": steps(True)[1], "coriolis": 1e-4}),
    }
    with_coriolis = ("absolute_vorticity", "geostrophic_wind", "potential_vorticity")
    in_short = {"sphere descending", "uneven sector", "2-D across the date line", "dx, dy"}
    in_short |= {"1-D with the same in 2-D", "rotated"}
    for (where, (ds, options)), name in product(grids.items(), OPERATORS):
        if where in in_short and name not in SHORT:
            continue
        given = {k: v for k, v in options.items() if k != "coriolis" or name in with_coriolis}
        yield f"{name} {where}", lambda n=name, ds=ds, o=given: apply(n, ds, **o)
    for where in ("sphere with poles", "2-D"):
        ds = grids[where][0]
        for name in OPERATORS if where == "sphere with poles" else SHORT:
            yield f"{name} {where} float32", lambda n=name, ds=ds: apply(n, ds.astype("f4"))
        chunks = {0: (6, 1, 6), 1: (9, 7)}
        for name in OPERATORS if where == "sphere with poles" else SHORT:
            cut = {ds.t.dims[1 + i]: c for i, c in chunks.items() if i == 0 or name in SHORT}
            yield f"{name} {where} dask", lambda n=name, ds=ds, c=cut: apply(n, ds.chunk(c))
    for name in ("kinematics", "laplacian", "advection"):
        holes = sector.where(bumps(4, 13, 16) < 1.6)
        for where, ds in (("sphere with poles", poles), ("2-D", grids["2-D"][0])):
            if (name, where) != ("laplacian", "2-D"):
                yield f"{name} {where} accuracy 4", lambda n=name, ds=ds: apply(n, ds, accuracy=4)
            yield f"{name} {where} edge_order 2", lambda n=name, ds=ds: apply(n, ds, edge_order=2)
        yield f"{name} holes", lambda n=name, ds=holes: apply(n, ds)
        yield f"{name} holes skipna", lambda n=name, ds=holes: apply(n, ds, skipna="one-sided")
        yield (
            f"{name} boundary",
            lambda n=name: apply(n, sector, boundary={"lat": "extend", "lon": "reflect"}),
        )
        yield f"{name} lon first", lambda n=name: apply(n, between.transpose("lon", "p", "lat"))
        yield f"{name} radius", lambda n=name: apply(n, between, geometry=fd.Sphere(3.4e6))
    yield (
        "advection with omega",
        lambda: op.advection(sector.u, sector.v, sector.t, sector.omega),
    )
    pascals = ("p", np.array(LEVELS) * 100, {**sector.p.attrs, "units": "Pa"})
    yield "one level q_vector", lambda: apply("q_vector", sector.isel(p=1))
    theta = sector.t.assign_attrs(standard_name="air_potential_temperature")
    yield "potential vorticity of theta", lambda: op.potential_vorticity(sector.u, sector.v, theta)
    yield (
        "q_vector in Pa",
        lambda: apply("q_vector", sector.assign_coords(p=pascals)),
    )
    z = {"z": ("z", [10.0, 20.0, 40.0, 80.0], {"units": "m", "positive": "up", "axis": "Z"})}
    cube = flat.drop_vars("z").rename(p="z").assign_coords(z)
    yield "curl", lambda: op.curl(cube.u, cube.v, cube.u.rename("w"))
    yield (
        "curl dask",
        lambda: (lambda c: op.curl(c.u, c.v, c.u.rename("w")))(
            cube.chunk(x=(9, 7), y=(5, 1, 7), z=(1, 3))
        ),
    )
    tiny = filled(fields.plane(np.arange(16.0), np.arange(13.0)), ("y", "x"))
    for dtype in ("f2", "i4", "c8"):
        for name in ("horizontal_gradient", "vorticity", "laplacian"):
            yield f"{name} plane {dtype}", lambda n=name, d=dtype: apply(n, tiny.astype(d))


def labelled_gradients() -> Iterator[Case]:
    """`.fdgrad.gradient` along places, times and levels."""
    ds = sphere(np.linspace(-80, 80, 13), np.arange(16) * 22.5, levels=True)
    t = ds.t.isel(p=0)
    for order, name, dtype in product((1, 2), ("lat", "lon", "p"), ("f8", "f4")):
        one = ds.t.astype(dtype)
        yield (
            f"gradient {name} order {order} {dtype}",
            lambda a=one, n=name, o=order: a.fdgrad.gradient(n, order=o),
        )
        yield (
            f"gradient {name} order {order} {dtype} dask",
            lambda a=one, n=name, o=order: a.chunk({"p": 4, **RAGGED[n]}).fdgrad.gradient(
                n, order=o
            ),
        )
    yield "gradient of all dims", lambda: t.fdgrad.gradient()
    yield (
        "gradient of two dims",
        lambda: t.fdgrad.gradient(["lat", "lon"], boundary={"lon": "periodic"}),
    )
    yield "gradient of a dataset", lambda: ds[["t", "z"]].fdgrad.gradient("lat")
    yield "gradient by a CF name", lambda: t.fdgrad.gradient("longitude", boundary="periodic")
    yield (
        "gradient order 2 periodic",
        lambda: t.fdgrad.gradient("lon", order=2, boundary="periodic"),
    )
    yield "gradient order 2 accuracy 4", lambda: t.fdgrad.gradient("lat", order=2, accuracy=4)
    lat = ds.lat.copy(data=20 + 10 * line(13, "uneven"))
    for order in (1, 2):
        yield (
            f"gradient uneven order {order}",
            lambda o=order: t.assign_coords(lat=lat).fdgrad.gradient("lat", order=o),
        )
    holes = t.where(bumps(13, 16) < 1.6)
    for dtype, order in product(("f8", "f4"), (1, 2)):
        yield (
            f"gradient holes {dtype} order {order}",
            lambda d=dtype, o=order: holes.astype(d).fdgrad.gradient("lat", order=o),
        )
        yield (
            f"gradient holes skipna {dtype} order {order}",
            lambda d=dtype, o=order: holes.astype(d).fdgrad.gradient(
                "lat", order=o, skipna="one-sided"
            ),
        )
    day = np.timedelta64(1, "D")
    times = {
        "days": np.datetime64("2000-01-01") + np.arange(13) * day,
        "months": np.arange("2000-01", "2001-02", dtype="datetime64[M]").astype("datetime64[ns]"),
        "durations": (np.arange(13) * day).astype("timedelta64[ns]"),
        "noleap": xr.date_range(
            "2000-01-01", periods=13, freq="MS", calendar="noleap", use_cftime=True
        ),
        "360_day": xr.date_range(
            "2000-01-01", periods=13, freq="D", calendar="360_day", use_cftime=True
        ),
    }
    for what, time in times.items():
        series = t.rename(lat="time").drop_vars("time").assign_coords(time=time)
        units = (None, "D", "h") if what != "360_day" else (None, "D")
        for unit in units:
            yield (
                f"gradient time {what} per {unit}",
                lambda s=series, u=unit: s.fdgrad.gradient("time", datetime_unit=u),
            )
    heights = ds.z + xr.DataArray([0.0, 800.0, 2000.0, 5000.0], dims="p")
    for dtype in ("f8", "f4"):
        yield (
            f"gradient coordinate {dtype}",
            lambda d=dtype: ds.t.astype(d).fdgrad.gradient("p", coordinate=heights.astype(d)),
        )
    yield (
        "gradient coordinate dask",
        lambda: ds.t.chunk(p=(1, 3), lat=(5, 8)).fdgrad.gradient("p", coordinate=heights),
    )
    yield (
        "gradient coordinate skipna",
        lambda: ds.t.where(bumps(4, 13, 16) < 1.6).fdgrad.gradient(
            "p", coordinate=heights, skipna="one-sided"
        ),
    )
    yield (
        "gradient coordinate of one dimension",
        lambda: ds.t.fdgrad.gradient(
            "p", coordinate=xr.DataArray([0.0, 1.0, 3.0, 7.0], dims="p", name="h")
        ),
    )
    yield "gradient without coordinates", lambda: t.drop_vars(["lat", "lon"]).fdgrad.gradient("lat")


def all_cases() -> Iterator[Case]:
    for group in (arrays, labelled_gradients, labelled_operators, large):
        yield from group()


def parts(result: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of a result, with the path to each."""
    if isinstance(result, tuple):
        for i, one in enumerate(result):
            yield from parts(one, f"{name}[{i}]")
    elif isinstance(result, xr.Dataset):
        for key, one in result.data_vars.items():
            yield from parts(one, f"{name}.{key}")
    else:
        yield name, result


def labels_of(result: Any) -> Any:
    """Everything about an array but its values, as JSON has it."""
    kind = type(getattr(result, "data", result) if isinstance(result, xr.DataArray) else result)
    made: dict[str, Any] = {"kind": kind.__name__}
    if isinstance(result, xr.DataArray):
        made |= {
            "name": str(result.name),
            "dims": list(map(str, result.dims)),
            "coords": sorted(map(str, result.coords)),
            "attrs": {str(k): repr(v) for k, v in sorted(result.attrs.items())},
        }
    if getattr(result, "chunks", None):
        made["chunks"] = repr(result.chunks)
    return made


def values_of(result: Any) -> np.ndarray:
    """The values in native memory; all NaN alike, since their sign says nothing.

    A long double has bytes that belong to no bit of it, so it is stored as a sum of two doubles.
    """
    data = result.data if isinstance(result, xr.DataArray) else result
    values = np.ascontiguousarray(np.ma.filled(np.ma.asarray(data), np.nan))
    if values.dtype.kind in "fc":
        values = np.where(np.isnan(values), np.asarray(np.nan, values.dtype), values)
    if values.dtype == np.longdouble and values.dtype.itemsize > 8:
        rounded = values.astype("f8")
        values = np.stack([rounded, (values - rounded).astype("f8")])
    return values


def write(out: Path, *, arrays_too: bool) -> int:
    found: dict[str, Any] = {}
    kept: dict[str, np.ndarray] = {}
    with dask.config.set(scheduler="synchronous"):
        for case, call in all_cases():
            for path, result in parts(call(), case):
                assert path not in found, f"two cases are called {path}"
                labels = labels_of(result)
                values = values_of(result)
                described = json.dumps([labels, values.dtype.str, values.shape])
                digest = hashlib.sha256(described.encode() + values.tobytes()).hexdigest()
                bits = hashlib.sha256(values.tobytes()).hexdigest()
                labels |= {"dtype": values.dtype.str, "shape": list(values.shape)}
                found[path] = {"sha256": digest, "bits": bits, "labels": labels}
                kept[path] = values
    out.write_text(json.dumps(found, indent=0))
    if arrays_too:
        np.savez(out.with_suffix(".npz"), **{k.replace("/", " per "): v for k, v in kept.items()})
    print(f"{len(found)} arrays in {out}")
    return 0


def compare(one: Path, other: Path) -> int:
    """Prints what differs; the exit code says whether anything does."""
    a, b = (json.loads(path.read_text()) for path in (one, other))
    stored = [path.with_suffix(".npz") for path in (one, other)]
    values = [np.load(path) for path in stored] if all(p.exists() for p in stored) else None
    for case in sorted(a.keys() ^ b.keys()):
        print(f"{case}: only in {one if case in a else other}")
    differing = [case for case in a if case in b and a[case]["sha256"] != b[case]["sha256"]]
    for case in differing:
        old, new = a[case], b[case]
        changes = [
            f"{key} {old['labels'].get(key)} -> {new['labels'].get(key)}"
            for key in sorted(old["labels"] | new["labels"])
            if old["labels"].get(key) != new["labels"].get(key)
        ]
        if old["bits"] != new["bits"]:
            changes.insert(0, "values differ")
            if values is not None:
                x, y = (v[case.replace("/", " per ")] for v in values)
                if x.shape == y.shape:
                    with np.errstate(all="ignore"):
                        most = np.nanmax(np.abs(x.astype(complex) - y.astype(complex)))
                    missing = int((np.isnan(x) != np.isnan(y)).sum())
                    changes[0] += f" by up to {most:.3g}, NaN at {missing} other points"
        print(f"{case}: {'; '.join(changes)}")
    print(f"{len(differing)} of {len(a)} differ")
    return int(bool(differing) or a.keys() != b.keys())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--arrays", action="store_true", help="also write OUT.npz")
    given = parser.parse_args()
    if given.compare:
        return compare(*given.files)
    return write(given.files[0], arrays_too=given.arrays)


if __name__ == "__main__":
    sys.exit(main())
