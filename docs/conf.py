"""The documentation: Sphinx, MyST-NB and the PyData theme; `make docs` builds it."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import generate

project = "fdgrad_dask"
author = "the developers of fdgrad_dask"
copyright = f"2026, {author}"
version = release = installed_version("fdgrad_dask")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "generate.py"]

# Pages with code cells are executed in the build, and an error in one of them ends it.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"  # `gradient` in a docstring refers to what has that name
autodoc_typehints = "none"  # signatures have them already
autodoc_member_order = "alphabetical"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "fdgrad_dask"
html_static_path: list[str] = []
html_show_sourcelink = False
# Pages without others below them have no navigation of a section.
html_sidebars: dict[str, list[str]] = {
    page: [] for page in ("index", "install", "tutorial", "migrating", "faq")
}
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}

generate.write_pages(Path(__file__).parent / "reference")


def escape_bars(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """|∇f| in a formula is no substitution of reStructuredText."""
    lines[:] = [line.replace("|", "\\|") for line in lines]


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", escape_bars)
