"""The YAML of a run: typed, frozen, and refused with all its errors at once.

A section is one class. What pydantic cannot know (operators, their options, paths that overlap)
is checked beside the field it concerns, so that every message has a path and a line.
"""

from __future__ import annotations

import glob
import os
from typing import Annotated, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from fdgrad_dask.pipeline.config import yaml as strict_yaml
from fdgrad_dask.pipeline.config.cluster import Cluster, Threads
from fdgrad_dask.pipeline.config.picture import Picture
from fdgrad_dask.pipeline.config.report import Report
from fdgrad_dask.pipeline.config.section import SAMPLE, Strict, absolute
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.config.step import Step
from fdgrad_dask.pipeline.config.target import Target

_Page = TypeVar("_Page", Picture | None, Report | None)
_Placed = TypeVar("_Placed", Source, Target, Picture | None, Report | None)


class Config(Strict):
    """From source to target, and what happens on the way."""

    source: Source
    steps: Annotated[list[Step], Field(min_length=1)]
    """In order; a step may use what an earlier one gave."""
    target: Target
    cluster: Cluster = Field(default_factory=Threads)
    picture: Picture | None = None
    report: Report | None = None

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

    @field_validator("picture", "report")
    @classmethod
    def _outside_target(cls, page: _Page, info: ValidationInfo) -> _Page:
        if page and "target" in info.data and _overlap(page.path, info.data["target"].path):
            message = f"{page.path!r} lies inside the target; put it beside it"
            raise strict_yaml.FieldError([(("path",), message)])
        return page


def load(path: str) -> Config:
    """The config in a YAML file, checked.

    Raises
    ------
    ConfigError
        With every error of the file, each with its line and path.
    """
    config: Config = strict_yaml.load(path, Config)
    return config


def load_cluster(path: str) -> Cluster:
    """The ``cluster`` section alone, from a file that holds nothing else."""
    cluster: Cluster = strict_yaml.load(path, Cluster)
    return cluster


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies inside it."""
    a, b = os.path.realpath(one), os.path.realpath(other)
    return os.path.commonpath([a, b]) in (a, b)
