"""What is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from fdgrad_dask.pipeline.config.section import FileName, Section

ENDINGS = (".zarr", ".icechunk", ".nc")


class Target(Section):
    """What is written."""

    path: FileName
    """What does not exist yet: a Zarr folder (.zarr), a netCDF file (.nc), or an Icechunk
    repository (.icechunk), whose main branch moves when all is written."""
    chunks: dict[str, PositiveInt] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the source."""
    shards: dict[str, PositiveInt] = {}
    """Points per shard, a file of many chunks; what is not named has one chunk per shard."""
    regions: dict[str, PositiveInt] = {}
    """Points that a worker computes at a time, in whole shards; chosen by the plan where nothing
    is named."""
    compression: Literal["fast", "archive"] = "fast"
    """fast: LZ4 with shuffle; archive: Zstandard with bitshuffle, smaller and slower."""
    round_bits: Annotated[int, Field(ge=1, le=52)] | None = None
    """Bits of the mantissa that are kept; the others become zero and compress to nothing."""

    @field_validator("path")
    @classmethod
    def _of_a_format(cls, path: str) -> str:
        path = path.rstrip("/")
        if not path.endswith(ENDINGS):
            raise ValueError(
                f"{path!r} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, by which "
                "its format is told; rename it"
            )
        return path
