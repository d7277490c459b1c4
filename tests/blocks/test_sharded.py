"""Sharded JAX arrays: values, shardings and collectives, in Auto and in Explicit mode.

One process with four devices runs all cases and prints what it found.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import fdgrad_dask as fd
from fdgrad_dask import gradient

COLLECTIVES = "all-gather|all-to-all|all-reduce|reduce-scatter|collective-broadcast"
P = PartitionSpec
RNG = np.random.default_rng(3)
FIELD = RNG.standard_normal((24, 16))
UNEVEN = np.cumsum(RNG.uniform(0.5, 1.5, 24))
SHORT = RNG.standard_normal((8, 16))
LARGE = 2**60 + RNG.integers(0, 100, (24, 16))
HALF = {"dtype": "float32"}

# name → the field and how it is sharded, and the options of `gradient`.
GRADIENTS: dict[str, dict[str, Any]] = {
    "open": HALF,
    "edge order 2, uneven": {"spacing": UNEVEN, "edge_order": 2},
    "accuracy 4, uneven": {"spacing": UNEVEN, "accuracy": 4},
    "periodic": {"boundary": "periodic"} | HALF,
    "periodic, accuracy 4, uneven": {
        "spacing": UNEVEN,
        "boundary": "periodic",
        "period": 30.0,
        "accuracy": 4,
    },
    "reflect, accuracy 6": {"boundary": "reflect", "accuracy": 6} | HALF,
    "extend, accuracy 4": {"boundary": "extend", "accuracy": 4},
    "number and open": {"boundary": (0.5, None)} | HALF,
    "number, accuracy 4": {"boundary": 1e3, "accuracy": 4},
    "unsharded axis": {"axis": 1, "edge_order": 2} | HALF,
    "shards too short for the stencil": {"field": SHORT, "accuracy": 4},
    "shards too short to mirror": {"field": SHORT, "boundary": "reflect", "accuracy": 4},
    "two axes": {"spec": P("a", "b"), "axis": (0, 1), "boundary": {0: "reflect", 1: "periodic"}},
    "both axes of the mesh along one": {"spec": P(("a", "b")), "boundary": "periodic"},
    "axes of the mesh in another order": {"spec": P(("b", "a"))},
    "complex": {"field": FIELD + 1j * FIELD[::-1], "dtype": "complex64"},
    "large integers": {"field": LARGE, "dtype": "int64"},
    "large integers beside a number": {"field": LARGE, "dtype": "int64", "boundary": 2.0**60},
}
LABELLED = ("vorticity", "laplacian", "gradient", "curvilinear", "poles")
OTHERS = ("grad", "vmap", "mapped over an axis", "own shard_map", "replicated")
ALONE = ("unsharded axis", "own shard_map", "replicated")  # no shard needs another one
MODES = ("Auto", "Explicit")
# The mode says how we are told of shards and tell of them; what a stencil then needs of its
# neighbours is the same in both: in Explicit mode, each way of being sharded and a few stencils.
STENCILS_ALONE = {
    "edge order 2, uneven",
    "accuracy 4, uneven",
    "periodic, accuracy 4, uneven",
    "extend, accuracy 4",
    "number, accuracy 4",
    "shards too short to mirror",
    "axes of the mesh in another order",
    "large integers",
}


def test_sharded():
    """Values, shardings and collectives of all cases."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_ENABLE_X64": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert tuple(found) == MODES
    for mode, cases in found.items():
        assert set(cases) == {*GRADIENTS, *LABELLED, *OTHERS} - left_out(mode)
        wrong = {name: case for name, case in cases.items() if not is_right(name, mode, case)}
        assert wrong == {}, mode


def left_out(mode: str) -> set[str]:
    return STENCILS_ALONE if mode == "Explicit" else set()


def is_right(name: str, mode: str, case: dict[str, Any]) -> bool:
    # Under jit the compiler may contract a product and a sum, which rounds once.
    is_close = case["error"] < (1e-5 if case["dtype"] in ("float32", "complex64") else 1e-13)
    right = is_close and case["sharded alike"]
    if name == "poles":
        # The mean around a pole needs all devices that share its row. No other row needs them.
        return (
            right and set(case["collectives"]) == {"all-reduce"} and case["widest"] <= case["row"]
        )
    if name not in ("grad", "vmap", "mapped over an axis", "poles"):
        right = right and case["same bits"]
    if name not in ALONE:
        right = right and case["permutes"] > 0
    if mode == "Explicit" and name in ("open", "periodic", "reflect, accuracy 6"):
        right = right and case["permutes"] == 2  # one message to each neighbour
    return right and case["collectives"] == [] and (name not in ALONE or case["permutes"] == 0)


def test_two_processes():
    """Arrays of `jax.distributed`, of which a process holds a half."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, __file__, port, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in started]
    assert [out.splitlines()[-2:] for out, _ in ended] == [["True", "True"]] * 2, ended


def with_mesh(mode: str, spec: PartitionSpec) -> NamedSharding:
    kind = getattr(AxisType, mode)
    sizes, names = ((4,), ("x",)) if "'x'" in str(spec) else ((2, 2), ("a", "b"))
    return NamedSharding(jax.make_mesh(sizes, names, axis_types=(kind,) * len(sizes)), spec)


def examine(operator: Any, fields: list[Any], sharding: NamedSharding) -> dict[str, Any]:
    """Both ways of an operator over sharded fields, against NumPy's."""
    sharded = [jax.device_put(field, sharding) for field in fields]
    want, got = operator(*fields), operator(*sharded)
    compiled = jax.jit(operator).lower(*sharded).compile()
    text, traced = compiled.as_text(), compiled(*sharded)
    largest = max(float(np.nanmax(abs(one))) for one in want)
    pairs = list(zip(traced, want, strict=True))
    wide = [
        np.prod([int(n) for n in shape.split(",") if n])
        for shape in re.findall(r"\[([\d,]*)\]\S* all-reduce\(", text)
    ]
    return {
        "dtype": str(fields[0].dtype),
        "same bits": all(
            np.array_equal(np.asarray(a), b, equal_nan=True) and a.dtype == b.dtype
            for a, b in zip(got, want, strict=True)
        ),
        "error": max(float(np.nanmax(abs(np.asarray(a) - b))) for a, b in pairs) / largest,
        "sharded alike": all(
            one.sharding.is_equivalent_to(sharding, one.ndim) for one in (*got, *traced)
        ),
        "permutes": len(re.findall(r"collective-permute(?:-start)?\(", text)),
        "collectives": re.findall(rf"({COLLECTIVES})(?:-start)?\(", text),
        "widest": int(max(wide, default=0)),
        "row": int(fields[0].size // fields[0].shape[1]) if fields[0].ndim == 3 else 0,
    }


def gradients(mode: str) -> dict[str, Any]:
    results = {}
    for name in GRADIENTS.keys() - left_out(mode):
        case = GRADIENTS[name]
        options = {"axis": 0} | case
        field = np.asarray(options.pop("field", FIELD)).astype(options.pop("dtype", "float64"))
        spacing = options.pop("spacing", 0.5)
        sharding = with_mesh(mode, options.pop("spec", P("x")))

        def operator(f, spacing=spacing, options=options):
            made = gradient(f, spacing, **options)
            return made if isinstance(made, tuple) else (made,)

        results[name] = examine(operator, [field], sharding)
    return results


def labelled(mode: str) -> dict[str, Any]:
    def labels(lat, lon):
        y, x = (("lat", lat), ("lon", lon)) if lat.ndim == 1 else ((("lat", "lon"), lat),) * 2
        x = x if lat.ndim == 1 else (("lat", "lon"), lon)
        return {
            "lat": (*y, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": (*x, {"units": "degrees_east", "standard_name": "longitude"}),
        }

    def operator(run, coords, dims=("time", "lat", "lon")):
        def over_arrays(*arrays):
            names = ("u", "v")[: len(arrays)]
            made = run(
                *(
                    xr.DataArray(a, coords, dims, name, {"units": "m s-1"})
                    for a, name in zip(arrays, names, strict=True)
                )
            )
            parts = [made] if isinstance(made, xr.DataArray) else made.data_vars.values()
            return [part.data for part in parts]

        return over_arrays

    u, v = RNG.standard_normal((2, 2, 16, 24))
    band, lon = np.linspace(-60, 75, 16), np.arange(24) * 15.0
    around = labels(band, lon)
    lat2, lon2 = np.meshgrid(np.linspace(10, 40, 16), np.linspace(5, 60, 24), indexing="ij")
    tilted = {
        "lat2": (("lat", "lon"), lat2 + lon2 / 9, {"units": "degrees_north"}),
        "lon2": (("lat", "lon"), lon2 - lat2 / 9, {"units": "degrees_east"}),
    }
    ops = fd.operators
    sharding = with_mesh(mode, P(None, "a", "b"))
    return {
        name: examine(operator(run, coords), fields, sharding)
        for name, run, coords, fields in (
            ("vorticity", ops.vorticity, around, [u, v]),
            ("laplacian", ops.laplacian, around, [u]),
            ("gradient", lambda f: ops.gradient(f, ["lat", "lon"]), around, [u]),
            ("curvilinear", lambda f: ops.gradient_magnitude(f), tilted, [u]),
            ("poles", ops.divergence, labels(np.linspace(-90, 90, 16), lon), [u, v]),
        )
        if name not in left_out(mode)
    }


def others(mode: str) -> dict[str, Any]:
    def loss(f):
        return (gradient(f, axis=0, boundary="reflect") ** 2).sum()

    def mapped(f):
        return jax.vmap(lambda g: gradient(g, axis=0, boundary="periodic"))(f)

    def one(operator):
        return lambda f: [operator(f)]

    lines, across = with_mesh(mode, P("x")), with_mesh(mode, P("a", "b"))
    behind = with_mesh(mode, P(None, "x"))
    results = {}
    with jax.set_mesh(lines.mesh):
        results["grad"] = examine(one(jax.grad(loss)), [jnp.asarray(FIELD)], lines)
    results["vmap"] = examine(one(mapped), [jnp.asarray(FIELD)], behind)
    results["mapped over an axis"] = examine(one(mapped), [jnp.asarray(FIELD)], across)

    def by_hand(f):
        if not isinstance(f, jax.core.Tracer) and len(f.sharding.device_set) == 1:
            return jnp.concatenate([gradient(part, axis=0) for part in jnp.split(f, 4)])
        return jax.shard_map(
            lambda part: gradient(part, axis=0), mesh=lines.mesh, in_specs=P("x"), out_specs=P("x")
        )(f)

    results["own shard_map"] = examine(one(by_hand), [jnp.asarray(FIELD)], lines)
    nowhere = NamedSharding(lines.mesh, P())
    results["replicated"] = examine(one(lambda f: gradient(f, axis=0)), [FIELD], nowhere)
    return results


def half_of_two(port: str, number: str) -> None:
    """One of two processes: its half of the result, sharded as the field."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", 2, int(number))
    sharding = NamedSharding(jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,)), P("x"))
    field = FIELD.astype("float32")
    f = jax.make_array_from_callback(field.shape, sharding, lambda place: field[place])
    for boundary in (None, "periodic"):
        got, want = (
            gradient(f, axis=0, boundary=boundary),
            gradient(field, axis=0, boundary=boundary),
        )
        print(
            all(np.array_equal(part.data, want[part.index]) for part in got.addressable_shards)
            and got.sharding.is_equivalent_to(sharding, 2)
        )


if __name__ == "__main__":
    if sys.argv[1:]:
        half_of_two(*sys.argv[1:])
    else:
        print(json.dumps({mode: gradients(mode) | labelled(mode) | others(mode) for mode in MODES}))
