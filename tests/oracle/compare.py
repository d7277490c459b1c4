"""A case on trial: right to the rounding of its terms, or refused as it must be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import dask
import numpy as np
import xarray as xr

from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.errors import FdgradError
from oracle.drawn import Case
from oracle.sized import Sized

# Units in the last place of the terms that an answer may be off by. A derivative of ninth degree
# has a dozen roundings for each of its terms, an operator two; they add up like √n or so.
ROUNDINGS = 12
LAZY = ("dask", "overlap", "dask of jax")


@contextlib.contextmanager
def settings(case: Case) -> Iterator[None]:
    """No threads; the other mechanism of halos, or the kernels of XLA, where a case is of these."""
    small, blocks.SMALL = blocks.SMALL, 0 if case.kind == "kernel" else blocks.SMALL
    halo = "map_overlap" if case.kind == "overlap" else "attach"
    try:
        with dask.config.set({"scheduler": "sync", "fdgrad.halo": halo}):
            yield
    finally:
        blocks.SMALL = small


def judge(case: Case) -> tuple[str, float]:
    """``right``, ``refused`` or what is wrong; and the error in units of what is allowed."""
    with settings(case), np.errstate(all="ignore"):
        try:
            found = dict(case.compute())
        except FdgradError as error:
            if case.refused and isinstance(error, case.refused):
                return "refused", 0.0
            return f"WRONG: refused without a reason: {type(error).__name__}: {error}", 0.0
        except Exception as error:
            if case.refused and isinstance(error, case.refused):
                return "refused", 0.0
            return f"WRONG: {type(error).__name__}: {error}", 0.0
        if case.refused:
            return "WRONG: not refused", 0.0
        expected = case.expect()
        if found.keys() != expected.keys():
            return f"WRONG: results {sorted(found)}, not {sorted(expected)}", 0.0
        for name, result in found.items():
            problem = _check_labels(case, name, result) or _check_kind(case, result)
            if problem:
                return f"WRONG: {name!r}: {problem}", 0.0
        worst = 0.0
        arrays = {k: _data_over(case.dims, one) for k, one in found.items()}
        if case.kind in LAZY:
            try:
                (arrays,) = dask.compute(arrays)
            except Exception as error:
                return f"WRONG: while chunks are computed: {type(error).__name__}: {error}", 0.0
        for name, true in expected.items():
            problem, ratio = _differ(case, np.asarray(arrays[name]), true)
            if problem:
                return f"WRONG: {name!r}: {problem}", ratio
            worst = max(worst, ratio)
        return "right", worst


def _data_over(dims: tuple[str, ...], result: Any) -> Any:
    """The array of a result, with its axes in the order of ``dims``."""
    if not isinstance(result, xr.DataArray):
        return result
    return result.data.transpose([result.dims.index(dim) for dim in dims])


def _differ(case: Case, values: Any, true: Sized) -> tuple[str, float]:
    if values.shape != true.value.shape:
        return f"shape {values.shape}, not {true.value.shape}", 0.0
    if case.dtype is not None and values.dtype != case.dtype:
        return f"dtype {values.dtype}, not {case.dtype}", 0.0
    most = np.finfo(values.dtype).max
    if values.dtype.kind == "f":  # too large for its dtype, or nearly so
        is_near = abs(abs(true.value) - most) <= ROUNDINGS * case.epsilon * true.size
        true = Sized(
            np.where(abs(true.value) > most, np.sign(true.value) * np.inf, true.value),
            np.where(is_near, np.inf, true.size),
        )
    for what, test in (("NaN", np.isnan), ("inf", np.isinf)):
        if not case.exact_infinities:
            what, test = "NaN or inf", lambda a: ~np.isfinite(a)
        more = (test(values) != test(true.value)) & (true.size != np.inf)
        if more.any():
            at = tuple(int(i) for i in np.argwhere(more)[0])
            return f"{what}: {values[at]} at {at}, true is {true.value[at]}", 0.0
    known = np.isfinite(true.value) & (true.size != np.inf)
    wide = values.astype(np.clongdouble if values.dtype.kind == "c" else np.longdouble)
    if not known.any():
        return "", 0.0
    error = abs(np.where(known, wide, 0) - np.where(known, true.value, 0))
    floor = np.finfo(values.dtype).smallest_normal
    allowed = ROUNDINGS * case.epsilon * np.where(known, true.size, 0) + floor
    ratio = np.where(known, error / allowed, 0)
    worst = float(ratio.max())
    if worst <= 1:
        return "", worst
    at = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return (
        f"{values[at]!r} at {tuple(map(int, at))}, true is {true.value[at]!r}, allowed are "
        f"{float(allowed[at]):.3g}",
        worst,
    )


def _check_labels(case: Case, name: str, result: Any) -> str:
    """What is wrong with dims, coordinates, chunks or units."""
    if case.like is None:
        return ""
    like = case.like
    if result.dims != like.dims:
        return f"dims {result.dims}, not {like.dims}"
    if set(result.coords) != set(like.coords):
        return f"coordinates {sorted(map(str, result.coords))}"
    mine, given = result.coords, like.coords
    if any(not mine[key].variable.identical(given[key].variable) for key in given):
        return "other coordinates"
    if set(result.xindexes) != set(like.xindexes):
        return f"indexes {sorted(map(str, result.xindexes))}"
    if result.chunks != like.chunks:
        return f"chunks {result.chunks}, not {like.chunks}"
    if name in case.units and result.attrs.get("units") != case.units[name]:
        return f"units {result.attrs.get('units')!r}, not {case.units[name]!r}"
    return ""


def _check_kind(case: Case, result: Any) -> str:
    data = result.data if isinstance(result, xr.DataArray) else result
    kind = type(data).__module__.partition(".")[0].removesuffix("lib")
    wanted = {"dask": "dask", "overlap": "dask", "dask of jax": "dask", "jax": "jax"}
    needed = wanted.get(case.kind, "numpy")
    if kind != needed:
        return f"a {type(data).__module__}.{type(data).__name__} for {case.kind}"
    if case.kind == "dask of jax" and not type(data._meta).__module__.startswith("jax"):
        return "no chunks of JAX"
    return ""
