"""docs/house.md as a test: who imports whom, how large a room may be, one list of each thing."""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fdgrad_dask"

MAY_IMPORT = {
    "__init__": "accessor arrays geometry memory operators",
    "errors": "",
    "memory": "errors",
    "weights": "",
    "spacing": "numpy dtypes errors",
    "dtypes": "numpy",
    "windows": "numpy weights",
    "stencil": "numpy errors spacing windows",
    "flux": "numpy spacing stencil weights windows",
    "program": "numpy stencil windows",
    "views": "jax numpy",
    "sums": "dtypes jax numpy program stencil weights windows",
    "kernels": "jax program sums views",
    "whole": "dtypes jax numpy kernels program stencil sums views windows",
    "readers": "numpy program stencil",
    "plain": "dtypes numpy program readers stencil weights windows",
    "scratch": "jax numpy program stencil views",
    "pages": "jax numpy memory scratch",
    "sweep": "dtypes numpy kernels pages program scratch views",
    "tiles": "dtypes jax numpy kernels memory pages program scratch sweep",
    "blocks": "jax numpy plain program readers scratch tiles",
    "tasks": "numpy blocks errors plain program spacing",
    "graphs": "dask",
    "chunks": "dask numpy errors graphs program tasks",
    "halo": "numpy chunks dtypes errors program stencil tasks whole",
    "arrays": "numpy dtypes errors halo spacing stencil whole",
    "geometry": "numpy",
    "slopes": "",
    "formulas": "slopes",
    "ends": "numpy stencil weights windows",
    "curvilinear": "numpy halo stencil",
    "spacings": "numpy xarray attributes errors grid",
    "projections": "numpy pyproj xarray errors geometry units",
    "places": "numpy xarray errors grid projections",
    "curved": "numpy xarray errors geometry grid places projections spacings",
    "units": "cf_xarray pint",
    "attributes": "errors units",
    "times": "numpy xarray dtypes errors",
    "grid": "cf_xarray numpy xarray attributes errors spacing times",
    "levels": "xarray attributes errors grid tasks",
    "horizontal": "numpy xarray attributes curved errors geometry grid places projections spacing",
    "operators.__init__": "operators.dynamics operators.gradients operators.laplace "
    "operators.scalars operators.space operators.winds",
    "operators.entry": "numpy xarray errors geometry halo units whole",
    "operators.roles": "xarray errors units",
    "operators.verticals": "numpy xarray errors grid units",
    "operators.space": "numpy xarray attributes errors formulas geometry operators.entry "
    "operators.roles operators.scheme operators.verticals operators.wind",
    "operators.scheme": "numpy xarray attributes errors grid halo horizontal program spacing "
    "stencil times",
    "operators.metric": "numpy xarray attributes curvilinear ends errors geometry grid halo "
    "horizontal operators.scheme places program slopes stencil weights windows",
    "operators.gradients": "xarray attributes errors grid halo levels operators.entry "
    "operators.scheme times",
    "operators.scalars": "numpy xarray attributes errors formulas geometry "
    "operators.entry operators.metric operators.scheme",
    "operators.laplace": "numpy xarray curvilinear flux formulas geometry grid horizontal "
    "operators.entry operators.metric operators.scheme slopes spacing stencil",
    "operators.wind": "numpy xarray attributes curvilinear errors geometry grid horizontal "
    "operators.metric operators.roles operators.scheme slopes",
    "operators.winds": "numpy xarray attributes errors formulas geometry operators.entry "
    "operators.roles operators.scheme operators.wind",
    "operators.dynamics": "numpy xarray attributes errors formulas geometry operators.entry "
    "operators.metric operators.roles operators.scheme operators.verticals operators.wind",
    "accessor": "xarray errors operators projections",
    "cli": "errors pipeline.catalog pipeline.config pipeline.console pipeline.run "
    "pipeline.starter pipeline.verify",
    "pipeline.__init__": "",
    "pipeline.console": "pipeline.redaction",
    "pipeline.redaction": "",
    "pipeline.strict_yaml": "pydantic yaml errors pipeline.catalog",
    "pipeline.sections.__init__": "",
    "pipeline.sections.section": "pydantic pipeline.redaction",
    "pipeline.sections.source": "pydantic pipeline.redaction pipeline.sections.section",
    "pipeline.sections.step": "pydantic pipeline.catalog pipeline.strict_yaml "
    "pipeline.sections.section",
    "pipeline.sections.target": "pydantic pipeline.sections.section",
    "pipeline.sections.measures": "dask pydantic",
    "pipeline.sections.cluster": "dask pydantic pipeline.sections.measures "
    "pipeline.sections.section",
    "pipeline.sections.picture": "pydantic pipeline.sections.section",
    "pipeline.sections.report": "pydantic pipeline.sections.section",
    "pipeline.config": "pydantic pipeline.strict_yaml pipeline.sections.cluster "
    "pipeline.sections.picture pipeline.sections.report pipeline.sections.section "
    "pipeline.sections.source pipeline.sections.step pipeline.sections.target",
    "pipeline.catalog": "errors operators",
    "pipeline.related": "xarray",
    "pipeline.sources.__init__": "",
    "pipeline.sources.versions": "zarr errors pipeline.sources.remote",
    "pipeline.sources.stored": "numpy xarray errors pipeline.redaction pipeline.sources.versions",
    "pipeline.sources.guarded": "zarr errors pipeline.sources.versions",
    "pipeline.sources.headers": "errors",
    "pipeline.sources.remote": "fsspec obstore zarr errors pipeline.redaction "
    "pipeline.sections.source",
    "pipeline.sources.places": "errors pipeline.catalog pipeline.sections.section "
    "pipeline.sections.source pipeline.sources.remote",
    "pipeline.sources.snapshots": "icechunk zarr errors pipeline.catalog pipeline.sections.source",
    "pipeline.sources.opening": "fsspec xarray zarr errors pipeline.redaction pipeline.related "
    "pipeline.sections.source pipeline.sources.guarded pipeline.sources.headers "
    "pipeline.sources.remote pipeline.sources.snapshots pipeline.sources.stored "
    "pipeline.sources.versions",
    "pipeline.sources.joining": "numpy xarray errors pipeline.sections.source "
    "pipeline.sources.opening pipeline.sources.stored",
    "pipeline.sources.labels": "xarray errors pipeline.catalog pipeline.related "
    "pipeline.sections.source",
    "pipeline.sources.selection": "numpy xarray errors pipeline.catalog pipeline.sections.source",
    "pipeline.sources.fingerprints": "zarr errors pipeline.redaction pipeline.sections.source "
    "pipeline.sources.opening pipeline.sources.places pipeline.sources.snapshots "
    "pipeline.sources.versions",
    "pipeline.inputs": "errors pipeline.redaction pipeline.sections.source "
    "pipeline.sources.opening pipeline.sources.remote pipeline.sources.versions",
    "pipeline.source": "dask numpy xarray errors pipeline.catalog pipeline.sections.source "
    "pipeline.sources.fingerprints pipeline.sources.joining pipeline.sources.labels "
    "pipeline.sources.opening pipeline.sources.places pipeline.sources.selection "
    "pipeline.sources.snapshots",
    "pipeline.steps": "xarray errors operators pipeline.catalog pipeline.config pipeline.related "
    "pipeline.sections.step",
    "pipeline.clusters.__init__": "",
    "pipeline.clusters.resources": "dask distributed errors pipeline.sections.cluster",
    "pipeline.clusters.local": "dask distributed errors pipeline.clusters.resources "
    "pipeline.sections.cluster pipeline.sections.measures",
    "pipeline.clusters.jobs": "dask distributed",
    "pipeline.clusters.queue": "distributed errors pipeline.clusters.jobs "
    "pipeline.clusters.resources pipeline.sections.cluster pipeline.sections.measures",
    "pipeline.clusters.ssh": "dask distributed errors pipeline.clusters.resources "
    "pipeline.sections.cluster",
    "pipeline.clusters.kubernetes": "dask_kubernetes distributed errors "
    "pipeline.clusters.resources pipeline.sections.cluster",
    "pipeline.clusters.address": "distributed pipeline.clusters.resources "
    "pipeline.sections.cluster",
    "pipeline.cluster": "dask distributed errors pipeline.clusters.address "
    "pipeline.clusters.kubernetes pipeline.clusters.local pipeline.clusters.queue "
    "pipeline.clusters.resources pipeline.clusters.ssh pipeline.console pipeline.sections.cluster "
    "pipeline.sections.measures pipeline.worker",
    "pipeline.worker": "dask distributed jax numpy xarray errors operators "
    "pipeline.clusters.resources pipeline.sections.cluster",
    "pipeline.progress": "dask tqdm pipeline.console",
    "pipeline.cutting": "",
    "pipeline.plan": "pipeline.cutting",
    "pipeline.lazy": "dask xarray pipeline.config pipeline.cutting pipeline.source pipeline.steps",
    "pipeline.layout": "dask xarray errors pipeline.catalog pipeline.cutting "
    "pipeline.sections.source pipeline.sections.target",
    "pipeline.job": "dask xarray errors pipeline.cluster pipeline.config pipeline.cutting "
    "pipeline.identity pipeline.inputs pipeline.layout pipeline.lazy pipeline.picture "
    "pipeline.plan pipeline.source pipeline.sources.places pipeline.sources.versions "
    "pipeline.steps",
    "pipeline.identity": "numpy xarray pipeline.config pipeline.layout pipeline.redaction "
    "pipeline.sections.section",
    "pipeline.targets.__init__": "",
    "pipeline.targets.ownership": "errors pipeline.journal pipeline.record pipeline.targets.store",
    "pipeline.targets.store": "numpy xarray",
    "pipeline.targets.files": "dask errors",
    "pipeline.targets.icechunk": "icechunk numpy xarray zarr errors pipeline.sections.target "
    "pipeline.sources.snapshots pipeline.targets.encoding pipeline.targets.files "
    "pipeline.targets.ownership pipeline.targets.store pipeline.targets.zarr",
    "pipeline.targets.netcdf": "dask netCDF4 numpy xarray zarr errors pipeline.console "
    "pipeline.sections.target pipeline.targets.encoding pipeline.targets.files "
    "pipeline.targets.ownership pipeline.targets.store pipeline.targets.zarr",
    "pipeline.targets.encoding": "numcodecs numpy xarray zarr pipeline.related "
    "pipeline.sections.target",
    "pipeline.targets.zarr": "numpy xarray zarr errors pipeline.console pipeline.sections.target "
    "pipeline.targets.encoding pipeline.targets.files pipeline.targets.ownership "
    "pipeline.targets.store",
    "pipeline.targets.opening": "errors pipeline.sections.target pipeline.targets.icechunk "
    "pipeline.targets.netcdf pipeline.targets.store pipeline.targets.zarr",
    "pipeline.work": "pipeline.config pipeline.cutting pipeline.record",
    "pipeline.row": "dask distributed numpy xarray pipeline.cutting pipeline.lazy pipeline.record "
    "pipeline.targets.store pipeline.work",
    "pipeline.region": "distributed numpy xarray errors pipeline.cutting pipeline.row "
    "pipeline.source pipeline.sources.versions pipeline.targets.opening pipeline.targets.store "
    "pipeline.travelling pipeline.work",
    "pipeline.travelling": "tblib errors",
    "pipeline.record": "",
    "pipeline.journal": "pipeline.record pipeline.redaction pipeline.targets.files",
    "pipeline.lock": "psutil errors pipeline.console pipeline.journal pipeline.targets.files",
    "pipeline.verify": "errors pipeline.config pipeline.identity pipeline.inputs pipeline.job "
    "pipeline.journal pipeline.record pipeline.sources.places pipeline.targets.opening "
    "pipeline.targets.ownership pipeline.targets.store",
    "pipeline.start": "dask xarray errors pipeline.console pipeline.identity pipeline.job "
    "pipeline.journal pipeline.plan pipeline.record pipeline.sources.versions "
    "pipeline.targets.ownership pipeline.targets.store pipeline.verify",
    "pipeline.conduct": "dask distributed errors pipeline.plan pipeline.record pipeline.region "
    "pipeline.work",
    "pipeline.describe": "dask xarray pipeline.job pipeline.lazy",
    "pipeline.sample": "dask xarray pipeline.job pipeline.lazy pipeline.targets.encoding",
    "pipeline.starter": "",
    "pipeline.chart": "matplotlib numpy xarray",
    "pipeline.picture": "matplotlib xarray errors pipeline.catalog pipeline.chart "
    "pipeline.sections.picture pipeline.sections.source pipeline.sections.target pipeline.source",
    "pipeline.report.__init__": "",
    "pipeline.report.numbers": "numpy pipeline.record",
    "pipeline.report.excerpt": "numpy xarray pipeline.chart",
    "pipeline.report.figures": "matplotlib numpy xarray pipeline.chart pipeline.report.numbers",
    "pipeline.report.pieces": "",
    "pipeline.report.sections": "dask numpy xarray yaml pipeline.config pipeline.record "
    "pipeline.related pipeline.report.excerpt pipeline.report.figures pipeline.report.numbers "
    "pipeline.report.pieces",
    "pipeline.report.page": "dask xarray errors pipeline.config pipeline.journal pipeline.record "
    "pipeline.report.numbers pipeline.report.pieces pipeline.report.sections "
    "pipeline.sections.source pipeline.source pipeline.targets.zarr",
    "pipeline.run": "dask errors pipeline.cluster pipeline.conduct pipeline.config "
    "pipeline.console pipeline.describe pipeline.job pipeline.journal pipeline.lock "
    "pipeline.picture pipeline.plan pipeline.progress pipeline.record pipeline.region "
    "pipeline.report.page pipeline.sample pipeline.source pipeline.start pipeline.targets.opening "
    "pipeline.targets.store pipeline.verify pipeline.work",
}
FOLDERS = {"fdgrad_dask"} | {
    f"fdgrad_dask.{folder}"
    for folder in (
        "pipeline",
        "pipeline.clusters",
        "pipeline.report",
        "pipeline.sources",
        "pipeline.targets",
    )
}
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


@cache
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
            if names[0] in FOLDERS:
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
    TopologicalSorter(below).prepare()  # raises a CycleError that names the modules


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
