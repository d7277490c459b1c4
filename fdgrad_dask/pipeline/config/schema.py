"""The YAML of a run: typed, frozen, and refused with all its errors at once.

A section is one class. What pydantic cannot know (operators, their options, paths that overlap)
is checked beside the field it concerns, so that every message has a path and a line.
"""

import glob
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from fdgrad_dask.errors import ConfigError, did_you_mean
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.cluster import Cluster, Threads
from fdgrad_dask.pipeline.config.grid import Grid
from fdgrad_dask.pipeline.config.read import FieldError, described, read, read_text
from fdgrad_dask.pipeline.config.section import SAMPLE, FileName, Listed, Section, absolute
from fdgrad_dask.pipeline.config.source import Source, Target


def _known_operator(name: str) -> str:
    if name not in (known := catalog.operator_names()):
        raise ValueError(f"no operator {name!r}; {did_you_mean(name, known)}")
    return name


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"{name!r} cannot name a variable; use letters, digits and _")
    return name


def _ending(ending: str) -> AfterValidator:
    def check(path: str) -> str:
        if not path.endswith(ending):
            raise ValueError(f"{path!r} does not end in {ending}; rename it")
        return path

    return AfterValidator(check)


OutputName = Annotated[str, AfterValidator(_variable_name)]


class Step(Section):
    """One operator, what goes into it and what its result is called."""

    operator: Annotated[
        str,
        AfterValidator(_known_operator),
        Field(json_schema_extra={"enum": [*catalog.operator_names()]}),
    ]
    """What `fdgrad operators` lists."""
    inputs: Annotated[tuple[str, ...], Listed]
    """Variables of the source, or outputs of earlier steps."""
    output: Annotated[tuple[OutputName, ...], Listed] | None = None
    """The name of the result; a list where there are several. Without it the operator names."""
    options: dict[str, Any] = {}
    """Keywords of the operator, and keys of the section grid for this step alone."""

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
        if operator := info.data.get("operator"):
            known = {*catalog.options_of(operator)}
            known |= {*Grid.model_fields} if catalog.takes_grid(operator) else set()
            if unknown := [name for name in options if name not in known]:
                message = f"{operator} has no such option; "
                raise FieldError(*(((n,), message + did_you_mean(n, known)) for n in unknown))
        return options

    @property
    def own_grid(self) -> dict[str, Any]:
        """The keys of the section grid among the options; boundary is one of the operator."""
        return {
            key: value
            for key, value in self.options.items()
            if key in Grid.model_fields and key not in catalog.options_of(self.operator)
        }


class Picture(Section):
    """A map or a section of one result, drawn at the end."""

    path: Annotated[FileName, _ending(".png")]
    """A PNG file; one that is there is replaced."""
    variable: str
    """Which result."""
    mean: Annotated[tuple[str, ...], Listed] = ()
    """Dimensions to take the mean over first; two must be left."""
    title: str | None = None
    """In place of the one made from names and period."""


class Report(Section):
    """One page about the run, its numbers and its results, that needs no network."""

    path: Annotated[FileName, _ending(".html")]
    """An HTML file; one that is there is replaced."""


class Config(Section):
    """From source to target, and what happens on the way."""

    source: Source
    grid: Grid | None = None
    """On which grid the fields lie, where the file does not say it."""
    steps: Annotated[list[Step], Field(min_length=1)]
    """In order; a step may use what an earlier one gave."""
    target: Target
    cluster: Cluster = Field(default_factory=Threads)
    """A section, or the name of one: a file, or NAME for ~/.config/fdgrad/clusters/NAME.yaml."""
    picture: Picture | None = None
    report: Report | None = None
    parameters: dict[str, Annotated[tuple[str, ...], Listed]] = Field(default={}, exclude=True)
    """Values that ${NAME} takes one after the other, like {month: [01, 02]}; there is a run for
    each combination, with another target."""

    @field_validator("source", "target", "picture", "report")
    @classmethod
    def _from_the_root(cls, section: Any) -> Any:
        """Relative paths are those of the folder in which the config is read, on workers too."""
        if section is None:
            return section
        path = section.path
        found = {"path": absolute(path) if isinstance(path, str) else tuple(map(absolute, path))}
        if beside := getattr(section, "coordinates", None):
            found["coordinates"] = cls._from_the_root(beside)
        return section.model_copy(update=found)

    @field_validator("steps")
    @classmethod
    def _each_output_once(cls, steps: list[Step]) -> list[Step]:
        given = [(name, number) for number, step in enumerate(steps) for name in step.output or ()]
        first = dict(reversed(given))
        message = "steps[{}] already gives {!r}; rename one of the two"
        if again := [each for place, each in enumerate(given) if each[0] in dict(given[:place])]:
            raise FieldError(*(((at, "output"), message.format(first[n], n)) for n, at in again))
        return steps

    @field_validator("steps")
    @classmethod
    def _on_a_grid(cls, steps: list[Step], info: ValidationInfo) -> list[Step]:
        problems = []
        for number, step in enumerate(steps):
            try:
                _merged(info.data.get("grid"), step)
            except ValidationError as error:
                at = number, "options"
                problems += [((*at, *path), text) for path, text in described(error, Grid)]
        if problems:
            raise FieldError(*problems)
        return steps

    @field_validator("target")
    @classmethod
    def _apart_from_source(cls, target: Target, info: ValidationInfo) -> Target:
        source = info.data.get("source")
        beside = source.coordinates.path if source and source.coordinates else ()
        for path in (*source.path, *beside) if source else ():
            for file in [] if path.startswith(SAMPLE) else glob.glob(path) or [path]:
                if _overlap(file, target.path) or _overlap(file, target.path + ".partial"):
                    message = f"{target.path!r} and the source {file!r} overlap; name another path"
                    raise FieldError((("path",), message))
            # Else the next run, or this one, takes its own output for a source.
            for made in (target.path + end for end in ("", ".partial", ".journal")):
                if _is_matched(made, path):
                    message = f"the source {path!r} takes in {made!r}; name another path"
                    raise FieldError((("path",), message))
        return target

    @field_validator("picture", "report")
    @classmethod
    def _outside_target(cls, page: Any, info: ValidationInfo) -> Any:
        if page and "target" in info.data and _overlap(page.path, info.data["target"].path):
            message = f"{page.path!r} lies inside the target; put it beside it"
            raise FieldError((("path",), message))
        return page

    def grid_of(self, step: Step) -> Grid | None:
        """The section grid as a step has it; None where its operator has no geometry."""
        return _merged(self.grid, step) if catalog.takes_grid(step.operator) else None


AnyConfig = str | os.PathLike[str] | Mapping[str, Any] | Config


def load(config: AnyConfig, settings: Sequence[str] = ()) -> Config:
    """The config of one run, checked: a YAML file, or its content; see ``load_all``.

    ConfigError: with every error, each with its line and path.
    """
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        name, text = "the config", json.dumps(config, default=os.fspath, indent=1)
        configs = read_text(name, text, Config, settings)
    else:
        name = os.fspath(config)
        configs = load_all([name], settings)
    if len(configs) > 1:
        raise ConfigError(f"{name} describes {len(configs)} runs by its parameters; give one value")
    return next(iter(configs.values()))


def load_all(paths: Iterable[str], settings: Sequence[str] = ()) -> dict[str, Config]:
    """The configs in YAML files, by file and parameters; each setting is put into all of them.

    ConfigError: with every error of a file, each with its line and path, or two runs have one
    target.
    """
    configs: dict[str, Config] = {}
    targets: dict[str, str] = {}
    for path in paths:
        configs |= read(path, Config, settings)
    for name, config in configs.items():
        other = targets.setdefault(config.target.path, name)
        if other != name:
            raise ConfigError(
                f"{other} and {name} both write {config.target.path}; each run needs its own "
                "target.path, which a parameter of the run may stand in"
            )
    return configs


def _merged(grid: Grid | None, step: Step) -> Grid | None:
    """The grid of a step: its own keys before those of the section, of which another geometry
    has none.
    """
    if not (own := step.own_grid):
        return grid
    shared = grid.model_dump(exclude_unset=True) if grid else {}
    if "geometry" in own:
        shared = {key: value for key, value in shared.items() if key == "boundary"}
    return Grid.model_validate({**shared, **own})


def _is_matched(path: str, pattern: str) -> bool:
    """Whether `glob` finds a path by a pattern, once it is there."""
    names, patterns = path.split(os.sep), pattern.split(os.sep)
    pairs = zip(names, patterns, strict=False)
    return len(names) == len(patterns) and all(fnmatchcase(*pair) for pair in pairs)


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies inside it."""
    a, b = os.path.realpath(one), os.path.realpath(other)
    return os.path.commonpath([a, b]) in (a, b)
