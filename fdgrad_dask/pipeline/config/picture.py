"""What is drawn at the end."""

from __future__ import annotations

from typing import Annotated

from pydantic import field_validator

from fdgrad_dask.pipeline.config.section import FileName, Listed, Section


class Picture(Section):
    """A map or a section of one result, drawn at the end."""

    path: FileName
    """A PNG file; one that is there is replaced."""
    variable: str
    """Which result."""
    mean: Annotated[tuple[str, ...], Listed] = ()
    """Dimensions to take the mean over first; two must be left."""
    title: str | None = None
    """In place of the one made from names and period."""

    @field_validator("path")
    @classmethod
    def _is_png(cls, path: str) -> str:
        if not path.endswith(".png"):
            raise ValueError(f"{path!r} does not end in .png, and only PNG is drawn; rename it")
        return path
