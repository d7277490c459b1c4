"""What is written."""

from __future__ import annotations

from pydantic import PositiveInt, field_validator

from fdgrad_dask.pipeline.sections.section import FileName, Section


class Target(Section):
    """What is written."""

    path: FileName
    """A Zarr folder that does not exist yet."""
    chunks: dict[str, PositiveInt] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the source."""

    @field_validator("path")
    @classmethod
    def _is_zarr(cls, path: str) -> str:
        if not path.rstrip("/").endswith(".zarr"):
            raise ValueError(f"{path!r} does not end in .zarr, and only Zarr is written; rename it")
        return path.rstrip("/")
