"""YAML in which a value is what it looks like, with the line of every value.

The rules are those of YAML 1.2 (``no`` and ``12:30:45`` are strings, ``1e-5`` is a number), a key
written twice is an error, and so is a tag, which could build an object.

In every value ``${NAME}`` is a variable, ``${NAME:-default}`` one that may be unset or empty, and
``$${`` is the two characters ``${``. A value without quotes is read after its variables are filled
in, so that ``workers: ${N:-4}`` is a number; in quotes it stays a string.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.redaction import hide

Path = tuple[str | int, ...]

PARAMETERS = "parameters"
_MOST_VALUES = 10_000  # a config has a hundred; aliases of aliases can make billions
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:(\w+)(?::-([^{}]*))?\})?")
_SECRET = {"storage_options", "prologue", "directives"}  # what may hold passwords
# What a scalar without quotes is; all others are text. Longer integers Python refuses to read.
_SCALARS: dict[str, Callable[[str], Any]] = {
    r"|~|null|Null|NULL": lambda text: None,
    r"true|True|TRUE|false|False|FALSE": lambda text: text.lower() == "true",
    r"[-+]?[0-9]{1,999}": int,
    r"0o[0-7]+|0x[0-9a-fA-F]+": lambda text: int(text, 0),
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?": float,
    r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)": lambda text: float(text.replace(".", "")),
}


@dataclass
class Document:
    """What a text holds: mappings, lists and scalars, and where they are given."""

    values: Any = None
    places: dict[Path, str] = field(default_factory=dict)
    """``line 3``, or what is shown in place of it, in the order of the text."""
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Variables that are not set."""
    filled: dict[str, str] = field(default_factory=dict)
    """The values that came from the environment, each with its variable."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values of variables; all others are taken from the environment."""

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if len(self.places) > _MOST_VALUES:
            raise ConfigError(f"more than {_MOST_VALUES} values; write fewer aliases (*)")
        # A value stands at the line of its key, also where an alias takes it from an anchor.
        self.places.setdefault(path, _line(node))
        if node.tag == "map":
            return self._mapping(node, path)
        if node.tag == "list":
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        if node.tag not in ("plain", "quoted"):
            raise ConfigError(
                f"{_line(node)}: the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is "
                "not allowed, nothing in a config is run; write a plain value"
            )
        if path[:1] == (PARAMETERS,):  # as they are written: 01 is a month, and 1 is none
            return node.value
        text = self._fill(node.value, path)
        return _plain(text) if node.tag == "plain" else text

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, _line(key_node)
            plain = key_node.tag == "plain"
            if not (key_node.tag == "quoted" or (plain and isinstance(_plain(key), str))):
                raise ConfigError(f"{line}: a key must be a name; put the key in quotes")
            if key in values:
                raise ConfigError(
                    f"{line}: {key!r} is already given in "
                    f"{self.places[*path, key]}; keep one of the two"
                )
            self.places[*path, key] = line
            values[key] = self._value(value_node, (*path, key))
        return values

    def _fill(self, text: str, path: Path) -> str:
        """Replace the variables; one that is not set stays, and is a problem."""
        taken: dict[str, str] = {}

        def value(found: re.Match[str]) -> str:
            name, default = found.groups()
            if found[0] == "$${":
                return "${"
            if name in self.parameters:
                return self.parameters[name]
            held = os.environ.get(name) if name else None
            if held or (held is not None and default is None):
                taken[held] = f"${{{name}}}"
                return held
            if default is not None:
                return default
            message = "'${' begins no variable; write ${NAME}, ${NAME:-default}, or $${ for itself"
            if name:
                advice = f"export it, or write ${{{name}:-default}}"
                message = f"the environment variable {name!r} is not set; {advice}"
            self.problems.append((path, message))
            return found[0]

        text = _VARIABLE.sub(value, text)
        self.filled |= taken
        if _SECRET & set(path) or "://" in text:
            for held, name in taken.items():
                hide(held, name)
        return text


class _Loader(yaml.BaseLoader):
    """A loader that says of a scalar only whether it is in quotes."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return "plain" if implicit[0] else "quoted"
        return "map" if kind is yaml.MappingNode else "list"


def parse(text: str, parameters: Mapping[str, str] | None = None, path: Path = ()) -> Document:
    """Read YAML.

    ``path`` is where the value belongs in a larger document, which is a mapping.

    ConfigError: the text is not YAML, or holds a duplicate key, a tag, or no mapping.

    >>> parse("step: 1e-5").values
    {'step': 1e-05}
    """
    document = Document(parameters=parameters or {})
    try:
        root = yaml.compose(text, Loader=_Loader)
        if not path and not isinstance(root, yaml.MappingNode):
            raise ConfigError("the file holds no sections; a section is `name:` and its values")
        document.values = root and document._value(root, path)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"line {line}: not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"not YAML: {error.reason} at character {error.position}") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply, or an alias (*) stands inside its anchor") from error
    return document


def _plain(text: str) -> Any:
    for pattern, value in _SCALARS.items():
        if re.fullmatch(pattern, text):
            return value(text)
    return text


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
