"""docs/house.md as a test: who imports whom, how large a room may be, one list of each thing."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fdgrad_dask"

MAY_IMPORT = {
    "__init__": "accessor arrays geometry memory operators",
    "errors": "",
    "memory": "errors",
    "weights": "",
    "spacing": "numpy errors",
    "stencil": "numpy errors spacing weights",
    "flux": "numpy spacing stencil weights",
    "program": "numpy stencil",
    "views": "jax",
    "kernels": "jax numpy program stencil views weights",
    "whole": "jax kernels program stencil",
    "plain": "numpy stencil",
    "scratch": "jax numpy plain program stencil views",
    "tiles": "jax numpy kernels program scratch stencil",
    "tasks": "numpy errors plain program scratch tiles",
    "chunks": "dask numpy errors program scratch tasks",
    "halo": "numpy chunks errors plain program scratch stencil tasks tiles whole",
    "arrays": "numpy errors halo plain spacing stencil whole",
    "geometry": "numpy",
    "curvilinear": "numpy halo stencil",
    "curved": "numpy pyproj xarray errors geometry grid",
    "formulas": "",
    "attributes": "cf_xarray pint",
    "times": "numpy xarray errors",
    "grid": "cf_xarray numpy xarray attributes errors times",
    "levels": "xarray attributes errors grid tasks",
    "horizontal": "numpy xarray attributes curved errors geometry grid",
    "operators.__init__": "operators.dynamics operators.gradients operators.scalars "
    "operators.space operators.winds",
    "operators.space": "numpy xarray attributes errors formulas geometry operators.scheme "
    "operators.wind",
    "operators.scheme": "numpy xarray curvilinear errors formulas grid halo horizontal "
    "program spacing stencil times weights",
    "operators.gradients": "xarray attributes errors grid halo levels operators.scheme times",
    "operators.scalars": "numpy xarray attributes errors flux formulas geometry grid horizontal "
    "operators.scheme spacing stencil",
    "operators.wind": "numpy xarray attributes errors geometry grid horizontal operators.scheme",
    "operators.winds": "numpy xarray attributes errors formulas geometry operators.scheme "
    "operators.wind",
    "operators.dynamics": "numpy xarray attributes errors formulas geometry operators.scheme "
    "operators.wind",
    "accessor": "xarray operators",
    "cli": "errors pipeline.catalog pipeline.config pipeline.run",
    "pipeline.__init__": "",
    "pipeline.strict_yaml": "pydantic yaml errors pipeline.catalog",
    "pipeline.sections.__init__": "",
    "pipeline.sections.section": "pydantic",
    "pipeline.sections.source": "pydantic pipeline.sections.section",
    "pipeline.sections.step": "pydantic pipeline.catalog pipeline.strict_yaml "
    "pipeline.sections.section",
    "pipeline.sections.target": "pydantic pipeline.sections.section",
    "pipeline.sections.cluster": "dask pydantic pipeline.sections.section",
    "pipeline.sections.picture": "pydantic pipeline.sections.section",
    "pipeline.config": "pydantic pipeline.strict_yaml pipeline.sections.cluster "
    "pipeline.sections.picture pipeline.sections.section pipeline.sections.source "
    "pipeline.sections.step pipeline.sections.target",
    "pipeline.catalog": "operators",
    "pipeline.related": "xarray",
    "pipeline.source": "dask numpy xarray errors pipeline.catalog pipeline.related "
    "pipeline.sections.source",
    "pipeline.steps": "xarray errors operators pipeline.catalog pipeline.config pipeline.related "
    "pipeline.sections.step",
    "pipeline.target": "dask xarray zarr errors pipeline.catalog pipeline.related "
    "pipeline.sections.target",
    "pipeline.cluster": "dask distributed errors pipeline.sections.cluster",
    "pipeline.worker": "distributed numpy xarray operators",
    "pipeline.progress": "distributed tqdm",
    "pipeline.describe": "dask xarray pipeline.config",
    "pipeline.picture": "matplotlib numpy xarray errors pipeline.catalog pipeline.sections.picture "
    "pipeline.sections.target",
    "pipeline.run": "distributed xarray pipeline.cluster pipeline.config pipeline.describe "
    "pipeline.picture pipeline.progress pipeline.source pipeline.steps pipeline.target "
    "pipeline.worker",
}
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / Path(*module.split("."))).with_suffix(".py").read_text())


def imports(module: str) -> set[str]:
    """What a module imports anywhere in it: third parties by their top name, ours by the rest."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [str(node.module)]
            if names[0] in ("fdgrad_dask", "fdgrad_dask.pipeline"):
                names = [f"{names[0]}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            ours = name.startswith("fdgrad_dask.")
            found.add(name.removeprefix("fdgrad_dask.") if ours else name.split(".")[0])
    return found - sys.stdlib_module_names


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_what_the_plan_allows(module):
    assert imports(module) <= set(MAY_IMPORT[module].split())


def test_the_plan_names_no_module_that_is_gone():
    assert sorted(MAY_IMPORT) == MODULES


def test_imports_run_downwards_only():
    """No module reaches itself again through what it imports."""
    known = {"operators": "operators.__init__"}
    below = {m: {known.get(i, i) for i in imports(m)} & set(MAY_IMPORT) for m in MODULES}

    def reach(module: str, seen: frozenset[str]) -> None:
        assert module not in seen, f"{module} imports itself by way of {sorted(seen)}"
        for lower in below[module]:
            reach(lower, seen | {module})

    for module in MODULES:
        reach(module, frozenset())


def test_nothing_imports_the_pipeline_but_the_command():
    users = {m for m in MODULES if any(i.startswith("pipeline") for i in imports(m))}
    assert {m for m in users if not m.startswith("pipeline")} == {"cli"}


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_read_in_one_sitting(module):
    source = (PACKAGE / Path(*module.split("."))).with_suffix(".py").read_text()
    assert source.count("\n") <= 300
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            described = (ast.get_docstring(node, clean=False) or "").count("\n")
            assert node.end_lineno - node.lineno + 1 - described <= 50, f"{node.name} is too long"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(tree(module))


def test_the_page_names_every_module():
    page = (ROOT / "docs" / "house.md").read_text()
    missing = [m for m in MODULES if "." not in m and f"`{m}.py`" not in page]
    assert missing == []


def test_the_accessor_has_every_operator():
    from fdgrad_dask import accessor, operators

    for name in operators.__all__:
        one_field = len(accessor.fields_of(getattr(operators, name))) == 1
        assert hasattr(accessor.DataArrayAccessor, name) == one_field
        assert callable(getattr(accessor.DatasetAccessor, name))


def test_importing_starts_no_backend():
    import subprocess

    code = "import fdgrad_dask, jax; from jax._src import xla_bridge as b; assert not b._backends"
    subprocess.run([sys.executable, "-c", code], check=True)
