"""Programs of traced arrays: factors that are not finite, as at a pole, spoil no derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fdgrad_dask.blocks.joined import Joined


def run_differentiable(
    run: Callable[..., list[jax.Array]],
    factors: Sequence[bool],
    views: Sequence[Joined],
    weights: Any,
    *numbers: Any,
    **static: Any,
) -> list[jax.Array]:
    """``run(views, weights, …)``, whose derivative holds no factor that is not finite.

    At a pole the metric terms are infinite, and the row is given. What is not used has a cotangent
    of zero, which infinity would turn into NaN for all neighbours.
    """
    leaves, tree = jax.tree.flatten((views, weights, *numbers))
    tamed = [
        replace(view, core=_tame(view.core)) if is_factor else view
        for view, is_factor in zip(views, factors, strict=True)
    ]
    finite = jax.tree.leaves((tamed, jax.tree.map(_tame, weights), *numbers))
    if all(one is other for one, other in zip(leaves, finite, strict=True)):
        return run(views, weights, *numbers, **static)
    is_given = [isinstance(leaf, jax.Array) for leaf in leaves]

    def run_with(constants: list[Any], arrays: tuple[jax.Array, ...]) -> list[jax.Array]:
        # JAX arrays are arguments, since a rule may not close over what is traced.
        given = iter(arrays)
        filled = [next(given) if is_given[i] else one for i, one in enumerate(constants)]
        return run(*jax.tree.unflatten(tree, filled), **static)

    @jax.custom_jvp
    def run_arrays(*arrays: jax.Array) -> list[jax.Array]:
        return run_with(leaves, arrays)

    @run_arrays.defjvp
    def _differentiate(primals: Any, tangents: Any) -> Any:
        _, moved = jax.jvp(lambda *arrays: run_with(finite, arrays), primals, tangents)
        return run_arrays(*primals), moved

    result: list[jax.Array] = run_arrays(
        *(leaf for leaf, given in zip(leaves, is_given, strict=True) if given)
    )
    return result


def _tame(numbers: Any) -> Any:
    """Constants with zero where they are not finite; the same object where all are."""
    if isinstance(numbers, jax.Array) or np.isfinite(numbers).all():
        return numbers
    return np.where(np.isfinite(numbers), numbers, numbers.dtype.type(0))
