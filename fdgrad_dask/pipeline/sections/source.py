"""What is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from fdgrad_dask.pipeline.sections.section import Listed, Place, Section

SAMPLE = "sample:"

Format = Literal["auto", "zarr", "netcdf", "icechunk", "kerchunk"]
Label = int | float | str


def _chunk(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or (value < 1 and value != -1)):
        raise ValueError(
            f"a chunk is a number of points, -1 for the whole dimension, or auto, got {value!r}"
        )
    return value


def _selection(value: Any) -> Any:
    """Lists as tuples, and one message for whatever is none of the ways to select."""
    kinds = {"labels": (int, float, str), "index": (int,), "indices": (int,)}
    by, chosen = "labels", value
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in kinds:
        [(by, chosen)] = value.items()
    listed = chosen if isinstance(chosen, (list, tuple)) else [chosen]
    pair = isinstance(chosen, (list, tuple)) and (chosen is value or by == "index")
    fits = (
        all(type(item) in kinds[by] or (pair and item is None) for item in listed)
        and (len(listed) == 2 if pair else len(listed) > 0)
        and (by == "index" or chosen is value or isinstance(chosen, (list, tuple)))
    )
    if not fits:
        raise ValueError(
            "a selection is a label, [start, stop] with both ends taken, {labels: [...]}, "
            f"{{index: n}}, {{index: [start, stop]}} or {{indices: [...]}}, got {value!r}"
        )
    chosen = tuple(chosen) if isinstance(chosen, (list, tuple)) else chosen
    return chosen if not isinstance(value, dict) else {by: chosen}


class Picked(Section):
    """Points that are named one by one, or by their number from 0; a negative one from the end."""

    labels: tuple[Label, ...] | None = None
    """The labels that are taken, in this order."""
    index: int | tuple[int | None, int | None] | None = None
    """One point, whose dimension goes, or [start, stop] without stop."""
    indices: tuple[int, ...] | None = None
    """The points that are taken, in this order."""


Selection = Annotated[
    Label | tuple[Label | None, Label | None] | Picked, BeforeValidator(_selection)
]


class Source(Section):
    """What is read."""

    path: Annotated[tuple[Place, ...], Listed]
    """Zarr, netCDF, Icechunk or kerchunk references, a pattern of files or a list of them, on this
    machine (relative to where fdgrad is called) or by URL; or sample:NAME."""
    format: Format = "auto"
    """What it is, where the name does not tell."""
    group: str | None = None
    """The group in the file or store; what is at the top without it."""
    branch: str | None = None
    """Of an Icechunk repository: read its last snapshot. main, where none of the three is given."""
    tag: str | None = None
    """Of an Icechunk repository: read what the tag names."""
    snapshot: str | None = None
    """Of an Icechunk repository: read the snapshot with this id."""
    rename: dict[str, str] = {}
    """New names of variables and dimensions, by the names in the file; all else uses the new."""
    select: dict[str, Selection] = {}
    """The part that is read, by dimension: a label, or [start, stop] with both ends taken."""
    chunks: dict[str, Annotated[int | Literal["auto"], BeforeValidator(_chunk)]] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the file."""
    missing_chunks: Literal["error", "fill"] = "error"
    """What a Zarr chunk that is not there is: damage, or the fill value."""
    storage_options: dict[str, Any] = {}
    """For the library that opens a URL (fsspec, obstore, icechunk). Secrets belong into the
    environment, where all three look for them."""
    decode_times: bool = True
    """Whether numbers "since" a date become dates; false where their unit is none of CF's."""

    @model_validator(mode="after")
    def _one_version(self) -> Source:
        given = [name for name in ("branch", "tag", "snapshot") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; one of them is what is read")
        if given and self.format not in ("auto", "icechunk"):
            raise ValueError(f"{self.format} has no {given[0]}; take it away, or mend format")
        return self

    @property
    def shown(self) -> str:
        """The paths, as a message names them."""
        more = f" and {len(self.path) - 1} more" if len(self.path) > 1 else ""
        return self.path[0] + more
