"""What is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from fdgrad_dask.pipeline.sections.section import FileName, Listed, Section

SAMPLE = "sample:"


def _chunk(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or (value < 1 and value != -1)):
        raise ValueError(
            f"a chunk is a number of points, -1 for the whole dimension, or auto, got {value!r}"
        )
    return value


class Source(Section):
    """What is read."""

    path: Annotated[tuple[FileName, ...], Listed]
    """A Zarr folder, netCDF files or a pattern of them, or sample:NAME; relative to where
    fdgrad is called."""
    chunks: dict[str, Annotated[int | Literal["auto"], BeforeValidator(_chunk)]] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the file."""

    @property
    def shown(self) -> str:
        """The paths, as a message names them."""
        more = f" and {len(self.path) - 1} more" if len(self.path) > 1 else ""
        return self.path[0] + more
