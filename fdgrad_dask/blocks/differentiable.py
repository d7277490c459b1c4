"""Programs of traced arrays: what is not finite at a point spoils no derivative beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from fdgrad_dask.blocks.fields import ShiftedField
from fdgrad_dask.stencils.dtypes import wide


def run_differentiable(
    run: Callable[..., list[jax.Array]],
    factors: Sequence[bool],
    views: Sequence[ShiftedField],
    weights: Any,
    *numbers: Any,
    **static: Any,
) -> list[jax.Array]:
    """``run(views, weights, …)``, whose derivative holds neither infinite factors nor 0 / 0.

    At a pole the metric terms are infinite, and the row is given; at a level point nothing can be
    divided by the length of a gradient. What is not used has a cotangent of zero, which infinity
    and NaN would turn into NaN for all neighbours. Nor does it hold the other way on which a sum of
    narrow floats avoids an overflow, which would double it.
    """
    leaves, tree = jax.tree.flatten((views, weights, *numbers))
    tamed = [
        replace(view, core=_tame(view.core)) if is_factor else view
        for view, is_factor in zip(views, factors, strict=True)
    ]
    finite = jax.tree.leaves((tamed, jax.tree.map(_tame, weights), *numbers))
    is_finite = all(one is other for one, other in zip(leaves, finite, strict=True))
    plan = static["program"].value
    has_two_ways = wide(static["dtype"]).itemsize < 8 and any(
        window.terms[0].minus is None for window in plan.windows
    )
    if is_finite and plan.formula is None and not has_two_ways:
        return run(views, weights, *numbers, **static)
    is_given = [isinstance(leaf, jax.Array) for leaf in leaves]
    given_arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    # JAX arrays are arguments: a rule may not close over what is traced, nor keep it alive.
    leaves, finite = (
        [None if isinstance(leaf, jax.Array) else leaf for leaf in constants]
        for constants in (leaves, finite)
    )

    def run_with(
        constants: list[Any], arrays: tuple[jax.Array, ...], **how: Any
    ) -> list[jax.Array]:
        given = iter(arrays)
        filled = [next(given) if is_given[i] else one for i, one in enumerate(constants)]
        return run(*jax.tree.unflatten(tree, filled), **static, **how)

    @jax.custom_jvp
    def run_arrays(*arrays: jax.Array) -> list[jax.Array]:
        return run_with(leaves, arrays)

    @run_arrays.defjvp
    def _differentiate(primals: Any, tangents: Any) -> Any:
        smooth = partial(run_with, finite, is_smooth=True)
        _, moved = jax.jvp(lambda *arrays: smooth(arrays), primals, tangents)
        return run_arrays(*primals), moved

    result: list[jax.Array] = run_arrays(*given_arrays)
    return result


def _tame(numbers: Any) -> Any:
    """Constants with zero where they are not finite; the same object where all are."""
    if isinstance(numbers, jax.Array) or np.isfinite(numbers).all():
        return numbers
    return np.where(np.isfinite(numbers), numbers, numbers.dtype.type(0))
