"""Mutants by sampling: ``python tests/mutants.py --each 50 --seed 1 stencils/weights.py``.

One operator, constant or condition of a module is changed, and the fast tests of that module must
fail. Prints a score for each module, and the mutants that survived. Libraries start an interpreter
for each mutant, and import JAX; here a process forks that has imported all but this package. What
cannot show is left alone: annotations, messages, asserts, and whether a `zip` is strict.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCKS = ["blocks/test_kernels.py", "blocks/test_host.py", "blocks/test_plain.py"]
_CURVED = ["operators/test_vector_terms.py", "operators/test_curvilinear.py"]
_VECTORS = [f"operators/test_{name}.py" for name in ("vector_terms", "vectors", "vector_labels")]
TESTS = {
    "stencils/": ["stencils"],
    "blocks/arithmetic.py": ["blocks/test_arithmetic.py", *_BLOCKS],
    **{f"blocks/{name}.py": _BLOCKS for name in ("fields", "interior")},
    "grids/geometry.py": ["grids/test_geometry.py", "grids/test_grid.py", *_CURVED[:1]],
    "grids/metric_terms.py": ["grids/test_metric_terms.py", *_CURVED],
    **{f"operators/{name}.py": _VECTORS for name in ("kinematics", "horizontal")},
    "pipeline/planning/": [f"pipeline/test_{name}.py" for name in ("regions", "steps", "labels")],
    "pipeline/execute/journal.py": ["pipeline/test_journal.py"],
}
"""The fast tests of the modules whose path begins so."""
# Of the survivors these are known to change nothing:
# - stencils/dtypes.py: sizes of 3, 9 or 17 bytes, which no number has; `empty` of one item.
# - blocks/arithmetic.py: whether a quotient is rounded by itself, since no compiler contracts it.
# - grids/geometry.py: `<` or `<=` 1e-5 degrees, which no coordinate is exactly away from a pole.
# - operators/kinematics.py: which deformations a wind is made for, since the total needs all of it.
# - pipeline/execute/journal.py: by how much run.json is indented.
IMPORTED = ["pytest", "jax.numpy", "dask.array", "distributed", "xarray", "zarr", "hypothesis"]
IMPORTED += ["pint", "cf_xarray", "pydantic", "yaml", "psutil", "pandas", "netCDF4"]
LIMIT = 500  # seconds; a mutant that takes longer hangs, which somebody would see

PAIRS: list[tuple[type, type]] = [
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.BitOr, ast.BitAnd),
    (ast.And, ast.Or),
]
OTHER = dict(PAIRS) | {b: a for a, b in PAIRS} | {ast.FloorDiv: ast.Div, ast.Pow: ast.Mult}
Change = tuple[ast.AST, str, object]
"""A node, which of its fields, and what that becomes."""


def find_changes(node: ast.AST) -> Iterator[Change]:
    """All changes below a node, of which one makes a mutant."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in OTHER:
        yield node, "op", OTHER[type(node.op)]()
    if isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            if type(op) in OTHER:
                yield node, "ops", [*node.ops[:at], OTHER[type(op)](), *node.ops[at + 1 :]]
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield node, "test", ast.UnaryOp(ast.Not(), node.test)
    if isinstance(node, ast.comprehension) and node.ifs:
        yield node, "ifs", []
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node, "op", ast.UAdd()
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield node, "value", value
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield node, "value", ast.Constant(None)
    for name, held in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for inner in held if isinstance(held, list) else [held]:
            if isinstance(inner, ast.keyword) and inner.arg == "strict":
                continue
            if isinstance(inner, ast.AST) and not isinstance(inner, (ast.Raise, ast.Assert)):
                yield from find_changes(inner)


def make_mutants(source: str) -> Iterator[tuple[str, str]]:
    """What is changed where, and the source with it."""
    tree = ast.parse(source)
    for node, name, value in find_changes(tree):
        before, old = getattr(node, name), ast.unparse(node)
        setattr(node, name, value)
        new = ast.unparse(ast.fix_missing_locations(node))
        line = getattr(node, "lineno", 0) or getattr(getattr(node, "target", node), "lineno", 0)
        changed = ast.unparse(ast.fix_missing_locations(tree))
        setattr(node, name, before)
        yield f"{line}: {old.splitlines()[0]} → {new.splitlines()[0]}", changed


def run_tests(folder: Path, tests: list[str]) -> int:
    """The exit code of pytest in a child of this process; -1 where that hangs."""
    child = os.fork()
    if not child:
        _be_child(folder, tests)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def _be_child(folder: Path, tests: list[str]) -> None:
    import pytest

    os.setpgid(0, 0)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(each for each in sys.path if Path(each or ".") != ROOT)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    paths = [f"tests/{each}" for each in tests]
    code = 1
    with suppress(BaseException):
        code = int(pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *paths]))
    os._exit(code)


def tests_of(module: str) -> list[str]:
    """Those of a module, by the beginning of its path."""
    return next(TESTS[each] for each in TESTS if module.startswith(each))


def judge(module: str, each: int, seed: int, folder: Path, say: Callable[[str], None]) -> None:
    """Samples the mutants of a module, and says how many were found, and which were not."""
    path, tests = folder / "fdgrad_dask" / module, tests_of(module)
    source = path.read_text()
    mutants = list(make_mutants(source))
    chosen = random.Random(seed).sample(mutants, min(each, len(mutants)))
    killed, survived = 0, []
    for what, changed in chosen:
        path.write_text(changed)
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        if run_tests(folder, tests):
            killed += 1
        else:
            survived.append(what)
            say(f"    {module}:{what}")
    path.write_text(source)
    score = f"{100 * killed / len(chosen):.0f} %" if chosen else "nothing to change"
    say(f"{module:<32} {killed:>3} of {len(chosen):>3} killed, {score} ({len(mutants)} mutants)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="files below fdgrad_dask; all that have tests")
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    files = (path.relative_to(ROOT / "fdgrad_dask") for path in ROOT.glob("fdgrad_dask/**/*.py"))
    known = sorted(str(path) for path in files if str(path).startswith(tuple(TESTS)))
    modules = given.modules or [each for each in known if not each.endswith("__init__.py")]
    for name in IMPORTED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in ("fdgrad_dask", "tests", "configs"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "pyproject.toml", folder)
        for tests in {tuple(tests_of(each)) for each in modules}:
            if code := run_tests(folder, list(tests)):
                sys.exit(f"{' '.join(tests)} do not pass as they are ({code})")
        for module in modules:
            judge(module, given.each, given.seed, folder, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
