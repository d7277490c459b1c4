"""Every operator for every kind of array: what comes in comes out, with the values of NumPy."""

from __future__ import annotations

import dask
import dask.array as da
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from curved import SPECTRAL
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.blocks import compute, host
from fdgrad_dask.blocks.interior import compute_interior
from fdgrad_dask.errors import CoordinateError

LEVELS = xr.DataArray(
    [1000.0, 850, 500, 300], dims="p", attrs={"units": "hPa", "standard_name": "air_pressure"}
)
GRIDS = {
    "globe": (np.linspace(-90, 90, 7), np.arange(0, 360, 45)),  # both poles, a circle
    "cyclic": (np.linspace(-60, 60, 7), np.linspace(0, 360, 9)),  # the last meridian is the first
    "region": (np.linspace(20, 50, 7), np.linspace(0, 20, 8)),
}


def dataset(kind: str) -> xr.Dataset:
    """Wind, temperature, heights and potential temperature on four levels, float32."""
    lat, lon = GRIDS[kind]
    coords = {
        "p": LEVELS,
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    level, y, x = np.meshgrid(np.arange(4), np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    values = {
        "u": (10 * np.cos(y) + level + np.sin(3 * x + y) * np.cos(y), "m s-1"),
        "v": (5 * np.sin(2 * x) * np.cos(y) - level * np.cos(x) * np.cos(y), "m s-1"),
        "t": (280 + 5 * np.cos(2 * x) * np.cos(y) - 10 * level, "K"),
        "z": (100 + 3000 * level + 50 * np.sin(x) * np.cos(y), "m"),
    }
    return xr.Dataset(
        {
            name: (("p", "lat", "lon"), data.astype("f4"), {"units": units})
            for name, (data, units) in values.items()
        },
        coords,
    )


def dataset_in_space() -> xr.Dataset:
    """Three components over z, y and x in metres."""
    names = ("z", "y", "x")
    coords = {
        name: (name, 10.0 * np.arange(n) ** 1.1, {"units": "m", "axis": name.upper()})
        for name, n in zip(names, (5, 6, 7), strict=True)
    }
    z, y, x = np.meshgrid(*(coords[name][1] / 30 for name in names), indexing="ij")
    fields = {"u": np.sin(y + z), "v": np.cos(x - z), "w": np.sin(x * y)}
    return xr.Dataset(
        {name: (names, f.astype("f4"), {"units": "m s-1"}) for name, f in fields.items()}, coords
    )


TURNED = fd.Curvilinear(angle=30.0)
OPERATORS = {
    "absolute_vorticity": lambda d: op.absolute_vorticity(d.u, d.v),
    "advection": lambda d: op.advection(d.u, d.v, d.t),
    "curl": lambda d: op.curl(d.u, d.v, d.w),
    "deformation": lambda d: op.deformation(d.u, d.v),
    "divergence": lambda d: op.divergence(d.u, d.v.assign_attrs(units="km h-1")),
    "frontogenesis": lambda d: op.frontogenesis(d.u, d.v, d.t.rename("theta")),
    "geostrophic_wind": lambda d: op.geostrophic_wind(d.z),
    "gradient": lambda d: op.gradient(d.t, ["lat", "lon"], edge_order=2),
    "gradient_magnitude": lambda d: op.gradient_magnitude(d.t),
    "horizontal_gradient": lambda d: op.horizontal_gradient(d.t),
    "kinematics": lambda d: op.kinematics(d.u, d.v),
    "laplacian": lambda d: op.laplacian(d.t),
    "potential_vorticity": lambda d: op.potential_vorticity(d.u, d.v, d.t),
    "q_vector": lambda d: op.q_vector(d.u, d.v, d.t),
    "rotate_to_earth": lambda d: op.rotate_to_earth(d.u, d.v, geometry=TURNED),
    "rotate_to_grid": lambda d: op.rotate_to_grid(d.u, d.v, geometry=TURNED),
    "vorticity": lambda d: op.vorticity(d.u, d.v),
}
VARIANTS = {
    "gradient of a Dataset": lambda d: op.gradient(d[["u", "t"]], "lat"),
    "gradient with skipna": lambda d: op.gradient(d.t, "lat", skipna="one-sided"),
    "gradient by a field": lambda d: op.gradient(d.t, "p", coordinate=d.z, edge_order=2),
    "gradient between walls": lambda d: op.gradient(d.t, "lat", boundary=(0.0, "reflect")),
}
CASES = (
    [(name, "globe", call) for name, call in OPERATORS.items() if name != "curl"]
    + [("curl", "space", OPERATORS["curl"])]
    + [("vorticity", "cyclic", OPERATORS["vorticity"])]
    + [("deformation", "region", OPERATORS["deformation"])]
    + [(name, "region", call) for name, call in VARIANTS.items()]
)
cases = pytest.mark.parametrize(
    ("kind", "call"), [c[1:] for c in CASES], ids=[f"{name}, {kind}" for name, kind, _ in CASES]
)
# Of kinematics, all but the three that two others are made of; each kernel takes seconds.
SMOOTH = [
    case
    for case in CASES
    if case[0] not in ("kinematics", "absolute_vorticity") and case[:2] != ("deformation", "region")
]
# Cut along levels, too, which takes a kernel for each of the corners.
CUT_IN_ALL = ("laplacian, globe", "gradient by a field, region")


def fields(kind: str) -> xr.Dataset:
    return dataset_in_space() if kind == "space" else dataset(kind)


def arrays(result: xr.DataArray | xr.Dataset) -> dict[str, object]:
    """The arrays themselves, by name: nothing is converted."""
    named = result.data_vars if isinstance(result, xr.Dataset) else {"": result}
    return {str(name): one.variable._data for name, one in named.items()}


def pure(call, d: xr.Dataset):
    """The operator as a function of arrays, which JAX may trace."""

    def function(data):
        return arrays(call(d.assign({name: d[name].copy(data=x) for name, x in data.items()})))

    return function


def data_of(d: xr.Dataset) -> dict[str, jax.Array]:
    return {name: jnp.asarray(one.values) for name, one in d.data_vars.items()}


@cases
def test_nothing_but_numbers_of_the_grid_goes_to_a_device(kind, call):
    """They are ours, so that JAX's guard is about the user's own arrays, which it still finds."""
    d = fields(kind)
    data = data_of(d)
    wanted = pure(call, d)(data)
    with jax.transfer_guard_host_to_device("disallow"):
        found = pure(call, d)(data)
        with pytest.raises(Exception, match="Disallowed host-to-device"):
            jnp.asarray(d.u.values) + 1
    for name, one in wanted.items():
        assert_array_equal(found[name], one)


@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "curl"])
def test_nothing_between_is_as_large_as_a_field(monkeypatch, name):
    """What outputs share, or what is divided and read twice, XLA may compute first, as an array."""
    globe = np.linspace(-90, 90, 46), np.arange(0, 360, 5)
    monkeypatch.setitem(GRIDS, "globe", globe)
    data = data_of(dataset("globe"))
    compiled = jax.jit(pure(OPERATORS[name], dataset("globe"))).lower(data).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < data["u"].nbytes / 2


@pytest.mark.parametrize("name", [name for name in OPERATORS if name[:3] not in ("cur", "rot")])
def test_nor_between_in_a_numpy_block(monkeypatch, name):
    monkeypatch.setitem(GRIDS, "globe", (np.linspace(-90, 90, 46), np.arange(0, 360, 5)))
    monkeypatch.setattr(compute, "SMALL", 0)
    d, between = dataset("globe"), []

    def spy(*args, **options):
        compiled = compute_interior.lower(*args, **options).compile()
        between.append(compiled.memory_analysis().temp_size_in_bytes)
        return compute_interior(*args, **options)

    monkeypatch.setattr(host, "compute_interior", spy)
    OPERATORS[name](d)
    assert between
    assert max(between) < d.u.nbytes / 2


@pytest.mark.parametrize(
    ("name", "most"),
    [("gradient", 0), ("horizontal_gradient", 0), ("divergence", 1), ("laplacian", 2)],
)
def test_little_between_in_reverse(monkeypatch, name, most):
    """In as many arrays as fields, where latitudes are uneven and both ends have edge rows."""
    latitudes = np.rad2deg(np.arcsin(np.linspace(-1, 1, 46)))
    monkeypatch.setitem(GRIDS, "globe", (latitudes, np.arange(0, 360, 5)))
    d = dataset("globe")
    function, data = pure(OPERATORS[name], d), data_of(d)
    results = {key: jnp.ones(one.shape, one.dtype) for key, one in function(data).items()}
    reverse = jax.jit(lambda data, results: jax.vjp(function, data)[1](results))
    compiled = reverse.lower(data, results).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < (most + 0.5) * d.u.nbytes


def assert_same(got, want, exact: bool) -> None:
    assert got.keys() == want.keys()
    for name, one in got.items():
        assert isinstance(one, jax.Array)
        assert one.dtype == want[name].dtype
        size = np.nanmax(abs(want[name]), initial=0)
        if exact:  # but for means around a pole that cancel to the last digits of float64
            assert_allclose(one, want[name], rtol=0, atol=1e-13 * size)
        else:
            assert_allclose(one, want[name], rtol=1e-5, atol=4e-6 * size)


def test_all_operators_are_in_the_table():
    assert sorted([*OPERATORS, "interpolate", *SPECTRAL]) == sorted(op.__all__)


@cases
def test_jax_in_jax_out_with_the_bits_of_numpy(kind, call):
    """Nothing goes to the host on the way, and labels and attributes are the same."""
    d = fields(kind)
    want = call(d)
    there = fd.to_device(d)
    with jax.transfer_guard_device_to_host("disallow_explicit" if "z" not in d else "allow"):
        got = call(there)
    assert_same(arrays(got), arrays(want), exact=True)
    assert got.attrs == want.attrs
    xr.testing.assert_identical(got.coords.to_dataset(), want.coords.to_dataset())


@cases
def test_under_jit(kind, call):
    """And lowered for a GPU that is not here, where no library of the CPU is called."""
    d = fields(kind)
    function, data = jax.jit(pure(call, d)), data_of(d)
    assert_same(function(data), arrays(call(d)), exact=False)
    exported = jax.export.export(function, platforms=["cuda"])(data)
    assert exported.platforms == ("cuda",)
    assert "custom_call" not in exported.mlir_module()


@pytest.mark.parametrize(
    ("kind", "call"), [c[1:] for c in SMOOTH], ids=[f"{name}, {kind}" for name, kind, _ in SMOOTH]
)
def test_grad_is_that_of_finite_differences(kind, call):
    """Along one direction, of a sum over all outputs; finite beside poles and level points too."""
    d = fields(kind).astype("f8", keep_attrs=True)
    if "t" in d:
        # Level on one level, and nowhere else, but for rounding: there a length has no derivative.
        slope = 3 * np.deg2rad(d.lat) + np.deg2rad(d.lon) ** 2
        d["t"] = (d.t + slope).where(d.p != d.p[1], 280.0).assign_attrs(d.t.attrs)
    sizes = {name: np.nanmax(abs(x)) for name, x in arrays(call(d)).items()}
    rng = np.random.default_rng(0)
    along = {name: rng.standard_normal(x.shape) for name, x in d.data_vars.items()}
    if "t" in d:
        along["t"][1] = 0

    def loss(data):
        return sum(jnp.nansum(x / sizes[name]) for name, x in pure(call, d)(data).items())

    with jax.enable_x64(True):
        slopes = jax.jit(jax.grad(loss))(data_of(d))
        got = sum(float((slopes[name] * along[name]).sum()) for name in slopes)
    moved = []
    for step in (-1e-5, 1e-5):
        there = d.assign({name: d[name] + step * x for name, x in along.items()})
        results = arrays(call(there.assign_attrs().map(lambda x: x.assign_attrs(d[x.name].attrs))))
        moved.append(sum(np.nansum(x / sizes[name]) for name, x in results.items()))
    assert got == pytest.approx((moved[1] - moved[0]) / 2e-5, rel=1e-5, abs=1e-6)


def test_the_number_of_members_may_be_unknown_when_exported():
    """Labels have names for dimensions, and JAX for sizes."""
    d = dataset("globe").isel(p=0, drop=True)

    def vorticity(u, v):
        dims = ("member", *d.u.dims)
        wind = xr.Dataset({"u": (dims, u), "v": (dims, v)}, d.coords)
        return wind.fdgrad.vorticity("u", "v").data

    u, v = (jnp.stack([f.values, 2 * f.values]) for f in (d.u, d.v))
    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape("members, 7, 8"), u.dtype)
    exported = jax.export.export(jax.jit(vorticity))(shape, shape)
    assert_allclose(exported.call(u, v), vorticity(u, v), rtol=1e-5, atol=1e-11)


@cases
def test_vmap_over_members(kind, call):
    d = fields(kind)
    members = {name: jnp.stack([x, 2 * x]) for name, x in data_of(d).items()}
    got = jax.jit(jax.vmap(pure(call, d)))(members)
    first = {name: x[0] for name, x in got.items()}
    assert_same(first, arrays(call(d)), exact=False)


@cases
def test_chunks_of_jax_stay_chunks_of_jax(kind, call, request):
    d = fields(kind)
    want = arrays(call(d))
    dims = list(d.sizes)
    in_all = request.node.callspec.id in CUT_IN_ALL
    chunked = d.chunk({dims[0]: 2, dims[1]: 4, dims[2]: 4} if in_all else {dims[1]: 4})
    lazy = arrays(call(fd.to_device(chunked)))
    numpy = arrays(call(chunked))
    assert lazy.keys() == numpy.keys()
    for name, one in lazy.items():
        assert isinstance(one, da.Array)
        assert isinstance(one._meta, jax.Array)
        assert one.chunks == numpy[name].chunks
    got, on_host = dask.compute(lazy, numpy, scheduler="sync")
    for name, one in got.items():
        assert isinstance(one, jax.Array)
        assert isinstance(on_host[name], np.ndarray)
        assert one.dtype == want[name].dtype
        assert_array_equal(one, want[name])
        assert_array_equal(on_host[name], want[name])


def test_a_scan_steps_an_equation_forward():
    """Advection of a temperature by a constant wind, as NumPy does it step by step."""
    d = dataset("globe")

    def step(t):
        return t + 60 * op.advection(d.u, d.v, d.t.copy(data=t)).data

    got, _ = jax.lax.scan(lambda t, _: (step(t), None), jnp.asarray(d.t.values), None, length=3)
    want = d.t.values
    for _ in range(3):
        want = step(want)
    assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("name", ["vorticity", "laplacian", "gradient"])
def test_float64_stays_float64_whatever_the_switch_says(name):
    d = dataset("globe").astype("f8", keep_attrs=True)
    there = fd.to_device(d)
    assert there.u.dtype == np.float64
    got, want = arrays(OPERATORS[name](there)), arrays(OPERATORS[name](d))
    for key, one in got.items():
        assert one.dtype == np.float64
        assert_allclose(one, want[key], rtol=1e-12, atol=1e-12 * np.nanmax(abs(want[key])))
    lazy = arrays(OPERATORS[name](fd.to_device(d.chunk({"lat": 4}))))
    for key, one in lazy.items():
        assert_array_equal(one.compute(scheduler="sync"), arrays(OPERATORS[name](d))[key])
    assert not jax.config.jax_enable_x64


def test_units_are_converted_in_64_bits_in_the_threads_of_dask():
    d = dataset("globe").astype("f8", keep_attrs=True)
    d["v"] = (d.v * 3.6).assign_attrs(d.v.attrs, units="km h-1")
    lazy = op.vorticity(*(fd.to_device(d.chunk({"lat": 4}))[name] for name in "uv"))
    got = lazy.data.compute(scheduler="threads")
    assert got.dtype == np.float64
    assert_array_equal(got, op.vorticity(d.u, d.v).data)


def test_levels_that_fold_are_refused_where_they_are():
    d = fd.to_device(dataset("region"))
    folded = d.z.copy(data=d.z.data.at[2, 3, 4].set(0.0))
    with pytest.raises(CoordinateError, match=r"it goes from .* to 0.0 at \(1, 3, 4\)"):
        op.gradient(d.t, "p", coordinate=folded)
