"""What is told at the end."""

from __future__ import annotations

from pydantic import field_validator

from fdgrad_dask.pipeline.config.section import FileName, Section


class Report(Section):
    """One page about the run, its numbers and its results, that needs no network."""

    path: FileName
    """An HTML file; one that is there is replaced."""

    @field_validator("path")
    @classmethod
    def _is_html(cls, path: str) -> str:
        if not path.endswith(".html"):
            raise ValueError(f"{path!r} does not end in .html, and the report is HTML; rename it")
        return path
