"""A file on its way into a model: settings of the command, clusters by name, parameters, errors."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from fdgrad_dask.errors import ConfigError, did_you_mean
from fdgrad_dask.pipeline.config.yaml import PARAMETERS, Document, Path, parse

Model = TypeVar("Model", bound=BaseModel)

_LEAST = 5  # characters of a value that is shown as its variable; a shorter one is in many words


class FieldError(ValueError):
    """Several errors inside one field, each with its path below that field."""

    def __init__(self, *problems: tuple[Path, str]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def read(path: str, model: type[Model], settings: Sequence[str] = ()) -> dict[str, Model]:
    """Read a file into models, by its name; ``-`` is standard input."""
    return read_text("standard input" if path == "-" else path, _text(path), model, settings)


def read_text(
    name: str, text: str, model: type[Model], settings: Sequence[str] = ()
) -> dict[str, Model]:
    """Read a YAML into models, one for each combination of its parameters.

    ConfigError: with every error, each with its path and its line, or the option that gave the
    value.
    """
    models = {}
    found = _document(name, text, settings, {}).values.get(PARAMETERS)
    given = found if isinstance(found, dict) else {}
    lists = [each if isinstance(each, list) else [each] for each in given.values()]
    if not all(each and all(isinstance(value, str) for value in each) for each in lists):
        given, lists = {}, []  # what is wrong here is left to the model
    for values in product(*lists):
        chosen = dict(zip(given, values, strict=True))
        label = ", ".join(f"{key}={value}" for key, value in chosen.items())
        label = f"{name} ({label})" if label else name
        models[label] = _checked(label, _document(name, text, settings, chosen), model)
    return models


def named_clusters() -> tuple[str, dict[str, str]]:
    """The folder of the user's clusters, and its files by their names."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    folder = os.path.join(home, "fdgrad", "clusters")
    files = sorted(glob.glob(os.path.join(glob.escape(folder), "*.yaml")))
    return folder, {FilePath(file).stem: file for file in files}


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


def _document(name: str, text: str, settings: Sequence[str], chosen: dict[str, str]) -> Document:
    with _named(name):
        document = parse(text, chosen)
    _open_cluster(document, chosen)
    for setting in settings:
        key, equals, value = setting.partition("=")
        option = "--cluster" if key == "cluster" else "--set"
        path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        with _named(f"{option} {key}"):
            if not equals:
                raise ConfigError("there is no = in it; write --set a.b=c")
            given = parse(value, chosen, path)
            given.places = dict.fromkeys(given.places, option)
            _put(document, path, given, option)
        _open_cluster(document, chosen)
    return document


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Says in what an error is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


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
    is_file = "/" in name or name.endswith((".yaml", ".yml"))
    file = os.path.expanduser(name) if is_file else named_clusters()[1].get(name)
    if file is None:  # the model says so, with all other errors
        return
    with _named(f"cluster {name}"):
        given = parse(_text(file), chosen, path)
    if not isinstance(given.values, dict):
        raise ConfigError(f"{file} holds no section of a cluster, such as `kind: local`")
    given.places = {at: f"{file} {line}" for at, line in given.places.items()}
    _put(document, path, given, file)


def _checked(name: str, document: Document, model: type[Model]) -> Model:
    problems = list(document.problems)
    try:
        found = model.model_validate(document.values)
        if not problems:
            return found
    except ValidationError as error:
        for path, message in described(error, model):
            if not any(path[: len(at)] == at for at, _ in document.problems):
                problems.append((path, message))
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


def described(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Path, str]]:
    """Path and message of each error."""
    for item in error.errors(include_url=False):
        kind, context, place = item["type"], item.get("ctx", {}), item["loc"]
        # pydantic names the kind of a cluster on the way to what is in it.
        path = place[:1] + place[2:] if place[:1] == ("cluster",) else place
        cause = context.get("error")
        if kind == "default_factory_not_called":  # it waits for another field, which is reported
            continue
        if isinstance(cause, FieldError):
            yield from (((*path, *below), message) for below, message in cause.problems)
        elif kind == "extra_forbidden":
            yield path, f"unknown key; {did_you_mean(str(path[-1]), _keys(model, place[:-1]))}"
        elif kind == "union_tag_invalid":
            tag, kinds = context["tag"], context["expected_tags"].replace("'", "").split(", ")
            yield (*path, "kind"), f"no kind {tag!r}; {did_you_mean(tag, kinds)}"
        elif kind == "missing":
            yield path, "is missing; write it"
        else:
            # What stands in the options of a store may be a key, and is shown to nobody.
            got = "" if "storage_options" in place else f", got {item['input']!r}"
            said = item["msg"].partition(" or instance of ")[0].partition(" or object to ")[0]
            yield path, str(cause or said[0].lower() + said[1:] + got)


def _keys(model: type[BaseModel], place: Path) -> Iterable[str]:
    """The keys of a section inside a model; a cluster stands below its kind."""

    def hint(section: type[BaseModel], name: str) -> Any:
        return section.model_fields[name].annotation if name in section.model_fields else None

    sections = [model]
    for name in filter(lambda part: isinstance(part, str), place):
        tagged = [each for each in sections if name in get_args(hint(each, "kind"))]
        sections = tagged or list(_sections(hint(sections[0], str(name))))
    return sections[0].model_fields


def _sections(hint: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field may hold."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for inner in get_args(hint):
        yield from _sections(inner)


def _shown(path: Path) -> str:
    """``('steps', 0, 'inputs')`` as ``steps[0].inputs``"""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")
