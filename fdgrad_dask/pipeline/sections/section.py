"""What the sections of a config share: strict fields, paths, lists of names."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

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
    return path


def _on_this_machine(path: str) -> str:
    if "://" in path:
        raise ValueError(f"{path!r} is a URL, only files on this machine are written; name one")
    return path


def _listed(value: Any) -> Any:
    """One name is a list of one."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"this is a name, or a list of at least one, got {value!r}")
    return tuple(value)


Place = Annotated[str, AfterValidator(_expanded)]
"""A path or a URL."""
FileName = Annotated[Place, AfterValidator(_on_this_machine)]
Listed = BeforeValidator(_listed, json_schema_input_type=str | list[str])


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )
