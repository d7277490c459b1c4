"""A file on its way into a model: settings of the command, clusters by name, parameters, errors."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path as FilePath
from typing import Any, get_args

from pydantic import BaseModel, Tag, TypeAdapter, ValidationError

from fdgrad_dask.errors import ConfigError, did_you_mean
from fdgrad_dask.pipeline.config.yaml import PARAMETERS, Document, Path, parse

_LEAST = 5  # characters of a value that is shown as its variable; a shorter one is in many words


class FieldError(ValueError):
    """Several errors inside one field, each with its path below that field."""

    def __init__(self, *problems: tuple[Path, str]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def read(path: str, model: Any, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Read a file into models, one for each combination of its parameters.

    Parameters
    ----------
    path : str
        A YAML file, or ``-`` for standard input.
    model : type
        A section, or a union of sections with tags.
    settings : sequence of str
        ``a.b=c``: the place of a value and the YAML that is put there.

    Returns
    -------
    dict
        The models by the name of the file, with the parameters where there are some.

    Raises
    ------
    ConfigError
        With every error, each with its path and its line, or the option that gave the value.
    """
    name = "standard input" if path == "-" else path
    return read_text(name, _text(path), model, settings)


def read_text(name: str, text: str, model: Any, settings: Sequence[str] = ()) -> dict[str, Any]:
    """The same with the text of a file, which messages call ``name``."""
    models = {}
    for chosen in _combinations(_document(name, text, settings, {}).values):
        label = ", ".join(f"{key}={value}" for key, value in chosen.items())
        label = f"{name} ({label})" if label else name
        document = _document(name, text, settings, chosen)
        models[label] = _checked(label, document, model)
    return models


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        return FilePath(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        here = sorted(glob.glob(os.path.join(os.path.dirname(path), "*.y*ml")))
        raise ConfigError(f"no file {path!r}; {did_you_mean(path, here)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path!r} cannot be read: {error}; give a YAML file") from error


def _combinations(values: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The values of the variables that each run has; what is wrong here is left to the model."""
    given = values.get(PARAMETERS)
    given = given if isinstance(given, dict) else {}
    lists = [each if isinstance(each, list) else [each] for each in given.values()]
    if not all(each and all(isinstance(value, str) for value in each) for each in lists):
        given, lists = {}, []
    for chosen in product(*lists):
        yield dict(zip(given, chosen, strict=True))


def _document(name: str, text: str, settings: Sequence[str], chosen: dict[str, str]) -> Document:
    try:
        document = parse(text, chosen)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    _open_cluster(document, chosen)
    for setting in settings:
        key, equals, value = setting.partition("=")
        option = "--cluster" if key == "cluster" else "--set"
        path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        try:
            if not equals:
                raise ConfigError("there is no = in it; write --set a.b=c")
            given = parse(value, chosen, path)
            given.places = dict.fromkeys(given.places, option)
            _put(document, path, given, option)
        except ConfigError as error:
            raise ConfigError(f"{option} {key}: {error}") from error
        _open_cluster(document, chosen)
    return document


def _put(document: Document, path: Path, given: Document, place: str) -> None:
    """Put what is given at ``path``, where it replaces what is there."""
    holder = document.values
    for depth, part in enumerate(path):
        counted = isinstance(holder, list) and isinstance(part, int) and part < len(holder)
        if not counted and not (isinstance(holder, dict) and isinstance(part, str)):
            where = _shown(path[:depth]) or "the file"
            raise ConfigError(f"there is no {part!r} in {where}; items are counted from 0")
        if depth == len(path) - 1:
            holder[part] = given.values
        elif not counted and holder.get(part) is None:
            holder[part] = {}
            document.places[path[: depth + 1]] = place
        holder = holder[part]
    for at in [at for at in document.places if at[: len(path)] == path]:
        del document.places[at]
    document.places |= {path: place, **given.places}
    document.problems = [p for p in document.problems if p[0][: len(path)] != path] + given.problems
    document.filled |= given.filled


def _open_cluster(document: Document, chosen: dict[str, str]) -> None:
    """Put the section that a file holds in place of its name."""
    name, path = document.values.get("cluster"), ("cluster",)
    if not isinstance(name, str) or any(at == path for at, _ in document.problems):
        return
    file = os.path.expanduser(name)
    if not ("/" in name or name.endswith((".yaml", ".yml"))):
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        folder = FilePath(home, "fdgrad", "clusters")
        known = sorted(each.stem for each in folder.glob("*.yaml"))
        if name not in known:
            there = f"there is: {', '.join(known)}" if known else "there is none"
            document.problems.append((path, f"no cluster {name!r} in {folder}; {there}"))
            return
        file = str(folder / f"{name}.yaml")
    try:
        given = parse(_text(file), chosen, path)
    except ConfigError as error:
        raise ConfigError(f"cluster {name}: {error}") from error
    if not isinstance(given.values, dict):
        raise ConfigError(f"{file} holds no section of a cluster, such as `kind: local`")
    given.places = {at: f"{file} {line}" for at, line in given.places.items()}
    _put(document, path, given, file)


def _checked(name: str, document: Document, model: Any) -> Any:
    problems = list(document.problems)
    try:
        found = TypeAdapter(model).validate_python(document.values)
    except ValidationError as error:
        unset = [path for path, _ in problems]
        problems += [
            (path, message)
            for path, message in _described(error, model)
            if not any(path[: len(at)] == at for at in unset)
        ]
    if not problems:
        return found
    order = list(document.places)
    rows = []
    for path, message in problems:
        near = max((path[:n] for n in range(len(path) + 1) if path[:n] in document.places), key=len)
        # A single name is a list of one to the model, but not in the file.
        where = near if near == path[:-1] and path[-1] == 0 else path
        for value, variable in document.filled.items():
            message = message.replace(value, variable) if len(value) >= _LEAST else message
        rows.append((order.index(near), f"  {document.places[near]}, {_shown(where)}: {message}"))
    count = f"{len(rows)} error{'s' if len(rows) > 1 else ''}"
    raise ConfigError("\n".join([f"{name}: {count}", *(row for _, row in sorted(rows))]))


def _described(error: ValidationError, model: Any) -> Iterator[tuple[Path, str]]:
    """Path and message of each error."""
    for item in error.errors(include_url=False):
        kind, context = item["type"], item.get("ctx", {})
        cause = context.get("error")
        section, path = _followed(model, item["loc"])
        if kind == "default_factory_not_called":  # it waits for another field, which is reported
            continue
        if isinstance(cause, FieldError):
            yield from (((*path, *below), message) for below, message in cause.problems)
        elif kind == "extra_forbidden":
            holder, _ = _followed(model, item["loc"][:-1])
            known = next(found.model_fields for _, found in _sections(holder))
            yield path, f"unknown key; {did_you_mean(str(path[-1]), known)}"
        elif kind == "union_tag_invalid":
            tag, tags = context["tag"], [tag for tag, _ in _sections(section)]
            yield (*path, "kind"), f"no kind {tag!r}; {did_you_mean(tag, tags)}"
        elif kind == "missing":
            yield path, "is missing; write it"
        else:
            # What stands in the options of a store may be a key, and is shown to nobody.
            got = "" if "storage_options" in item["loc"] else f", got {item['input']!r}"
            yield path, str(cause or item["msg"][0].lower() + item["msg"][1:] + got)


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
