"""``.fdgrad``: every operator is there, typed and documented as the function of its name."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators
from fdgrad_dask.accessor import DataArrayAccessor, DatasetAccessor
from fdgrad_dask.operators.options import list_fields

ROOT = Path(__file__).parent.parent
METHODS = [
    (accessor, name)
    for accessor in (DataArrayAccessor, DatasetAccessor)
    for name in vars(accessor)
    if not name.startswith("_")
]


def test_the_accessor_has_every_operator():
    has = {accessor: {n for a, n in METHODS if a is accessor} for accessor, _ in METHODS}
    assert has[DatasetAccessor] == set(operators.__all__)
    scalars = {n for n in operators.__all__ if list_fields(getattr(operators, n)) == ["field"]}
    assert has[DataArrayAccessor] == scalars


@pytest.mark.parametrize(("accessor", "name"), METHODS)
def test_a_method_has_the_parameters_of_its_operator(accessor, name):
    method, operator = getattr(accessor, name), getattr(operators, name)
    shown = inspect.signature(method).parameters
    wanted = inspect.signature(operator).parameters
    takes_itself = accessor is DataArrayAccessor or name == "gradient"
    names = [n for n in wanted if not (takes_itself and n == "field")]
    assert [*shown] == ["self", *names]
    assert all(shown[n].default == wanted[n].default for n in names)
    # What type checkers see is the TypedDict behind **options, in both.
    assert get_type_hints(method)["options"] == get_type_hints(operator)["options"]


def test_an_option_that_does_not_exist_names_one_that_does():
    field = xr.DataArray(np.zeros(3), dims="x")
    with pytest.raises(TypeError, match=r"gradient\(\) .* 'acuracy'; did you mean 'accuracy'"):
        operators.gradient(field, "x", acuracy=4)
    with pytest.raises(TypeError, match=r"positional arguments? but"):
        operators.gradient(field, "x", 2)
    with pytest.raises(TypeError, match="multiple values for argument 'field'"):
        operators.gradient(field, "x", field=field)


@pytest.mark.parametrize(("accessor", "name"), METHODS)
def test_help_documents_the_parameters_that_a_method_has(accessor, name):
    text = getattr(accessor, name).__doc__
    assert text.startswith(getattr(operators, name).__doc__.partition("\n")[0])
    assert "field" in inspect.signature(getattr(accessor, name)).parameters or (
        "\nfield\n" not in text
    )
    assert "Parameters\n----------\n\n" not in text


def test_a_method_that_does_not_exist_names_one_that_does():
    field = xr.DataArray(np.zeros(3), dims="x")
    with pytest.raises(AttributeError, match="no operator 'gradeint'; did you mean 'gradient'"):
        field.fdgrad.gradeint  # noqa: B018
    with pytest.raises(AttributeError, match=r"on a Dataset .*: ds.fdgrad.vorticity\('u', 'v'\)"):
        field.fdgrad.vorticity  # noqa: B018


def test_only_public_names_are_shown():
    assert dir(fd) == sorted(fd.__all__)
    assert all(hasattr(fd, name) for name in fd.__all__)
    assert not {"blocks", "grids", "halo", "stencils"} & set(dir(fd))
    assert dir(operators) == operators.__all__


SCRIPT = """
import xarray as xr
import fdgrad_dask as fd
from fdgrad_dask import operators as op

u: xr.DataArray = xr.DataArray([[1.0]], dims=("y", "x"))
ds = u.to_dataset(name="u")
reveal_type(op.gradient(u, "x"))
reveal_type(op.gradient(u, ["x", "y"], boundary={"x": "periodic", "y": ("extend", 0.0)}))
reveal_type(op.gradient(u))
reveal_type(op.gradient(ds, "x", period=360))
reveal_type(op.horizontal_gradient(u, geometry=fd.Plane(1.0)))
reveal_type(op.laplacian(u, skipna="one-sided"))
reveal_type(op.divergence(u, u, boundary=("reflect", None)))
reveal_type(op.vorticity(u, u, accuracy=4))
reveal_type(op.absolute_vorticity(u, u, coriolis=1e-4))
reveal_type(op.kinematics(u, u, which=["divergence"]))
reveal_type(op.advection(u, u, u, vertical="z"))
reveal_type(op.q_vector(u, u, u))
reveal_type(op.curl(u, u, u))
reveal_type(fd.accessor.DataArrayAccessor(u).gradient("x", edge_order=2))
reveal_type(fd.accessor.DatasetAccessor(ds).vorticity("u", u))
"""
REVEALED = (
    "DataArray Dataset Dataset Dataset Dataset "
    + "DataArray " * 4
    + ("Dataset DataArray Dataset Dataset DataArray DataArray")
)
WRONG = """
op.vorticity(u)
op.vorticity(u, u, boundary="perodic")
op.gradient(u, "x", skipna="both")
fd.accessor.DatasetAccessor(ds).vorticity("u", "v", edge_ordr=2)
fd.accessor.DatasetAccessor(ds).vortcity("u", "v")
"""
# No line of the script has a type of these, which are most of what there is to read. Of the package
# itself, `make lint` says what is wrong; here it is as a user has it, installed.
CONFIG = """
[mypy]
strict = true
[mypy-fdgrad_dask.*]
follow_imports = silent
[mypy-cf_xarray.*,dask.*,distributed.*,fsspec.*,jax.*,pint.*,pydantic.*,pyproj.*,scipy.*,zarr.*]
follow_imports = skip
"""


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_a_script_of_a_user_is_typed(tmp_path):
    """Strictly; one mistake a line is found in the lines that are wrong."""
    script, config = tmp_path / "script.py", tmp_path / "mypy.ini"
    script.write_text(SCRIPT + WRONG)
    config.write_text(CONFIG)
    options = ["--no-error-summary", f"--config-file={config}", "--cache-dir=.mypy_cache/script"]
    command = [sys.executable, "-m", "mypy", *options, str(script)]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    revealed = [line.rpartition(".")[2].strip('"') for line in lines if "Revealed type" in line]
    assert revealed == REVEALED.split(), lines
    wrong = {int(line.split(":")[1]) for line in lines if ": error:" in line}
    first = SCRIPT.count("\n") + 2
    assert wrong == set(range(first, first + WRONG.count("\n") - 1)), lines


LATER = """
import sys, importlib.util
import fdgrad_dask
assert "xarray" not in sys.modules
assert importlib.util.find_spec("xarray") is not None  # a look, not an import
import xarray
from fdgrad_dask import accessor
from jax._src import xla_bridge
assert not xla_bridge._backends  # importing starts none
assert xarray.DataArray([0.0, 1.0]).fdgrad.gradient("dim_0").values.tolist() == [1.0, 1.0]
assert repr(xarray.Dataset().fdgrad).startswith("<fdgrad: Dataset")
assert not [f for f in sys.meta_path if type(f).__module__ == "fdgrad_dask"]
"""


def test_the_accessors_come_with_xarray_however_late_that_is_imported():
    subprocess.run([sys.executable, "-W", "error", "-c", LATER], check=True)
