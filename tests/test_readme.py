"""The blocks of Python in the README and in the documentation run as they stand."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# Pages of which Sphinx executes the cells; `make docs` does that with the pictures.
NOTEBOOKS = ("docs/tutorial.md", "docs/howto/grids.md", "docs/howto/jax.md")


def blocks(page: str, opening: str) -> str:
    cells = re.findall(rf"^```{opening}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert cells
    return "\n".join(re.sub(r"(?m)\A(:.*\n)+", "", cell) for cell in cells)


def test_the_first_block_of_the_readme_runs_and_computes_nothing():
    names: dict[str, object] = {}
    code = blocks(README, "python").replace("print(ds.fdgrad)", "shown = str(ds.fdgrad)")
    exec(compile(code, "README.md", "exec"), names)
    ds = names["ds"]
    assert "vorticity" in names["shown"]
    vorticity = ds.fdgrad.vorticity("u", "v")
    assert vorticity.chunks is not None
    assert vorticity.attrs["units"] == "s-1"
    # ζ = 2 u₀ sin φ / a; at the pole that is 2 u₀ / a.
    assert float(vorticity[-1, 0]) == pytest.approx(40 / 6371229.0, rel=1e-4)


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_the_cells_of_the_documentation_run(page, tmp_path, monkeypatch):
    if "iris_sample_data" in (text := (ROOT / page).read_text()):
        pytest.importorskip("iris_sample_data", reason="the sample data are an extra")
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context({"backend": "agg"}), warnings.catch_warnings():
        exec(compile(blocks(text, r"\{code-cell\}"), page, "exec"), {})


def test_every_link_of_the_pages_leads_to_a_file():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    generated = {"command.md", "config.md"}
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text()):
            found = (page.parent / target).resolve()
            assert found.exists() or found.name in generated, f"{page}: {target}"


def test_every_question_of_newcomers_is_two_clicks_away():
    """Twenty questions, each with a page that the README links to, or one behind it."""
    assert "docs/faq.md" in README
    answers = re.findall(r"(?m)^\*\*(.+\?)\*\*", (ROOT / "docs" / "faq.md").read_text())
    assert len(answers) == 20
