"""Every message read aloud: what is, what was needed, what to do; and remedies obeyed.

More remedies are obeyed where their conventions are tested, in ``field/test_messages.py``.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import yaml

import fdgrad_dask as fd
from fdgrad_dask import cli
from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError

PACKAGE = Path(fd.__file__).parent


class Message(NamedTuple):
    """What a call of an error class in the source says; ``{}`` around what is filled in."""

    place: str
    error: str
    text: str


def read_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(read_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    return f"{{{ast.unparse(node)}}}"


@cache
def find_messages() -> list[Message]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                name = node.func.id
                if name.endswith("Error") or name == "Interrupted":
                    place = path.relative_to(PACKAGE).as_posix()
                    found.append(Message(place, name, read_text(node.args[0])))
    return found


# Where one clause is enough, by how the text begins.
ONE_CLAUSE = {
    "Python's own words": [
        "module 'fdgrad_dask.pipeline' has no attribute",
    ],
    "seen by nobody but us": [
        "{expression} is no sum of fields",
        "{expression} is no expression",
        "it cannot be extended",
    ],
    "stands behind the key of a config, whose line is the remedy": [
        "{cores} cores cannot be shared out to {processes} processes",
        "{info.data['operator']} needs",
        "{*(((at, 'output')",
        "{(('path',), message)}",
        "{(('radius',), 'of which geometry?",
        "{*(((key,), message)",
        "{((key,), f'{said}, got",
        "this is a name, or a list of at least one",
        "{message}, got {value}",
        "one of them",
        "a key to a bucket belongs into target.storage_options",
    ],
    "puts a place before another message": [
        "{*problems}",
        "{'\\n'.join([f'{name}: {count}'",
        "{name}: {error}",
        "source.select.{dim}: {error}",
        "{_too_short(",
    ],
    "stands in the message about files that do not fit together": [
        "{first.name} and {parts[1].name} have the same points",
        "they differ along",
        "they overlap along",
        "{name} has other dimensions or another type in",
    ],
    "what the parser found in a line is what to correct": [
        "line {line}: not YAML: {error.problem}",
        "not YAML: {error.reason}",
        "nested too deeply",
    ],
    "the remedy is in the middle, before a list": ["{path} is broken, fdgrad run --repair"],
    "the remedy is the example": [
        "{file} holds no section of a cluster, such as",
        "the first and last columns of",
    ],
}
CLAUSES = re.compile(
    r"; |\. (?=[A-Z])|, but |pip install"
    r"|\{[^{}]*(did_you_mean|advice|cure|suggest|ways|no_keys|cause)\b"
)


def test_every_message_says_what_is_and_what_to_do() -> None:
    alone = [each for each in find_messages() if not CLAUSES.search(each.text)]
    excused = [start for starts in ONE_CLAUSE.values() for start in starts]
    wrong = [each for each in alone if not each.text.startswith(tuple(excused))]
    assert wrong == []
    stale = [start for start in excused if not any(m.text.startswith(start) for m in alone)]
    assert stale == [], "these exceptions excuse nothing"


FORBIDDEN = re.compile(
    r"\b(nought|anew|mend|told|rim|sweep|besides|as it comes|what is left of|memory kept|of theirs"
    r"|please|oops|invalid value|something went wrong)\b",
    re.IGNORECASE,
)


def test_every_message_is_in_plain_words() -> None:
    for each in find_messages():
        words = re.sub(r"\{[^{}]*\}", "X", each.text)  # names in the code are judged elsewhere
        assert not FORBIDDEN.search(words), each
        assert not words.endswith("."), each
        assert not re.match(r"[A-Z][a-z]", words), each  # "fdgrad: " stands before it
        assert "  " not in words.replace("\n  ", ""), each


# --- Remedies obeyed: of the library, as they stand in the message ------------------------------

X = np.arange(6.0)


def line(x: Any = X, **coords: Any) -> xr.DataArray:
    return xr.DataArray(X**2, {"x": ("x", x), **coords}, "x", "f")


def squares() -> xr.DataArray:
    """With latitudes and longitudes that do not say so."""
    x = {"lat": np.linspace(0.1, 0.4, 4), "lon": np.linspace(0, 0.3, 5)}
    return xr.DataArray(np.ones((4, 5)), x, ("lat", "lon"), "f")


IN_CODE: dict[str, tuple[xr.DataArray, str]] = {
    "unsorted": (line(X[[0, 2, 1, 3, 4, 5]]), "x"),
    "repeated": (line(X[[0, 1, 1, 3, 4, 5]]), "x"),
    "a label is missing": (line([0, 1, np.nan, 3, 4, 5]), "x"),
    "names": (line([*"abcdef"]), "x"),
    "lazy": (line(z=("x", da.from_array(X**2, chunks=3))), "z"),
    "stacked": (line().expand_dims(y=X).stack(xy=("x", "y")), "xy"),
    "called as the result": (line(df_dx=1.0), "x"),
}


@pytest.mark.parametrize("case", IN_CODE)
def test_the_code_in_a_message_is_the_way_out(case: str) -> None:
    field, dim = IN_CODE[case]
    with pytest.raises(FdgradError) as caught:
        field.fdgrad.gradient(dim)
    code = re.search(r"[ (](\.[a-z_]+\((?:[^()]|\([^()]*\))*\))", str(caught.value))
    assert code is not None
    fixed = eval(f"field{code[1].replace('…', 'field')}")
    (axis,) = fixed[dim].dims if dim in fixed.coords else ("x",)
    labels = fixed[dim].values if dim in fixed.coords else X[: fixed.sizes["x"]]
    want = np.gradient(fixed.values, labels, axis=fixed.get_axis_num(axis))
    got = fixed.fdgrad.gradient(dim if dim in fixed.coords else "x").transpose(*fixed.dims)
    np.testing.assert_allclose(got, want)


def test_units_that_a_message_sets_make_it_a_sphere() -> None:
    with pytest.raises(FdgradError) as caught:
        op.laplacian(squares())
    code = str(caught.value).partition("set units: ")[2]
    fixed = eval(f"squares(){code.replace('…', 'squares()')}")
    assert op.laplacian(fixed).attrs["horizontal_geometry"] == "sphere"


OPTIONS = [
    ({"accuracy": 3}, "choose one of 2, 4", {"accuracy": 4}),
    ({"order": 3}, "1 or 2", {"order": 2}),
    ({"edge_order": 3}, "choose 1 or 2", {"edge_order": 2}),
    ({"boundary": "wrap"}, "'periodic'", {"boundary": "periodic"}),
    ({"period": 6.0}, "say boundary='periodic' too", {"period": 6.0, "boundary": "periodic"}),
]


@pytest.mark.parametrize(("wrong", "said", "right"), OPTIONS, ids=str)
def test_the_option_that_a_message_names_is_taken(wrong: Any, said: str, right: Any) -> None:
    with pytest.raises(FdgradError, match=re.escape(said)):
        line().fdgrad.gradient("x", **wrong)
    assert line().fdgrad.gradient("x", **right).sizes == {"x": 6}


def test_a_period_longer_than_the_message_says_is_taken() -> None:
    field = line(X**2)
    with pytest.raises(FdgradError) as caught:
        field.fdgrad.gradient("x", boundary="periodic")
    span = float(str(caught.value).rpartition("longer than ")[2])
    with pytest.raises(FdgradError, match="must be longer"):
        field.fdgrad.gradient("x", boundary="periodic", period=span)
    field.fdgrad.gradient("x", boundary="periodic", period=span + 1)


def test_a_name_close_to_the_right_one_is_proposed() -> None:
    with pytest.raises(AttributeError, match=r"did you mean 'gradient'\?"):
        _ = line().fdgrad.gradeint
    with pytest.raises(FdgradError, match=r"there is: x$"):
        line().fdgrad.gradient("time")


def test_plain_arrays_are_shown_the_way() -> None:
    with pytest.raises(TypeError, match=r"call f\.fdgrad\.gradient\(dim\).*: f\.data"):
        fd.gradient(line())
    assert np.array_equal(fd.gradient(line().data), line().fdgrad.gradient("x"))
    lazy = da.from_array(X, chunks=2)
    unknown = lazy[lazy > 1]
    with pytest.raises(FdgradError, match=r"call compute_chunk_sizes\(\) on the array first"):
        fd.gradient(unknown)
    assert fd.gradient(unknown.compute_chunk_sizes()).compute().tolist() == [1.0] * 4
    with pytest.raises(TypeError, match=r"call compute\(\) on the coordinate first"):
        fd.gradient(lazy, lazy)
    assert fd.gradient(lazy, lazy.compute()).compute().tolist() == [1.0] * 6


# --- Remedies obeyed: of the command ------------------------------------------------------------


@pytest.fixture
def fdgrad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """The command on a small source: what it complains of, or nothing."""
    monkeypatch.chdir(tmp_path)
    line().to_dataset().to_zarr("in.zarr", zarr_format=3, consolidated=False)

    def call(command: str, *arguments: str, variable: str = "f") -> str:
        step = {"operator": "gradient", "inputs": [variable], "options": {"dim": "x"}}
        target = {"path": "out.zarr", "chunks": {"x": 2}}
        config = {"source": {"path": "in.zarr"}, "steps": [step], "target": target}
        Path("c.yaml").write_text(yaml.safe_dump(config))
        code = cli.main([command, "c.yaml", *arguments])
        return capsys.readouterr().err if code else ""

    return call


def test_names_and_variables_that_the_command_asks_for(
    fdgrad: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is: f" in fdgrad("check", variable="temp")
    assert "'FIELD' is not set; export it" in fdgrad("check", variable="${FIELD}")
    monkeypatch.setenv("FIELD", "f")
    assert not fdgrad("check", variable="${FIELD}")
    assert "did you mean 'chunks'?" in fdgrad("check", "--set", "target.chunk={x: 3}")
    assert not fdgrad("check", "--set", "target.chunks={x: 3}")
    assert "rename it" in fdgrad("check", "--set", "target.path=out.zar")


def test_what_is_said_of_a_target_brings_it_back(fdgrad: Callable[..., str]) -> None:
    assert "fdgrad run makes it" in fdgrad("verify")
    assert not fdgrad("run")
    assert "run with --fresh to replace it" in fdgrad("run", "--set", "target.chunks={x: 3}")
    assert not fdgrad("run", "--set", "target.chunks={x: 3}", "--fresh")
    shard = Path("out.zarr/df_dx/c/1")
    shard.write_bytes(b"rot")
    assert "fdgrad run --repair" in fdgrad("verify", "--set", "target.chunks={x: 3}")
    shard.unlink()
    assert "fdgrad run --repair" in fdgrad("run", "--set", "target.chunks={x: 3}")
    assert not fdgrad("run", "--set", "target.chunks={x: 3}", "--repair")
    assert not fdgrad("verify", "--set", "target.chunks={x: 3}")
    os.rename("out.zarr.journal", "aside")
    assert "restore it, or move the target and run again" in fdgrad("verify")
    assert "move it and run with --fresh" in fdgrad("run")
    os.rename("out.zarr", "elsewhere.zarr")
    assert not fdgrad("run", "--fresh")
    assert not fdgrad("verify")
