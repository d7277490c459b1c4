"""The YAML of a run: typed, frozen, and refused with all its errors at once.

A section is one class. What pydantic cannot know (operators, their options, paths that overlap)
is checked beside the field it concerns, so that every message has a path and a line.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.cluster import Cluster, Local
from fdgrad_dask.pipeline.config.picture import Picture
from fdgrad_dask.pipeline.config.read import FieldError, read
from fdgrad_dask.pipeline.config.report import Report
from fdgrad_dask.pipeline.config.section import SAMPLE, Listed, Section, absolute
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.config.step import Step
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.config.yaml import Path

_Page = TypeVar("_Page", Picture | None, Report | None)
_Placed = TypeVar("_Placed", Source, Target, Picture | None, Report | None)

_OR_NAME = BeforeValidator(lambda section: section, json_schema_input_type=Cluster | str)


class Config(Section):
    """From source to target, and what happens on the way."""

    source: Source
    steps: Annotated[list[Step], Field(min_length=1)]
    """In order; a step may use what an earlier one gave."""
    target: Target
    cluster: Annotated[Cluster, _OR_NAME] = Field(default_factory=Local)
    """A section, or the name of one: a file, or NAME for ~/.config/fdgrad/clusters/NAME.yaml."""
    picture: Picture | None = None
    report: Report | None = None
    parameters: dict[str, Annotated[tuple[str, ...], Listed]] = Field(default={}, exclude=True)
    """Values that ${NAME} takes one after the other, like {month: [01, 02]}; there is a run for
    each combination, with another target."""

    @field_validator("source", "target", "picture", "report")
    @classmethod
    def _from_the_root(cls, section: _Placed) -> _Placed:
        """Relative paths are those of the folder in which the config is read, on workers too."""
        if section is None:
            return section
        path = section.path
        found = absolute(path) if isinstance(path, str) else tuple(map(absolute, path))
        return section.model_copy(update={"path": found})

    @field_validator("steps")
    @classmethod
    def _each_output_once(cls, steps: list[Step]) -> list[Step]:
        seen: dict[str, int] = {}
        problems: list[tuple[Path, str]] = []
        for number, step in enumerate(steps):
            for name in step.output or ():
                if name in seen:
                    message = f"steps[{seen[name]}] already gives {name!r}; rename one of the two"
                    problems.append(((number, "output"), message))
                seen.setdefault(name, number)
        if problems:
            raise FieldError(problems)
        return steps

    @field_validator("target")
    @classmethod
    def _apart_from_source(cls, target: Target, info: ValidationInfo) -> Target:
        for path in info.data["source"].path if "source" in info.data else ():
            for file in [] if path.startswith(SAMPLE) else glob.glob(path) or [path]:
                if _overlap(file, target.path) or _overlap(file, target.path + ".partial"):
                    message = f"{target.path!r} and the source {file!r} overlap; name another path"
                    raise FieldError([(("path",), message)])
        return target

    @field_validator("picture", "report")
    @classmethod
    def _outside_target(cls, page: _Page, info: ValidationInfo) -> _Page:
        if page and "target" in info.data and _overlap(page.path, info.data["target"].path):
            message = f"{page.path!r} lies inside the target; put it beside it"
            raise FieldError([(("path",), message)])
        return page


def load(path: str) -> Config:
    """The config in a YAML file that describes one run, checked.

    Raises
    ------
    ConfigError
        With every error of the file, each with its line and path.
    """
    configs = list(load_all([path]).values())
    if len(configs) > 1:
        raise ConfigError(f"{path} describes {len(configs)} runs by its parameters; give one value")
    return configs[0]


def load_all(
    paths: Iterable[str], *, cluster: str | None = None, settings: Sequence[str] = ()
) -> dict[str, Config]:
    """The configs in several files, by file and parameters.

    Parameters
    ----------
    paths : iterable of str
        YAML files; ``-`` is standard input.
    cluster : str, optional
        A name or a file, in place of the section ``cluster`` of all of them.
    settings : sequence of str
        ``a.b=c``: the place of a value in all of them, and the YAML that is put there.

    Raises
    ------
    ConfigError
        With every error of a file, each with its line and path, or two runs have one target.
    """
    configs: dict[str, Config] = {}
    targets: dict[str, str] = {}
    for path in paths:
        configs |= read(path, Config, cluster=cluster, settings=settings)
    for name, config in configs.items():
        other = targets.setdefault(config.target.path, name)
        if other != name:
            raise ConfigError(
                f"{other} and {name} both write {config.target.path}; each run needs its own "
                "target.path, which a parameter of the run may stand in"
            )
    return configs


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies inside it."""
    a, b = os.path.realpath(one), os.path.realpath(other)
    return os.path.commonpath([a, b]) in (a, b)
