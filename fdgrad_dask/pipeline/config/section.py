"""What the sections of a config share: strict fields, paths, lists of names, measures."""

import glob
import os
import re
from typing import Annotated, Any

from dask.utils import parse_bytes, parse_timedelta
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

SAMPLE = "sample:"

_LINK = "::"  # between the links of a chained URL, such as zip://::in.zarr.zip
FromList = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
_CLOCK = re.compile(r"(?:(\d+)-)?(\d{1,3}):(\d\d):(\d\d)")
Fraction = Annotated[float, Field(gt=0, lt=1)]


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
Listed = BeforeValidator(_listed, json_schema_input_type=str | list[str])


class Section(BaseModel):
    """Typed, frozen, and without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


def _memory(limit: str) -> str:
    try:
        if limit == "auto" or parse_bytes(limit) > 0:
            return limit
    except ValueError:
        pass
    raise ValueError(f"{limit!r} is no amount of memory; write it like 4 GiB, or auto")


def _definite(limit: str) -> str:
    if limit == "auto":
        raise ValueError("another machine's memory is not known here; write it like 4 GiB")
    return _memory(limit)


def seconds(time: str) -> int:
    """The seconds of a duration as batch queues or as people write it.

    >>> seconds("1-02:00:00"), seconds("90 min")
    (93600, 5400)
    """
    if clock := _CLOCK.fullmatch(time.strip()):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    return round(parse_timedelta(re.sub(r"\bmin\b", "minutes", time), default=""))


def _duration(time: str) -> str:
    try:
        if seconds(time) >= 1:
            return time
    except (KeyError, ValueError):
        pass
    raise ValueError(f"{time!r} is no duration; write it like 02:00:00, 1-12:00:00 or 90 min")


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA numbers or names them."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    return [str(number) for number in range(len(glob.glob("/dev/nvidia[0-9]*")))]


Memory = Annotated[str, AfterValidator(_definite)]
MemoryOrAuto = Annotated[str, AfterValidator(_memory)]
Duration = Annotated[str, AfterValidator(_duration)]
