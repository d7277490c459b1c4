"""What is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from fdgrad_dask.pipeline.sections.section import FileName, Section


class Target(Section):
    """What is written."""

    path: FileName
    """A Zarr folder that does not exist yet."""
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
    """Bits of the mantissa that are kept; the others become nought and compress to nothing."""

    @field_validator("path")
    @classmethod
    def _is_zarr(cls, path: str) -> str:
        if not path.rstrip("/").endswith(".zarr"):
            raise ValueError(f"{path!r} does not end in .zarr, and only Zarr is written; rename it")
        return path.rstrip("/")
