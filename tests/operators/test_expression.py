"""Expression trees: what vanishes, what is computed on the host, and what workers receive."""

import pickle
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from fields import degrees

from fdgrad_dask import operators
from fdgrad_dask.blocks.arithmetic import Arithmetic
from fdgrad_dask.blocks.number import Number
from fdgrad_dask.operators.expression import (
    Derivative,
    Factor,
    Field,
    compile_equation,
    hypot,
    linear_terms,
)

U, V = Field(0), Field(1)
WIND = degrees(np.linspace(20.0, 40, 9), np.linspace(0.0, 30, 11))
WIND = WIND.assign(u=(("lat", "lon"), np.random.default_rng(1).random((9, 11))), v=WIND.lat * 1.0)


def solve(*outputs, fields, derivatives=()):
    """The values of outputs whose factors are numbered behind the fields."""
    numbers = [Number(np.asarray(f, float), Arithmetic(np)) for f in fields]
    slopes = [Number(np.asarray(d, float), Arithmetic(np)) for d in derivatives]
    leaves = []

    def number(leaf):
        if isinstance(leaf, Derivative):
            return leaf.axis
        leaves.append(Number(leaf.values, Arithmetic(np)))
        return len(fields) + len(leaves) - 1

    equation = compile_equation(outputs, number)
    return [np.squeeze(made.value) for made in equation([*numbers, *leaves], slopes)]


def test_arithmetic_is_pythons():
    x, y = np.array([1.0, -2.0, 3.0]), np.array([4.0, 5.0, -6.0])
    s_x = Derivative(U, 0, None)
    made = solve(
        U + V, U - V, -U, 2 * U, U * V, U / V, hypot(U, V), U * s_x, fields=[x, y], derivatives=[y]
    )
    expected = [x + y, x - y, -x, 2 * x, x * y, x / y, np.hypot(x, y), x * y]
    for found, exact in zip(made, expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-15)


def test_zero_and_one_vanish():
    """What is multiplied by the number 0 is not read: 0 · NaN is NaN."""
    assert 0 * U == 0
    assert U * 0 == 0
    assert 1 * U is U
    assert U * 1.0 is U
    assert U / 1 is U
    assert U + 0 is U
    assert 0 + U is U
    assert U - 0 is U
    (made,) = solve(0 * U + 3 * V, fields=[np.nan, 2.0])
    assert made == 6


@pytest.mark.parametrize("module", [np, da])
def test_an_array_before_an_expression_is_a_factor(module):
    array = module.ones((2, 3))
    made = array * U
    assert made.name == "multiply"
    assert made.arguments[0].values is array


def test_factors_are_multiplied_and_added_once():
    h, c, s = np.full((2, 1), 3.0), np.full((2, 1), 5.0), np.full((2, 1), 7.0)
    terms = linear_terms(h * (c * U + s * V) - (s * V - U))
    assert terms[0].values[0, 0] == 3 * 5 + 1
    assert terms[1].values[0, 0] == 3 * 7 - 7
    for twice in (c * U + U, U + c * U):
        assert linear_terms(twice)[0].values[0, 0] == 5 + 1
    with pytest.raises(TypeError, match="is no sum of fields"):
        linear_terms(U * V)


@pytest.mark.parametrize("axes", [("y",), None])
def test_a_product_of_factors_varies_along_the_axes_that_are_known(axes):
    h, c = np.full((2, 1), 3.0), np.full((2, 1), 5.0)
    for product in (Factor(h, axes) * (c * U), h * (Factor(c, axes) * U)):
        assert linear_terms(product)[0].axes == axes


def test_a_number_becomes_an_array_and_an_array_stays_one():
    assert (2 * U).arguments[0].values.shape == ()
    assert (np.ones(3) * U).arguments[0].values.shape == (3,)


def test_equal_steps_are_computed_once():
    factor = Factor(np.ones((1, 1)))
    equation = compile_equation([factor * U + V, factor * U - V], lambda _: 2)
    assert [name for name, *_ in equation.steps].count("multiply") == 1


def test_outputs_that_are_made_already_are_taken():
    """Each output may be computed of fields of its own, and read those before it."""
    outputs = [U + V, hypot(U + V, V), -(U + V)]
    equation = compile_equation(outputs, lambda _: 2)
    one, two, made = (Number(np.array(x), Arithmetic(np)) for x in (1.0, 2.0, 12.0))
    first, second, third = equation([one, two], [], made)
    assert first is made
    np.testing.assert_allclose([second.value, third.value], [np.hypot(12, 2), -12])
    *_, third = equation([one, two], [], made, one)
    assert third.value == -12


def test_an_equation_is_the_same_in_another_process():
    """A kernel is compiled for it; a worker compiles it once, whoever sends it."""
    equation = compile_equation([hypot(U, V), -(U * V)], lambda _: 2)
    again = compile_equation([hypot(U, V), -(U * V)], lambda _: 2)
    assert equation == again
    assert hash(equation) == hash(again)
    code = (
        "import pickle, sys; from fdgrad_dask.operators.expression import *; "
        "sent = pickle.load(sys.stdin.buffer); u, v = Field(0), Field(1); "
        "own = compile_equation([hypot(u, v), -(u * v)], lambda _: 2); "
        "assert own == sent and hash(own) == hash(sent)"
    )
    hash(equation)  # hashes of strings differ between processes, so this one must not travel
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(equation), check=True)


def test_fields_that_an_equation_contains_twice_are_differentiated_once():
    """Divergence and vorticity of a plane have the four derivatives of the velocity gradient."""
    plane = WIND.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    metres = {
        k: (k, np.arange(plane.sizes[k]) * 1e3, {"units": "m", "axis": k.upper()}) for k in "yx"
    }
    plane = plane.assign_coords(metres)
    seen = []
    original = operators.horizontal.Wind._place

    def place(self, leaf):
        seen.append(leaf)
        return original(self, leaf)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators.horizontal.Wind, "_place", place)
        made = operators.kinematics(plane.u, plane.v)
    assert sum(isinstance(leaf, Derivative) for leaf in seen) == 4
    xr.testing.assert_allclose(made.divergence, operators.divergence(plane.u, plane.v))
