"""The YAML of a run: typed, frozen, and refused with all its errors at once.

A section is one class. What pydantic cannot know (operators, their options, paths that overlap)
is checked beside the field it concerns, so that every message has a path and a line.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Annotated, Any, Literal

from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationInfo,
    field_validator,
)

from fdgrad_dask.pipeline import catalog, strict_yaml

SAMPLE = "sample:"
_VARIABLE = re.compile(r"\$\{(\w*)\}")


def _expanded(path: str) -> str:
    """``~`` and ``${NAME}`` replaced by what the environment holds."""
    unset = [name for name in _VARIABLE.findall(path) if name not in os.environ]
    if unset:
        raise ValueError(
            f"the environment variable {unset[0]!r} is not set; export it, or write the path"
        )
    path = os.path.expanduser(_VARIABLE.sub(lambda match: os.environ[match[1]], path))
    if not path.strip():
        raise ValueError("the path is empty; write one")
    if "://" in path:
        raise ValueError(f"{path!r} is a URL, only files on this machine are known; copy it here")
    return path


def _listed(value: Any) -> Any:
    """One name is a list of one."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"this is a name, or a list of at least one, got {value!r}")
    return tuple(value)


def _chunk(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or (value < 1 and value != -1)):
        raise ValueError(
            f"a chunk is a number of points, -1 for the whole dimension, or auto, got {value!r}"
        )
    return value


def _known_operator(name: str) -> str:
    if name not in (known := catalog.operator_names()):
        raise ValueError(f"no operator {name!r}; {catalog.did_you_mean(name, known)}")
    return name


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"{name!r} cannot name a variable; use letters, digits and _")
    return name


def _memory(limit: str) -> str:
    try:
        if limit == "auto" or parse_bytes(limit) > 0:
            return limit
    except ValueError:
        pass
    raise ValueError(f"{limit!r} is no amount of memory; write it like 4 GiB, or auto")


def _name_the_operators(schema: dict[str, Any]) -> None:
    schema["enum"] = list(catalog.operator_names())


FileName = Annotated[str, AfterValidator(_expanded)]
OutputName = Annotated[str, AfterValidator(_variable_name)]
_List = BeforeValidator(_listed, json_schema_input_type=str | list[str])


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Source(_Section):
    """What is read."""

    path: Annotated[tuple[FileName, ...], _List]
    """A Zarr folder, netCDF files or a pattern of them, or sample:NAME; relative to where
    fdgrad is called."""
    chunks: dict[str, Annotated[int | Literal["auto"], BeforeValidator(_chunk)]] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the file."""

    @property
    def shown(self) -> str:
        """The paths, as a message names them."""
        more = f" and {len(self.path) - 1} more" if len(self.path) > 1 else ""
        return self.path[0] + more


class Step(_Section):
    """One operator, what goes into it and what its result is called."""

    operator: Annotated[
        str, AfterValidator(_known_operator), Field(json_schema_extra=_name_the_operators)
    ]
    """What `fdgrad operators` lists."""
    inputs: Annotated[tuple[str, ...], _List]
    """Variables of the source, or outputs of earlier steps."""
    output: Annotated[tuple[OutputName, ...], _List] | None = None
    """The name of the result; a list where there are several. Without it the operator names."""
    options: dict[str, Any] = {}
    """Keywords of the operator."""

    @field_validator("inputs")
    @classmethod
    def _as_many_as_needed(cls, inputs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        needed = catalog.inputs_of(info.data["operator"]) if "operator" in info.data else inputs
        if len(inputs) != len(needed):
            raise ValueError(
                f"{info.data['operator']} needs {len(needed)} ({', '.join(needed)}), got "
                f"{len(inputs)}"
            )
        return inputs

    @field_validator("options")
    @classmethod
    def _known_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        operator = info.data.get("operator")
        known = catalog.options_of(operator) if operator else options
        problems: list[tuple[strict_yaml.Path, str]] = [
            ((name,), f"{operator} has no such option; {catalog.did_you_mean(name, known)}")
            for name in options
            if name not in known
        ]
        if problems:
            raise strict_yaml.FieldError(problems)
        return options


class Target(_Section):
    """What is written."""

    path: FileName
    """A Zarr folder that does not exist yet."""
    chunks: dict[str, PositiveInt] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the source."""

    @field_validator("path")
    @classmethod
    def _is_zarr(cls, path: str) -> str:
        if not path.rstrip("/").endswith(".zarr"):
            raise ValueError(f"{path!r} does not end in .zarr, and only Zarr is written; rename it")
        return path.rstrip("/")


class Cluster(_Section):
    """Who computes."""

    kind: Literal["local"] = "local"
    """local: processes on this machine."""
    workers: PositiveInt = Field(default_factory=lambda: min(4, CPU_COUNT))
    """Number of processes."""
    threads: PositiveInt = Field(
        default_factory=lambda data: max(1, CPU_COUNT // data.get("workers", 1))
    )
    """Threads of each of them."""
    memory_limit: Annotated[str, AfterValidator(_memory)] = "auto"
    """Memory of each of them, like 4 GiB; auto shares out what the machine has."""


class Picture(_Section):
    """A map or a section of one result, drawn at the end."""

    path: FileName
    """A PNG file; one that is there is replaced."""
    variable: str
    """Which result."""
    mean: Annotated[tuple[str, ...], _List] = ()
    """Dimensions to take the mean over first; two must be left."""
    title: str | None = None
    """In place of the one made from names and period."""

    @field_validator("path")
    @classmethod
    def _is_png(cls, path: str) -> str:
        if not path.endswith(".png"):
            raise ValueError(f"{path!r} does not end in .png, and only PNG is drawn; rename it")
        return path


class Config(_Section):
    """From source to target, and what happens on the way."""

    source: Source
    steps: Annotated[list[Step], Field(min_length=1)]
    """In order; a step may use what an earlier one gave."""
    target: Target
    cluster: Cluster = Field(default_factory=Cluster)
    picture: Picture | None = None

    @field_validator("steps")
    @classmethod
    def _each_output_once(cls, steps: list[Step]) -> list[Step]:
        seen: dict[str, int] = {}
        problems: list[tuple[strict_yaml.Path, str]] = []
        for number, step in enumerate(steps):
            for name in step.output or ():
                if name in seen:
                    message = f"steps[{seen[name]}] already gives {name!r}; rename one of the two"
                    problems.append(((number, "output"), message))
                seen.setdefault(name, number)
        if problems:
            raise strict_yaml.FieldError(problems)
        return steps

    @field_validator("target")
    @classmethod
    def _apart_from_source(cls, target: Target, info: ValidationInfo) -> Target:
        for path in info.data["source"].path if "source" in info.data else ():
            for file in [] if path.startswith(SAMPLE) else glob.glob(path) or [path]:
                if _overlap(file, target.path) or _overlap(file, target.path + ".partial"):
                    message = f"{target.path!r} and the source {file!r} overlap; name another path"
                    raise strict_yaml.FieldError([(("path",), message)])
        return target

    @field_validator("picture")
    @classmethod
    def _outside_target(cls, picture: Picture | None, info: ValidationInfo) -> Picture | None:
        if picture and "target" in info.data and _overlap(picture.path, info.data["target"].path):
            message = f"{picture.path!r} lies inside the target; put it beside it"
            raise strict_yaml.FieldError([(("path",), message)])
        return picture


def load(path: str) -> Config:
    """The config in a YAML file, checked.

    Raises
    ------
    ConfigError
        With every error of the file, each with its line and path.
    """
    return strict_yaml.load(path, Config)


def load_cluster(path: str) -> Cluster:
    """The ``cluster`` section alone, from a file that holds nothing else."""
    return strict_yaml.load(path, Cluster)


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies inside it."""
    a, b = os.path.realpath(one), os.path.realpath(other)
    return os.path.commonpath([a, b]) in (a, b)
