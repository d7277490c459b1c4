"""What is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.section import Place, Section
from fdgrad_dask.pipeline.config.source import STORES, Options

ENDINGS = (".zarr", ".icechunk", ".nc")


class Target(Section):
    """What is written."""

    path: Place
    """What does not exist yet: a Zarr folder (.zarr), a netCDF file (.nc), or an Icechunk
    repository (.icechunk), whose main branch moves when all is written. Zarr and Icechunk may lie
    in a bucket too, under a URL that begins with s3://, gs:// or az://."""
    chunks: dict[str, PositiveInt] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the source."""
    shards: dict[str, PositiveInt] = {}
    """Points per shard, a file of many chunks; what is not named has one chunk per shard."""
    regions: dict[str, PositiveInt] = {}
    """Points that a worker computes at a time, in whole shards; chosen by the plan where nothing
    is named."""
    extend: str | None = None
    """The dimension along which the source grows: a later run with the same config computes what
    is new and what reads beyond the old end, and keeps the rest. Its chunks have to be named."""
    compression: Literal["fast", "archive"] = "fast"
    """fast: LZ4 with shuffle; archive: Zstandard with bitshuffle, smaller and slower."""
    round_bits: Annotated[int, Field(ge=1, le=52)] | None = None
    """Bits of the mantissa that are kept; the others become zero and compress to nothing."""
    storage_options: Options = {}
    """Of obstore and icechunk, for a bucket. Write secrets as ${NAME}, and set that environment
    variable; no option is ever written."""

    @field_validator("path")
    @classmethod
    def _of_a_format(cls, path: str) -> str:
        path = path.rstrip("/")
        if not path.endswith(ENDINGS):
            raise ValueError(
                f"{path!r} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, which "
                "decide its format; rename it"
            )
        scheme, is_url, place = path.partition("://")
        if not is_url:
            return path
        if scheme not in STORES or path.endswith(".nc"):
            raise ValueError(
                f"{without_secrets(path)!r} is a URL at which only Zarr and Icechunk are written, "
                "and only to s3://, gs:// and az://; name one of these, or a path on this machine"
            )
        bucket, _, key = place.partition("/")
        if not (bucket and key):
            raise ValueError(f"{path!r} is no place in a bucket; write {scheme}://BUCKET/NAME.zarr")
        if "@" in bucket:
            raise ValueError("a key to a bucket belongs into target.storage_options, not the URL")
        return path

    @model_validator(mode="after")
    def _can_be_extended(self) -> Target:
        dim = self.extend
        if dim is None:
            return self
        if dim not in self.chunks:
            raise ValueError(
                f"extend is {dim!r}, and chunks names no {dim}; write chunks: {{{dim}: N}}, which "
                "holds however long the target becomes"
            )
        if self.path.endswith(".nc") or (self.path.endswith(".zarr") and "://" in self.path):
            raise ValueError(
                f"{without_secrets(self.path)!r} cannot be extended unseen by its readers: that "
                "takes a Zarr folder on this machine or an Icechunk repository; name one, or take "
                "extend away and run with --fresh"
            )
        return self
