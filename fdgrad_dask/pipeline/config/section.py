"""What the sections of a config share: strict fields, paths, lists of names."""

from __future__ import annotations

import glob
import os
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

SAMPLE = "sample:"

_LINK = "::"  # between the links of a chained URL, such as zip://::in.zarr.zip


def _at_home(path: str) -> str:
    if not path.strip():
        raise ValueError("the path is empty; write one")
    return os.path.expanduser(path)


def absolute(path: str) -> str:
    """``path`` from the root, for a worker that runs in another folder; URLs as they are."""
    if path.startswith(SAMPLE):
        return path
    links = path.split(_LINK)
    scheme, found, rest = links[-1].rpartition("://")
    if not found or scheme in ("file", "local"):
        here = os.getcwd()
        if glob.has_magic(rest) and not os.path.exists(rest):
            here = glob.escape(here)  # the pattern is what was written, not where it was
        links[-1] = scheme + found + os.path.join(here, rest.removeprefix("./"))
    return _LINK.join(links)


def _on_this_machine(path: str) -> str:
    if "://" in path:
        raise ValueError(f"{path!r} is a URL, and this is a file on this machine; name one")
    return path


def _listed(value: Any) -> Any:
    """One name is a list of one."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"this is a name, or a list of at least one, got {value!r}")
    return tuple(value)


def says(message: str) -> WrapValidator:
    """One message for whatever is wrong with a value."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValueError as error:
            raise ValueError(f"{message}, got {value!r}") from error

    return WrapValidator(check)


Place = Annotated[str, AfterValidator(_at_home)]
"""A path or a URL."""
FileName = Annotated[Place, AfterValidator(_on_this_machine)]
FromList = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Listed = BeforeValidator(_listed, json_schema_input_type=str | list[str])


class Section(BaseModel):
    """Typed, frozen, and without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )
