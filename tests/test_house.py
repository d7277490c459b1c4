"""docs/house.md as a test: one rule per room, and how large a file or a function may be."""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fdgrad_dask"

# Room → the rooms below it that it may import, and the libraries that belong to it. A room that is
# listed may also import itself. Everyone may import `errors`.
ROOMS = {
    "errors": ("", ""),
    "stencils": ("", "numpy"),
    "blocks": ("stencils", "ducc0 jax numpy"),
    "halo": ("stencils blocks", "dask jax numpy"),
    "arrays": ("stencils blocks halo", "numpy"),
    "grids": ("stencils blocks halo", "cf_xarray numpy pint pyproj xarray"),
    "operators": ("stencils blocks halo arrays grids", "numpy xarray"),
    "accessor": ("grids operators", "xarray"),
    "__init__": ("accessor arrays blocks grids halo operators", "xarray"),
    "pipeline": ("pipeline.execute pipeline.planning pipeline.commands", ""),
    "pipeline.config": ("operators", "dask pydantic yaml"),
    "pipeline.console": ("pipeline.config", ""),
    "pipeline.source": (
        "grids pipeline.config",
        "dask fsspec icechunk numpy obstore pyproj xarray zarr",
    ),
    "pipeline.store": (
        "pipeline.config pipeline.console pipeline.source",
        "dask google_crc32c icechunk netCDF4 numcodecs numpy obstore xarray zarr",
    ),
    "pipeline.cluster": (
        "operators pipeline.config pipeline.console",
        "dask dask_kubernetes distributed jax numpy psutil xarray",
    ),
    "pipeline.planning": (
        "halo grids operators pipeline.config pipeline.source pipeline.store pipeline.cluster",
        "dask jax numpy xarray",
    ),
    "pipeline.execute": (
        "halo pipeline.config pipeline.console pipeline.source pipeline.store pipeline.cluster "
        "pipeline.planning",
        "dask distributed jax numpy psutil tqdm xarray",
    ),
    "pipeline.report": (
        "pipeline.config pipeline.source pipeline.store pipeline.execute",
        "dask jinja2 matplotlib numpy pandas xarray yaml",
    ),
    "pipeline.commands": (
        "pipeline.config pipeline.console pipeline.source pipeline.store pipeline.cluster "
        "pipeline.planning pipeline.execute pipeline.report",
        "xarray",
    ),
    "cli": ("blocks pipeline pipeline.config pipeline.console pipeline.execute", "argcomplete"),
}
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


@cache
def source(module: str) -> str:
    return (PACKAGE / Path(*module.split("."))).with_suffix(".py").read_text()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(source(module))


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports anywhere in it: libraries by their top name, ours by module."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else str(node.module) for name in inner]
        else:
            continue
        for name in names:
            ours = name.startswith("fdgrad_dask")
            found.add(name.removeprefix("fdgrad_dask").strip(".") if ours else name.split(".")[0])
    return frozenset(found - sys.stdlib_module_names)


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def room(module: str) -> str:
    """The folder or file that a module lies in; of the engine, the one inside `pipeline`."""
    first, *inner = module.removesuffix(".__init__").split(".")
    return f"pipeline.{inner[0]}" if first == "pipeline" and inner else first


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_the_rooms_below_it_and_its_own_libraries(module):
    below, libraries = (set(words.split()) for words in ROOMS[room(module)])
    known = {room(m) for m in MODULES}
    used = {room(name) for name in imports(module)}
    assert used & known <= below | {room(module), "errors"}
    assert used - known <= libraries


def test_every_room_exists():
    assert {room(m) for m in MODULES} == set(ROOMS)


def test_no_module_imports_itself_through_others():
    folders = {m.removesuffix(".__init__"): m for m in MODULES if m.endswith("__init__")}
    below = {m: {folders.get(i, i) for i in imports(m)} & set(MODULES) - {m} for m in MODULES}
    TopologicalSorter(below).prepare()  # raises a CycleError that names the modules


def test_no_private_name_crosses_a_room():
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fdgrad_dask"):
                private = [a.name for a in node.names if a.name.startswith("_")]
                inside = room(str(node.module).removeprefix("fdgrad_dask."))
                assert not private or inside == room(module), f"{module} imports {private}"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_read_in_one_sitting(module):
    assert source(module).count("\n") <= 300
    assert ast.get_docstring(tree(module))
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            described = (ast.get_docstring(node, clean=False) or "").count("\n")
            assert node.end_lineno - node.lineno + 1 - described <= 50, f"{node.name} is too long"


def test_the_page_names_every_room():
    page = (ROOT / "docs" / "house.md").read_text()
    assert [
        name for name in ROOMS if name != "__init__" and f"`{name.rpartition('.')[2]}" not in page
    ] == []
