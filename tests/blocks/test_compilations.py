"""How many kernels a graph compiles: one for each shape of a block and kind of its boundaries."""

from __future__ import annotations

import pytest
from counting import CALLS, sources

from fdgrad_dask import operators as op
from fdgrad_dask.blocks.kernel import run_kernel
from fdgrad_dask.grids.geometry import Sphere

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture
def compiled():
    """How many kernels were compiled since the test began."""
    run_kernel.clear_cache()
    return run_kernel._cache_size


@pytest.mark.parametrize(
    ("name", "chunks", "count"),
    [
        ("vorticity", (1, 20, 30), 3),  # first, inner and last rows: walls of three kinds
        ("kinematics", (1, 20, 30), 3),
        ("vorticity", (1, 60, 30), 1),
        ("vorticity", (1, 60, 120), 1),
        ("vorticity", (2, 20, 30), 3),
        ("vorticity", (1, 20, (40, 50, 30)), 9),  # three widths, walls of three kinds
        ("gradient of two", (1, 20, 30), 9),  # no circle: nine places of a chunk in a plane
        ("laplacian", (1, 20, 30), 3),
    ],
    ids=str,
)
def test_one_compilation_for_each_shape_and_kind_of_wall(compiled, name, chunks, count):
    operator, names = CALLS[name]
    operator(*sources(*names, chunks=chunks)[1]).compute(scheduler="synchronous")
    assert compiled() == count


def test_what_was_compiled_serves_again(compiled):
    """Other values, times and radii need no compilation of their own."""
    _, (u, v) = sources("u", "v")
    op.vorticity(u, v).compute(scheduler="synchronous")
    before = compiled()
    moved = [2 * f for f in (v, u)]
    result = op.vorticity(*moved, geometry=Sphere(1e6)).isel(time=slice(3))
    result.compute(scheduler="synchronous")
    assert compiled() == before > 0
