"""YAML 1.2's scalars, lines, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import yaml

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.yaml import parse

SCALARS = [
    ("1e-5", 1e-5),
    ("1E5", 1e5),
    ("-.5", -0.5),
    ("3.", 3.0),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("no", "no"),
    ("yes", "yes"),
    ("on", "on"),
    ("OFF", "OFF"),
    ("true", True),
    ("False", False),
    ("12:30:45", "12:30:45"),
    ("2020-01-01", "2020-01-01"),
    ("010", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("1_000", "1_000"),
    ("+7", 7),
    ("~", None),
    ("null", None),
    ("", None),
    ("'1'", "1"),
    ("=", "="),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_is_what_it_looks_like(text: str, value: Any) -> None:
    found = parse(f"key: {text}").values["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse("key: .nan").values["key"])


def test_lines_are_those_of_the_keys() -> None:
    lines = parse("a:\n  b:\n    - 1\n    - {c: 2}\nd: 3").places
    assert lines["a",] == "line 1"
    assert lines["a", "b"] == "line 2"
    assert lines["a", "b", 1, "c"] == "line 4"
    assert lines["d",] == "line 5"


def test_an_alias_repeats_its_anchor() -> None:
    assert parse("a: &x [1]\nb: *x").values == {"a": [1], "b": [1]}


REFUSED = [
    ("a: 1\nb: 2\na: 3", "line 3: 'a' is already given in line 1; keep one of the two"),
    ("a: {b: 1, b: 2}", "line 1: 'b' is already given in line 1"),
    (
        "x: 1\na: !!python/object/apply:os.system ['touch owned']",
        r"line 2: the tag !!python/object/apply:os.system is not allowed, nothing .* is run",
    ),
    ("a: !mine 1", "line 1: the tag !mine is not allowed"),
    ("a: !!set {x}", "line 1: the tag !!set is not allowed"),
    ("a: !!int 3", "line 1: the tag !!int is not allowed"),
    ("1: a", "line 1: a key must be a name; put the key in quotes"),
    ("? [a]\n: 1", "line 1: a key must be a name"),
    ("- a", "the file holds no sections"),
    ("", "the file holds no sections"),
    ("a: [", "line 1: not YAML: expected the node content"),
    ("\ta: 1", "line 1: not YAML: found character '\\\\t'"),
    ("a: 1\n---\nb: 2", "line 2: not YAML: but found another document"),
    ("a: \x00", "not YAML: special characters are not allowed at character 3"),
    ("a: &a [*a]", "nested too deeply, or an alias"),
    ("a: " + "[" * 1500, "nested too deeply"),
    (
        "a: &a [0,0,0,0,0,0,0,0,0,0]\n"
        + "\n".join(f"{k}: &{k} [{','.join(['*' + j] * 10)}]" for j, k in pairwise("abcdef")),
        "more than 10000 values; write fewer aliases",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_refused_says_where(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_the_safe_loader_of_others_is_left_alone() -> None:
    assert yaml.safe_load("key: no") == {"key": False}
