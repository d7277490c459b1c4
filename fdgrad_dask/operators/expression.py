"""Equations as expression trees: fields, factors and derivatives joined by arithmetic.

An operator writes its equation in Python, for example ``-(u * s_x + v * s_y)``. `FusedPass`
numbers the leaves and compiles the tree to an `Equation`, which is the formula of its program.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fdgrad_dask.grids.coordinate import Axis
from fdgrad_dask.stencils.table import StencilTable


class Expression:
    """A value at every point of the grid.

    Numbers and arrays join in as factors. The numbers 0 and 1 vanish: a term that is zero must
    not read its field, since 0 · NaN is NaN.
    """

    # NumPy and dask arrays then leave ``array * expression`` to `__rmul__`.
    __array_ufunc__ = None

    def __add__(self, other: Any) -> Expression:
        return self if _is(other, 0) else Operation("add", (self, _leaf(other)))

    def __radd__(self, other: Any) -> Expression:
        return self if _is(other, 0) else Operation("add", (_leaf(other), self))

    def __sub__(self, other: Any) -> Expression:
        return self if _is(other, 0) else Operation("subtract", (self, _leaf(other)))

    def __mul__(self, other: Any) -> Any:
        is_expression = isinstance(other, Expression)
        return Operation("multiply", (self, other)) if is_expression else self.__rmul__(other)

    def __rmul__(self, other: Any) -> Any:
        if _is(other, 0):
            return 0
        return self if _is(other, 1) else Operation("multiply", (_leaf(other), self))

    def __truediv__(self, other: Any) -> Expression:
        return self if _is(other, 1) else Operation("divide", (self, _leaf(other)))

    def __neg__(self) -> Expression:
        return Operation("negative", (self,))


@dataclass(frozen=True, eq=False)
class Field(Expression):
    """Field ``number`` of a pass."""

    number: int


@dataclass(frozen=True, eq=False)
class Factor(Expression):
    """An array that varies along ``axes``, in their order; None for the horizontal (y, x)."""

    values: Any
    axes: tuple[Axis, ...] | None = None


@dataclass(frozen=True, eq=False)
class Derivative(Expression):
    """∂operand/∂axis by a stencil table; the operand is a sum of fields, each times a factor.

    ``z`` is the number of the field that is its coordinate, if that varies along other axes too,
    and ``error_text`` is raised where it is not monotonic.
    """

    operand: Expression
    axis: int
    table: StencilTable
    z: int | None = None
    error_text: str = ""


@dataclass(frozen=True, eq=False)
class Operation(Expression):
    """An arithmetic operation on other expressions."""

    name: str
    arguments: tuple[Expression, ...]


ONE = Factor(np.asarray(1.0))


def hypot(a: Expression, b: Expression) -> Expression:
    """√(a² + b²), without squares that overflow or vanish."""
    return Operation("hypot", (a, b))


def linear_terms(expression: Expression) -> dict[int, Factor | None]:
    """Field number → its factor, in an expression that is a sum of fields, each times a factor.

    The products and sums of factors are computed here, once and on the host.
    """
    match expression:
        case Field(number):
            return {number: None}
        case Operation("negative", (a,)):
            return linear_terms(-1.0 * a)
        case Operation("multiply", (Factor() as factor, a)):
            return {
                n: factor if f is None else Factor(factor.values * f.values, factor.axes or f.axes)
                for n, f in linear_terms(a).items()
            }
        case Operation("add" | "subtract" as name, (a, b)):
            terms = linear_terms(a)
            for n, f in linear_terms(b if name == "add" else -b).items():
                one, other = terms.get(n, f) or ONE, f or ONE
                terms[n] = Factor(one.values + other.values, one.axes) if n in terms else f
            return terms
    raise TypeError(f"{expression} is no sum of fields, each times a factor")


Step = tuple[Any, ...]
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "hypot": lambda a, b: a.length(b),
}


@dataclass(frozen=True)
class Equation:
    """The outputs of a pass as steps: each reads a leaf, or the results of earlier steps.

    A list of steps is evaluated in one short loop and, unlike a tree, is cheap to compare and to
    hash. Kernels are compiled for it and workers receive it.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def __call__(self, fields: Sequence[Any], derivatives: Sequence[Any], *made: Any) -> list[Any]:
        leaves = {"field": fields, "derivative": derivatives}
        known = dict(zip(self.outputs, made, strict=False))
        values: list[Any] = []
        for number, (name, *arguments) in enumerate(self.steps):
            if number in known:
                values.append(known[number])
            elif name in leaves:
                values.append(leaves[name][arguments[0]])
            else:
                values.append(_OPERATIONS[name](*[values[i] for i in arguments]))
        return [values[i] for i in self.outputs]


def compile_equation(
    outputs: Sequence[Expression], number: Callable[[Factor | Derivative], int]
) -> Equation:
    """The equation of some outputs; ``number`` gives the places of factors and derivatives."""
    steps: dict[Step, int] = {}  # equal steps are computed once

    @cache
    def place(expression: Expression) -> int:
        step: Step
        match expression:
            case Field():
                step = "field", expression.number
            case Factor():
                step = "field", number(expression)
            case Derivative():
                step = "derivative", number(expression)
            case Operation(name, arguments):
                step = name, *map(place, arguments)
            case _:
                raise TypeError(f"{expression!r} is no expression")
        return steps.setdefault(step, len(steps))

    places = tuple(map(place, outputs))
    return Equation(tuple(steps), places)


def _is(value: Any, number: int) -> bool:
    """True for that number itself; arrays are never looked into."""
    return isinstance(value, (int, float)) and value == number


def _leaf(value: Any) -> Expression:
    if isinstance(value, Expression):
        return value
    return Factor(np.asarray(float(value)) if np.ndim(value) == 0 else value)
