"""What is computed: one operator, what goes into it and what comes out."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.read import FieldError
from fdgrad_dask.pipeline.config.section import Listed, Section
from fdgrad_dask.pipeline.config.yaml import Path


def _known_operator(name: str) -> str:
    if name not in (known := catalog.operator_names()):
        raise ValueError(f"no operator {name!r}; {catalog.did_you_mean(name, known)}")
    return name


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"{name!r} cannot name a variable; use letters, digits and _")
    return name


def _name_the_operators(schema: dict[str, Any]) -> None:
    schema["enum"] = list(catalog.operator_names())


OutputName = Annotated[str, AfterValidator(_variable_name)]


class Step(Section):
    """One operator, what goes into it and what its result is called."""

    operator: Annotated[
        str, AfterValidator(_known_operator), Field(json_schema_extra=_name_the_operators)
    ]
    """What `fdgrad operators` lists."""
    inputs: Annotated[tuple[str, ...], Listed]
    """Variables of the source, or outputs of earlier steps."""
    output: Annotated[tuple[OutputName, ...], Listed] | None = None
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
        problems: list[tuple[Path, str]] = [
            ((name,), f"{operator} has no such option; {catalog.did_you_mean(name, known)}")
            for name in options
            if name not in known
        ]
        if problems:
            raise FieldError(problems)
        return options
