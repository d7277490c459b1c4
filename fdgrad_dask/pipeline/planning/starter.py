"""What a store holds, and a config to start from: both from metadata alone."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import xarray as xr

from fdgrad_dask.errors import InputError
from fdgrad_dask.operators.overview import describe_dataset
from fdgrad_dask.operators.suggestions import Suggestion, suggest_operators
from fdgrad_dask.pipeline.config.read import read_text
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.section import Section
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.planning.graph import stored_chunks
from fdgrad_dask.pipeline.source.open import open_files

SCHEMA = "fdgrad.schema.json"
_ACTIVE, _SHOWN = 2, 8  # steps that are written, and those with the ones in comments


class _Given(Section):
    """What the command line says of a source."""

    source: Source


def info(store: str, settings: Sequence[str] = ()) -> str:
    """Describe what is in a store, and which operators would work on it.

    Parameters
    ----------
    store : str
        What ``source.path`` of a config may be: a file, a store, a URL, ``sample:NAME``.
    settings : sequence of str
        ``source.key=value``, as ``--set`` of the command has it.

    Returns
    -------
    str
        What ``ds.fdgrad`` of the opened dataset prints.

    Raises
    ------
    InputError
        Nothing is there, or it cannot be opened.
    """
    source = _source(store, settings)
    dataset = open_files(source)
    text = f"read     {source.shown}\n{describe_dataset(dataset)}"
    if not dataset.data_vars:
        text += "\nno variables at the top; a group is named by --set source.group=NAME"
    return text


def init(store: str, settings: Sequence[str] = ()) -> str:
    """Write a config for the fields of a store, with comments; see ``info``.

    Returns
    -------
    str
        A YAML of which ``fdgrad check`` finds nothing to complain about.

    Raises
    ------
    InputError
        It cannot be opened, or no operator applies to anything in it.
    """
    source = _source(store, settings)
    dataset = open_files(source)
    suggested = suggest_operators(dataset)
    if not suggested:
        raise InputError(
            f"{source.shown} holds no field that an operator applies to; see why with "
            f"fdgrad info {store}"
        )
    given = source.model_dump(mode="json", exclude_unset=True)
    given["path"] = source.path[0] if len(source.path) == 1 else source.path
    chunks: dict[str, int] = {}
    for step in suggested[:_ACTIVE]:
        chunks |= _chunks([dataset[name] for name in step.inputs])
    example = resources.files("fdgrad_dask.pipeline.config").joinpath("example.yaml").read_text()
    source_lines = [f"  {key}: {_flow(value)}" for key, value in given.items()]
    if source.storage_options:
        source_lines.append("  # storage_options: {...}    as they were given; secrets as ${NAME}")
    name = re.split(r"[/:]", without_secrets(source.path[0]).partition("?")[0].rstrip("/"))[-1]
    stem = re.sub(r"\W+", "_", name.partition(".")[0]).strip("_") or "source"
    # The overview down to the boundary: axes and grid, as a comment.
    recognised = str(describe_dataset(dataset)).partition("\n  boundary ")[0]
    written = {
        r"^(?=source:)": "".join(f"# {line}\n" for line in recognised.splitlines()) + "\n",
        r"^  path: sample:.*$": "\n".join(source_lines),
        r"^  - operator:(.|\n)*?(?=\n\n)": "\n".join(_steps(suggested, dataset)),
        r"^  path: out/.*$": f"  path: {_flow(f'out/{stem}_derivatives.zarr')}",
    }
    if chunks:
        written[r"^  # chunks:.*$"] = f"  chunks: {_flow(chunks)} # as the source is stored"
    for pattern, text in written.items():
        text = text.replace("\\", r"\\")
        example = re.sub(pattern, text, example, count=1, flags=re.MULTILINE)
    # Where editors find the schema, if it lies here: one that they miss is an error to them.
    first = f"# For completion in editors: fdgrad schema > {SCHEMA}, then fdgrad init again.\n"
    if os.path.exists(SCHEMA):
        first = f"# yaml-language-server: $schema={SCHEMA}\n"
    return first + example.rstrip()


def _source(store: str, settings: Sequence[str]) -> Source:
    given = read_text(store, json.dumps({"source": {"path": store}}), _Given, settings)
    return next(iter(given.values())).source


def _steps(suggested: Sequence[Suggestion], dataset: xr.Dataset) -> Iterable[str]:
    """Each step; those after the first few are comments."""
    count = Counter(step.operator for step in suggested)
    for number, (operator, inputs, dim) in enumerate(suggested[:_SHOWN]):
        is_free = count[operator] == 1 and operator not in dataset.variables
        output = operator if is_free else re.sub(r"\W", "_", "_".join([operator, *inputs]))
        lines = [f"- operator: {operator}", f"  inputs: {_flow(inputs)}", f"  output: {output}"]
        if dim is not None:
            lines.append(f"  options: {_flow({'dim': dim})}")
        yield from (f"  {'' if number < _ACTIVE else '# '}{line}" for line in lines)
    if (more := len(suggested) - _SHOWN) > 0:
        yield f"  # {more} more are possible; `fdgrad info` shows all fields and their operators"


def _chunks(fields: Sequence[xr.DataArray]) -> dict[str, int]:
    """The stored chunks of the first field, along the dimensions that all of them have.

    On a staggered grid the result may lie on others, which then keep the chunks of the source.
    """
    shared = set.intersection(*(set(field.dims) for field in fields))
    stored = stored_chunks(fields[0].variable).items()
    return {dim: n if isinstance(n, int) else max(n) for dim, n in stored if dim in shared}


def _flow(value: Any) -> str:
    """A value as YAML on one line, in quotes where it would be read as something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    text = str(value)
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_/][\w./-]*(:[\w./-]+)*", text):
        return json.dumps(text) if text.lower() in ("true", "false", "null") else text
    return json.dumps(value, ensure_ascii=False)
