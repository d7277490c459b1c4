"""What a command found out or did: fields for a program, text for people."""

from dataclasses import dataclass, field

import xarray as xr

from fdgrad_dask.pipeline.planning.regions import Plan


@dataclass(frozen=True)
class Summary:
    """What ``fdgrad`` prints is ``str`` of it."""

    text: str = field(repr=False)
    target: str
    """The path or URL of the target."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Checked(Summary):
    """What a run would do."""

    result: xr.Dataset = field(repr=False)
    """Its results, lazy and in arrays of one chunk."""


@dataclass(frozen=True)
class Planned(Checked):
    """What a run would cost."""

    plan: Plan
    """Its regions, the bytes that they read and write, and the memory that one needs."""


@dataclass(frozen=True)
class Finished(Summary):
    """A target that is complete, with its regions, and those that this call computed."""

    regions: int
    computed: int
    seconds: float


@dataclass(frozen=True)
class Verified(Summary):
    """A target of which every stored byte is what was written."""

    regions: int
    shards: int


@dataclass(frozen=True)
class Standing(Summary):
    """How far a run is: "not begun", "running", "interrupted" or "complete"."""

    state: str
    regions: int
    finished: int
