"""Mutants by sampling: ``python tests/mutants.py --each 50 --seed 1 stencils/weights.py``.

One operator, constant or condition of a module is changed, and a test must fail. Prints a score for
each module, and the mutants that survived. What cannot show is left alone: annotations, messages,
asserts, and whether a `zip` is strict.

Libraries start an interpreter for each mutant. Here pytest collects once and records which tests
run which lines; for each mutant a fork puts the changed code into the function as it lives, and
runs the tests of that line, those first that found others, those of the module's own file and those
that cost little, until one fails. A line of the import, a constant say, cannot be changed so: a
fork of a process that has imported all but this package imports the changed module.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import gc
import importlib
import inspect
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).parent.parent
_LABELS = ["grids", "operators"]
TESTS = {
    "stencils/": ["stencils", "blocks", "test_arrays.py"],
    "blocks/": ["blocks", "halo", "test_arrays.py", "operators"],
    "halo/": ["halo", "blocks", "operators", "test_arrays.py"],
    "grids/": _LABELS,
    "operators/": _LABELS,
    "pipeline/planning/": [
        f"pipeline/test_{name}.py"
        for name in (
            *("identity", "graph", "describe", "job", "regions", "steps", "labels", "plan"),
            *("grid", "starter", "config", "resume"),
        )
    ],
    "pipeline/execute/": [
        f"pipeline/test_{name}.py"
        for name in (
            *("journal", "lock", "window", "task", "together", "progress", "recording", "verify"),
            *("resume", "repair", "extend"),
        )
    ],
}
"""Where the tests of the modules whose path begins so are looked for."""
CHILDREN = {
    "blocks/compute.py": ["blocks/test_settings.py::test_children_of_a_fork_compute"],
    "blocks/sharded.py": ["blocks/test_sharded.py"],
}
"""Tests that start processes, which import a mutant as a file: asked where no other found it."""
# Of the survivors these are known to change nothing:
# - stencils/dtypes.py: sizes of 3, 9 or 17 bytes, which no number has; `empty` of one item.
# - stencils/edge_rows.py: which negative size `reshape` fills in, since NumPy takes any.
# - stencils/flux.py: which end says that the axis is periodic, since both ends do.
# - stencils/table.py: accuracies of 3, which no table has.
# - stencils/weights.py: what is multiplied by the order 0.
# - blocks/accelerator.py: the rows of an only part, which all are its own; `<` or `<=` of what that
#   is cut into one part by anyway.
# - blocks/arithmetic.py: whether a quotient is rounded by itself, since no compiler contracts it.
# - blocks/arithmetic.py: of which weight the dtype is asked for, since all have the same.
# - blocks/number.py: by what zero is divided in a length.
# - blocks/arithmetic.py: -2 for -1 in a shape of NumPy.
# - blocks/buffers.py: how many bytes, none or one, a buffer counts that is deleted.
# - blocks/central.py: `<` or `<=` 1e-30 and 1e30, which no step is exactly; how long a strip is.
# - blocks/central.py: which of two equal steps is taken, a copy of points, -2 for -1 in a shape.
# - blocks/compute.py: from how many points on XLA is quicker; how long the end pauses; how many
#   threads are there to ask one.
# - blocks/compute.py: from how many points on XLA is quicker; how long the end pauses, `<` or `<=`
#   how long it waits at most; how many threads are there to ask one.
# - blocks/device.py: up to how many bytes an array stays on a device; whether numbers are copied;
#   whether rows of poles are among the fields, where nothing reads them.
# - blocks/device.py: by which number of a sign steps of levels are multiplied, or divided.
# - blocks/differentiable.py: whether what is finite has a rule of its own, which says the same; and
#   which finite number stands for another one that nothing is made of.
# - blocks/fields.py: whether the innermost axis sets rows or selects them; `>` or `>=` 0 of no 0.
# - blocks/harmonics.py: whether a sense, 1 or -1, multiplies or divides.
# - blocks/host.py: which of the frames that fit is taken, and where axes of size 1 stand in memory.
# - blocks/host.py: rows beside split 0 that are computed twice; -2 for -1 in a shape; whether we
#   copy memory that begins within an element, or XLA does.
# - blocks/interior.py: how long a row of memory is.
# - blocks/kernel.py: along which axis nothing is shifted; no edges, or no rows between, as slices;
#   how many programs are remembered.
# - blocks/shards.py: `>` or `>=` 0 of an offset that is not 0.
# - blocks/small.py: whether slices join ends beyond which nothing is read.
# - blocks/program.py: the least halo of a field that is differentiated, since none is below 1.
# - blocks/zero_copy.py: how long, `<` or `<=`, it waits at most, and pauses; -2 for -1 in a shape.
# - halo/chunks.py: how many bytes travel together; whether what is no chunk is asked for its kind;
#   which of the arrays that are cut alike says how.
# - halo/overlap.py: which of equal widths; how many values metadata have; whether arrays in memory
#   go along, which the parameters have.
# - halo/compute.py: how many values metadata have; which array says how many axes all have.
# - halo/tasks.py: the axis of joins where none is given, as dask always gives one.
# - halo/transfer.py: how many values metadata have.
# - grids/angles.py: whether coordinates of a dataset are given, which its variables have already.
# - grids/cell_checks.py: whether labels are asked for that both cells and faces have.
# - grids/cell_sizes.py: `<` or `<=` of two labels, which differ; which one after the first says
#   whether all fall; whether the only step there is is constant, or between its two points.
# - grids/cells.py: by how many turns a point lies beyond an end, since steps count modulo one.
# - grids/coordinate.py: how many answers of cf-xarray are kept.
# - grids/coordinate.py: half a turn more or less, by which an angle is shifted when it is unwound.
# - grids/curvilinear.py: how many rows beyond a neighbour a chunk receives.
# - grids/faces.py: which of two faces that are the same one has to exist.
# - grids/geometry.py: `<` or `<=` 1e-5 degrees, which no coordinate is exactly away from a pole.
# - grids/globe.py: which two of the rows, or columns, say whether they rise, since all do.
# - grids/globe.py: 1 or -1 for the second of two ends; `<` or `<=` of a limit that none meets.
# - grids/metric_terms.py: nothing times the first spacing, or divided by it, which is not zero.
# - grids/model_cells.py: whether a variable is copied deep, or one part alone is concatenated;
#   1 or 2 of a factor, which is never 2.
# - grids/models.py: `<` or `<=` 0.2 of a step, by which no face is exactly off its middle.
# - grids/places.py: `>` or `>=` of a limit, which no angle meets exactly; the name of an array that
#   has none.
# - grids/projections.py: 1 or -2 for -1 in the shape of one number; which of two axes of one unit.
# - grids/staggered.py: which end says that the axis is periodic, since both ends do.
# - grids/steps.py: `>` or `>=`, since no step is exactly as long as the shortest that counts.
# - grids/times.py: 2**62 or 2**63.
# - grids/vertical.py: `<` or `<=` of two sets, since `or` sees those that are equal.
# - grids/vertical.py: whether aligned arrays are copied.
# - operators/datasets.py: whether a point is unknown of two or of four, since it never is of two.
# - operators/entry.py: 1 or 2 m for the radius of what has none, which is only looked at.
# - operators/connected.py: `>` or `>=` half a cell, which no places are exactly apart; 1 for -1 of
#   two axes.
# - operators/extended.py: whether there are connections beside those of an irregular corner.
# - operators/extended.py: `<` or `<=` the edge of cells, on which no row of u lies.
# - operators/fused_pass.py: `<` or `<=` a hundredth of a step, by which no labels differ exactly.
# - operators/fused_pass.py: `&` or `|` of dimensions that have an index in both fields anyway.
# - operators/fused_pass.py: whether fields of the same dimensions are broadcast.
# - operators/ghosts.py: whether parts of no points are joined, or of how many none of an axis are.
# - operators/ghosts.py: a connection more to go along, since it leads back to the first face.
# - operators/ghosts.py: what half a turn is in units that no angle has, which is refused.
# - operators/gradient.py: which of two ways of the same bits is taken, in one pass or several.
# - operators/helmholtz.py: which of the two radii of a sphere is taken, since they are equal.
# - operators/interpolation.py, staggered.py: which end says that an axis is periodic.
# - operators/kinematics.py: which deformations a wind is made for, since the total needs all of it.
# - operators/options.py: whether the keys of a type may be left out, which mypy alone reads.
# - operators/overview.py: on how many points an operator is tried.
# - operators/overview_data.py: of which of two coordinates over the same dimensions these are.
# - operators/pole_rows.py: more than one window or more than two, since no table has two.
# - operators/potential_vorticity.py: whether kelvin are multiplied by one; the unit of levels that
#   are no pressure, which are refused.
# - operators/roles.py: whether a component in the unit of the other is multiplied by one.
# - operators/rotation.py: how many of the two arrays of a wind are taken, two or three.
# - operators/staggered_ghosts.py: which end says that x is periodic; the pivot where no fold is.
# - operators/staggered_ghosts.py: how many ghosts x has, which goes around with or without them.
# - operators/staggered_ghosts.py: where y ends, if nothing goes on beyond that end.
# - operators/staggered_wind.py: components beside those that are needed, or one of them twice.
# - operators/staggered_wind.py: of which component a B grid is seen, since both are at corners.
# - pipeline/planning/cutting.py: whether a halo may end where its region does, an end anyway.
# - pipeline/planning/graph.py: how long a corner of a few points is; which graphs are made again.
# - pipeline/planning/job.py: of what garbage is collected; it shows in HDF5 that is written again.
# - pipeline/planning/job.py: `>` or `>=` of what a worker holds, which no plan meets to the byte.
# - pipeline/planning/regions.py: by what the only point of a dimension is divided, without a halo.
# - pipeline/execute/window.py: whether it pauses until one has ended, since it looks again.
# - pipeline/execute/journal.py: by how much run.json is indented.
SLOW = 2.0  # seconds; a test that takes longer is not asked
ENOUGH = 15.0  # seconds; how long the tests of one mutant may take together
IMPORTED = ["pytest", "jax.numpy", "dask.array", "distributed", "xarray", "zarr", "hypothesis"]
IMPORTED += ["pint", "cf_xarray", "pydantic", "yaml", "psutil", "pandas", "netCDF4"]
LIMIT = 300  # seconds; a mutant that takes longer hangs, which somebody would see,
BUSY = 60  # as they would if it computed for so long
CRASH = "no import, a crash or no end"
MEMORY = 8 << 30  # bytes; so would one that takes more

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
Run = Callable[["Mutant | None", list[str]], str]
"""The first of some tests that fails with a mutant, or without any; nothing where all pass."""
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


@dataclass
class Mutant:
    """What is changed where, and the code of the module with it."""

    what: str
    lines: range
    code: CodeType
    text: str
    whole: range
    """The lines of the function whose default it changes."""
    names: set[str] = field(default_factory=set)
    """Of tests that may notice it."""
    swaps: list[tuple[CodeType, CodeType]] = field(default_factory=list)
    """Functions that differ, with their code."""


def make_mutants(source: str, path: Path) -> Iterator[Mutant]:
    tree = ast.parse(source)
    heads = {_lines_of(node): node for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    for node, name, value in find_changes(tree):
        before, old = getattr(node, name), ast.unparse(node)
        place = node.target if isinstance(node, ast.comprehension) else node
        line, column = place.lineno, place.col_offset + 1
        lines = min((head for head in heads if line in head), key=len)
        setattr(node, name, value)
        new = ast.unparse(ast.fix_missing_locations(node))
        code, text = compile(ast.fix_missing_locations(tree), str(path), "exec"), ast.unparse(tree)
        setattr(node, name, before)
        what = f"{line}:{column}: {old.splitlines()[0]} → {new.splitlines()[0]}"
        yield Mutant(what, lines, code, text, _lines_of_function(heads[lines]))


def _lines_of(node: ast.stmt) -> range:
    """Of a statement without those inside it."""
    inside = [each.lineno for each in ast.walk(node) if isinstance(each, ast.stmt)]
    later = [line for line in inside if line > node.lineno]
    return range(node.lineno, min(later, default=(node.end_lineno or node.lineno) + 1))


def _lines_of_function(node: ast.stmt) -> range:
    is_function = isinstance(node, ast.FunctionDef)
    return range(node.lineno, (node.end_lineno or 0) + 1) if is_function else range(0)


@dataclass
class Record:
    """Seconds of each test by its name, and which of them run a line; "" is the import."""

    seconds: dict[str, float]
    names: dict[tuple[str, int], set[str]]
    left_out: Counter[str]
    """How many tests are not asked, by the reason."""

    def of_lines(self, module: str, lines: range) -> set[str]:
        """Those of the module where nobody runs the lines: of a lambda there is no record."""
        found = set().union(*(self.names.get((module, line), set()) for line in lines))
        return found or self.of_module(module)

    def of_module(self, module: str) -> set[str]:
        """All that run it; all of all where nothing of it runs but the import."""
        found = set().union(*(each for key, each in self.names.items() if key[0] == module))
        return found - {""} or set(self.seconds)

    def in_order(self, names: set[str], kills: Counter[str], module: str) -> list[str]:
        """Those first that killed, of the module's own file, that cost little; as time allows."""
        kept, spent = [], 0.0
        own = f"/test_{Path(module).name}::"

        def rank(name: str) -> tuple[int, bool, float]:
            return -kills[name], own not in name, self.seconds[name]

        for name in sorted(names & set(self.seconds), key=rank):
            spent += self.seconds[name]
            if spent > ENOUGH:
                break
            kept.append(name)
        return kept


def in_fork(work: Callable[[], object], limit: float = float("inf")) -> Any:
    """What work returns in a child of this process; None where that dies or takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer")
        child = os.fork()
        if not child:
            if limit < float("inf"):
                os.setpgid(0, 0)
            with suppress(BaseException):
                answer.write_bytes(pickle.dumps(work()))
            os._exit(0)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not os.waitpid(child, os.WNOHANG)[0]:
            time.sleep(0.01)
        with suppress(ProcessLookupError):  # and what its tests have started
            if limit < float("inf"):
                os.killpg(child, signal.SIGKILL)
        return pickle.loads(answer.read_bytes()) if answer.exists() else None


class Instead:
    """Does work with the tests that pytest has collected, instead of running them."""

    def __init__(self, work: Callable[[list[Any]], object]) -> None:
        self.work, self.answer = work, None

    def pytest_runtestloop(self, session: Any) -> bool:
        if not session.testsfailed:
            self.answer = self.work(session.items)
        return True


def with_tests(folder: Path, names: list[str], work: Callable[[list[Any]], object]) -> Any:
    """What work returns of the tests of files, folders or names; None where they do not import."""
    import pytest

    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)  # of processes that tests start
    sys.path[:] = [str(folder), *(each for each in sys.path if Path(each or ".") != ROOT)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    plugin = Instead(work)
    options = ["-q", "--assert=plain", "-p", "no:cacheprovider", f"--basetemp={folder}/tmp"]
    pytest.main([*options, *names], plugins=[plugin])
    return plugin.answer


def run_items(items: list[Any]) -> str:
    """The name of the first test that fails, or nothing."""
    from _pytest.runner import runtestprotocol

    use_kernels()
    resource.setrlimit(resource.RLIMIT_CPU, (BUSY, BUSY))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    for item, following in zip(items, [*items[1:], None], strict=False):
        if any(each.failed for each in runtestprotocol(item, log=False, nextitem=following)):
            return str(item.nodeid)
    return ""


def use_kernels() -> None:
    """After a fork the package leaves XLA alone, which may go on where it had not begun."""
    import jax._src.xla_bridge as bridge

    compute = sys.modules.get("fdgrad_dask.blocks.compute")
    if compute is not None and not bridge.backends_are_initialized():
        vars(compute)["_is_over"] = False


def record_tests(folder: Path, tests: list[str]) -> Record:
    """Runs all tests once. Own caches are emptied between them, or only the first would show."""
    from _pytest.runner import runtestprotocol

    seconds: dict[str, float] = {}
    left_out: Counter[str] = Counter()
    names: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    hits: set[tuple[str, int]] = set()
    builtins.HIT = hits.add  # type: ignore[attr-defined]

    def note(name: str) -> None:
        for hit in list(hits):
            names[hit].add(name)
        hits.clear()

    def run(items: list[Any]) -> bool:
        note("")
        for item, following in zip(items, [*items[1:], None], strict=False):
            forget()
            hits.clear()
            began = time.process_time()
            reports = runtestprotocol(item, log=False, nextitem=following)
            took = time.process_time() - began
            if any(each.failed for each in reports):
                left_out["fail"] += 1
            elif any(each.skipped for each in reports):
                left_out["are skipped"] += 1
            elif took >= SLOW:
                left_out[f"take more than {SLOW:.0f} s"] += 1
            else:
                seconds[item.nodeid] = took
                note(item.nodeid)
        return True

    change_import(partial(_with_hits, folder / "fdgrad_dask"))
    with_tests(folder, tests, run)
    return Record(seconds, dict(names), left_out)


def change_import(change: Callable[[Path], CodeType | None]) -> None:
    """From now on modules are imported with the code that change makes of them, if any."""
    get_code = SourceFileLoader.get_code

    def changed(loader: SourceFileLoader, name: str) -> CodeType | None:
        return change(Path(loader.path)) or get_code(loader, name)

    SourceFileLoader.get_code = changed  # type: ignore[method-assign]


def _with_hits(package: Path, path: Path) -> CodeType | None:
    """A module of the package that tells before each statement that it is run."""
    if not path.is_relative_to(package):
        return None
    tree, module = ast.parse(path.read_text()), str(path.relative_to(package))
    for node in list(ast.walk(tree)):
        for _, body in ast.iter_fields(node):
            if isinstance(node, ast.Module) or not isinstance(body, list):
                continue
            for at in reversed(range(len(body))):
                if isinstance(body[at], ast.stmt) and not _is_text(body[at]):
                    hit = ast.parse(f"HIT({(module, body[at].lineno)!r})").body[0]
                    body.insert(at, ast.copy_location(hit, body[at]))
    return compile(ast.fix_missing_locations(tree), str(path), "exec")


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def forget() -> None:
    """Of what is compiled only the first test shows: to compile it again takes minutes."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fdgrad_dask"):
            for each in list(vars(module).values()):
                getattr(each, "cache_clear", int)()


def find_swaps(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Functions that differ, with their code and of functions in them, which a decorator returns.

    None where more than functions does.
    """
    pairs = list(zip(old.co_consts, new.co_consts, strict=False))
    if old.co_flags & inspect.CO_OPTIMIZED:
        inside = [p for p in pairs if all(isinstance(code, CodeType) for code in p)]
        swaps = [swap for pair in inside for swap in find_swaps(*pair) or ()]
        return [(old, new), *swaps] if old != new else []
    codes = [pair for pair in pairs if isinstance(pair[0], CodeType)]
    same = all(repr(a) == repr(b) for a, b in pairs if not isinstance(a, CodeType))
    if not same or old.co_code != new.co_code or len(old.co_consts) != len(new.co_consts):
        return None
    found = [find_swaps(*pair) for pair in codes]
    return None if None in found else [swap for each in found if each for swap in each]


def functions_of(path: Path) -> dict[tuple[str, int], list[FunctionType]]:
    """All living functions of a file by their name and line."""
    gc.unfreeze()
    found = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == str(path):
            found[_key(each.__code__)].append(each)
    gc.freeze()
    return found


def _key(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


@dataclass
class Judge:
    """Finds, for each mutant of a module, a test that fails with it."""

    folder: Path
    module: str
    record: Record
    kills: Counter[str] = field(default_factory=Counter)
    survived: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "fdgrad_dask" / self.module

    def judge(self, mutants: list[Mutant], run: Run) -> None:
        """Those of mutants, each with the names of tests that may notice it."""
        for mutant in mutants:
            names = mutant.names
            while True:
                killer = run(mutant, self.record.in_order(names, self.kills, self.module))
                # A test that also fails alone and without the change says nothing.
                if killer in ("", CRASH, *self.kills) or not run(None, [killer]):
                    break
                names = names - {killer}
                del self.record.seconds[killer]
            self.kills[killer] += 1
            if not killer:
                self.survived.append(mutant.what)

    def judge_living(self, mutants: list[Mutant], items: list[Any]) -> tuple[Judge, list[int]]:
        """Those that change a function after the import, and which ones do not."""
        functions, by_name = functions_of(self.path), {item.nodeid: item for item in items}
        unchanged = compile(ast.parse(self.path.read_text()), str(self.path), "exec")

        def run(mutant: Mutant | None, names: list[str]) -> str:
            def work() -> str:
                for old, new in mutant.swaps if mutant else ():
                    for each in functions[_key(old)]:
                        each.__code__ = new
                return run_items([by_name[name] for name in names])

            return killer_in_fork(work)

        later = []
        for at, mutant in enumerate(mutants):
            mutant.names = self.record.of_lines(self.module, mutant.lines)
            swaps = find_swaps(unchanged, mutant.code)
            living = [_key(old) in functions for old, _ in swaps or ()]
            imported = "" in mutant.names or not any(living or [True])
            if swaps is not None and not (mutant.names and imported):
                mutant.swaps = swaps or []
                self.judge([mutant], run)
            else:
                later.append(at)
        return self, later

    def judge_imported(self, mutants: list[Mutant]) -> None:
        """Those that change what the import does."""

        def run(mutant: Mutant | None, names: list[str]) -> str:
            for some in (names[:10], names[10:]):  # collected only if the first find nothing
                work = partial(self.import_and_run, mutant, some)
                if some and (killer := killer_in_fork(work)):
                    return killer
            return ""

        for mutant in mutants:
            names = self.record.of_lines(self.module, mutant.whole) - {""}
            mutant.names = names or self.record.of_module(self.module)
        self.judge(mutants, run)

    def import_and_run(self, mutant: Mutant | None, names: list[str]) -> Any:
        if mutant:
            change_import(lambda path: mutant.code if path == self.path else None)
        return with_tests(self.folder, names, run_items)

    def judge_files(self, mutants: list[Mutant]) -> None:
        """Those that survived, by tests whose own processes import them."""
        names = [f"tests/{each}" for each in CHILDREN.get(self.module, ())]
        work, unchanged = partial(with_tests, self.folder, names, run_items), self.path.read_text()
        if names and killer_in_fork(work):
            sys.exit(f"of {' '.join(names)} one fails as it is")
        for mutant in mutants if names else ():
            self.path.write_text(mutant.text)
            if killer := killer_in_fork(work):
                self.kills[killer] += 1
                self.survived.remove(mutant.what)
        self.path.write_text(unchanged)


def killer_in_fork(work: Callable[[], object]) -> str:
    killer = in_fork(work, LIMIT)
    return CRASH if killer is None else str(killer)


def judge_module(judge: Judge, tests: list[str], each: int, seed: int) -> None:
    """Samples the mutants of a module, and says how many were found, and which were not."""
    began = _cpu_seconds()
    mutants = list(make_mutants(judge.path.read_text(), judge.path))
    chosen = random.Random(seed).sample(mutants, min(each, len(mutants)))
    work = partial(judge.judge_living, chosen)
    judge, later = in_fork(lambda: with_tests(judge.folder, tests, work))
    judge.judge_imported([chosen[at] for at in later])
    judge.judge_files([mutant for mutant in chosen if mutant.what in judge.survived])
    count, kills = len(chosen), len(chosen) - len(judge.survived)
    for what in judge.survived:
        print(f"    {judge.module}:{what}")
    score = f"{100 * kills / count:.0f} %" if chosen else "nothing to change"
    spent = (_cpu_seconds() - began) / max(count, 1)
    print(
        f"{judge.module:<34} {kills:>3} of {count:>3} killed, {score} "
        f"({len(mutants)} mutants; {judge.kills[CRASH]} by crashes; {spent:.2f} s of CPU each)",
        flush=True,
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="files below fdgrad_dask; all that have tests")
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="*", help="files below tests instead of those of TESTS")
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
        for room in TESTS:
            inside = [module for module in modules if module.startswith(room)]
            tests = [f"tests/{each}" for each in given.tests or TESTS[room]]
            if not inside:
                continue
            record = in_fork(partial(record_tests, folder, tests))
            if not record or not record.seconds:
                sys.exit(f"of {' '.join(tests)} none passes as it is")
            print(f"{len(record.seconds)} tests, {sum(record.seconds.values()):.0f} s of CPU")
            for why, count in record.left_out.items():
                print(f"{count} {why}, and are not asked", flush=True)
            for module in inside:
                judge_module(Judge(folder, module, record), tests, given.each, given.seed)


if __name__ == "__main__":
    main()
