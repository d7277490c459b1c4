"""What the sections of clusters measure: memory, durations, GPUs."""

from __future__ import annotations

import glob
import os
import re
from typing import Annotated

from dask.utils import parse_bytes, parse_timedelta
from pydantic import AfterValidator, Field

_CLOCK = re.compile(r"(?:(\d+)-)?(\d{1,3}):(\d\d):(\d\d)")


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

    Examples
    --------
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
Fraction = Annotated[float, Field(gt=0, lt=1)]
