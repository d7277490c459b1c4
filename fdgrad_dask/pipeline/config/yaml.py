"""YAML in which a value is what it looks like, read into a model, all errors with their lines.

The rules are those of YAML 1.2 (``no`` and ``12:30:45`` are strings, ``1e-5`` is a number), a key
written twice is an error, and no tag ever builds an object.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Tag, TypeAdapter, ValidationError

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config import operators as catalog

Path = tuple[str | int, ...]
Lines = dict[Path, int]

_TAG = "tag:yaml.org,2002:"
_MOST_VALUES = 10_000  # a config has a hundred; aliases of aliases can make billions


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2 in place of those of 1.1."""


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _starts in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
]:
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _starts)


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


class FieldError(ValueError):
    """Several errors inside one field, each with its path below that field."""

    def __init__(self, problems: list[tuple[Path, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def load(path: str, model: Any) -> Any:
    """The file as a ``model``: a section, or a union of sections with tags.

    Raises
    ------
    ConfigError
        With every error of the file, each with its line and its path.
    """
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        here = sorted(glob.glob(os.path.join(os.path.dirname(path), "*.y*ml")))
        raise ConfigError(f"no file {path!r}; {catalog.did_you_mean(path, here)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path!r} cannot be read: {error}; give a YAML file") from error
    try:
        values, lines = parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return TypeAdapter(model).validate_python(values)
    except ValidationError as error:
        found = sorted(_described(error, model, lines))
        count = f"{len(found)} error{'s' if len(found) > 1 else ''}"
        told = [f"  line {line}, {where}: {message}" for line, where, message in found]
        raise ConfigError("\n".join([f"{path}: {count}", *told])) from error


def _described(error: ValidationError, model: Any, lines: Lines) -> Iterator[tuple[int, str, str]]:
    """Line, path and message of each error."""
    for item in error.errors(include_url=False):
        kind, context = item["type"], item.get("ctx", {})
        cause = context.get("error")
        section, path = _followed(model, item["loc"])
        problems: list[tuple[Path, str]]
        if kind == "default_factory_not_called":  # it waits for another field, which is told
            continue
        if kind == "extra_forbidden":
            holder, _ = _followed(model, item["loc"][:-1])
            known = next(found.model_fields for _, found in _sections(holder))
            problems = [((), f"unknown key; {catalog.did_you_mean(str(path[-1]), known)}")]
        elif kind == "union_tag_invalid":
            tag, tags = context["tag"], [tag for tag, _ in _sections(section)]
            problems = [(("kind",), f"no kind {tag!r}; {catalog.did_you_mean(tag, tags)}")]
        elif kind == "missing":
            problems = [((), "is missing; write it")]
        elif isinstance(cause, FieldError):
            problems = cause.problems
        else:
            # What stands in the options of a store may be a key, and is shown to nobody.
            secret = "storage_options" in item["loc"]
            got = "" if secret else f", got {item['input']!r}"
            problems = [
                ((), str(cause) if cause else item["msg"][0].lower() + item["msg"][1:] + got)
            ]
        for below, message in problems:
            full = (*path, *below)
            near = max((full[:n] for n in range(len(full) + 1) if full[:n] in lines), key=len)
            # A single name is a list of one to the model, but not in the file.
            alone = near == full[:-1] and full[-1] == 0
            yield lines[near], _shown(near if alone else full), message


def _followed(model: Any, path: Path) -> tuple[Any, Path]:
    """What stands at ``path``, and the path as in the file: without the tags of unions."""
    plain: list[str | int] = []
    for name in path:
        sections = list(_sections(model))
        if tagged := [section for tag, section in sections if tag and tag == name]:
            (model,) = tagged
            continue
        plain.append(name)
        if isinstance(name, str) and sections:
            field = sections[0][1].model_fields.get(name)
            model = field.annotation if field else None
    return model, tuple(plain)


def _sections(model: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections that a field may hold, each with its tag where there are several."""
    tags = [given.tag for given in getattr(model, "__metadata__", ()) if isinstance(given, Tag)]
    if isinstance(model, type) and issubclass(model, BaseModel):
        yield tag, model
    for inner in get_args(model):
        yield from _sections(inner, tags[0] if tags else tag)


def _shown(path: Path) -> str:
    """``('steps', 0, 'inputs')`` as ``steps[0].inputs``"""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")


def parse(text: str) -> tuple[dict[str, Any], Lines]:
    """The mapping that ``text`` holds, and the line of every path in it.

    Parameters
    ----------
    text : str
        One YAML document, a mapping at its top.

    Raises
    ------
    ConfigError
        The text is no YAML, or holds a duplicate key, a tag, or no mapping.

    Examples
    --------
    >>> parse("step: 1e-5")
    ({'step': 1e-05}, {(): 1, ('step',): 1})
    """
    lines: Lines = {}
    try:
        root = yaml.compose(text, Loader=_Loader)
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError("the file holds no sections; a section is `name:` and its values")
        values: dict[str, Any] = _value(root, (), lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"line {line}: not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"not YAML: {error.reason} at character {error.position}") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply, or an alias (*) stands inside its anchor") from error
    return values, lines


def _value(node: yaml.Node, path: Path, lines: Lines) -> Any:
    if len(lines) > _MOST_VALUES:
        raise ConfigError(f"more than {_MOST_VALUES} values; write fewer aliases (*)")
    # An alias stands at the line of its anchor, so the first line of a path is kept.
    lines.setdefault(path, _line(node))
    kind = str(node.tag).removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_value(item, (*path, index), lines) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or kind not in _SCALARS:
        raise ConfigError(
            f"line {_line(node)}: the tag {_tag(node)} is not allowed, nothing in a config is "
            "run; write a plain value"
        )
    try:
        return _SCALARS[kind](node.value)
    except ValueError as error:
        raise ConfigError(
            f"line {_line(node)}: {node.value!r} is no {_tag(node)}; take the tag away"
        ) from error


def _mapping(node: yaml.MappingNode, path: Path, lines: Lines) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag != _TAG + "str":
            raise ConfigError(
                f"line {_line(key_node)}: a key must be a name; put the key in quotes"
            )
        key = key_node.value
        if key in values:
            raise ConfigError(
                f"line {_line(key_node)}: {key!r} is already given in line {lines[*path, key]}; "
                "keep one of the two"
            )
        lines[*path, key] = _line(key_node)
        values[key] = _value(value_node, (*path, key), lines)
    return values


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _tag(node: yaml.Node) -> str:
    tag = str(node.tag)
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
