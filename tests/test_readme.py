"""The README runs as it stands, its links lead somewhere; `make docs` executes other pages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from fdgrad_dask import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


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


def test_the_commands_of_the_readme_and_of_the_pages_exist():
    """Each line that calls fdgrad or make, in a block without a language."""
    targets = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text()))
    lines = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if page.name != "command.md":  # the help itself
            # Every other part lies between fences, and begins with its language.
            blocks = re.split(r"(?m)^```", page.read_text())[1::2]
            lines += [line for block in blocks if block[:1] == "\n" for line in block.splitlines()]
    calls = [re.split(r"\s[#>]", line)[0].split() for line in lines]
    fdgrad = [call[1:] for call in calls if call[:1] == ["fdgrad"]]
    assert len(fdgrad) >= 12
    for arguments in fdgrad:
        assert cli._parser().parse_args(arguments).command
    made = {call[1] for call in calls if call[:1] == ["make"]}
    assert {"quickstart", "test"} <= made <= targets


def test_continuous_integration_calls_targets_that_exist():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    matrix = job["strategy"]["matrix"]
    targets = {*matrix["target"], *(one["target"] for one in matrix["include"])}
    called = set(re.findall(r"(?m)^make ([\w-]+)", (ROOT / ".ci" / "run").read_text()))
    known = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text()))
    assert {"lint", "test", "docs"} <= targets & called
    assert targets | called <= known


def test_the_image_installs_extras_that_exist():
    dockerfile = (ROOT / "workflows" / "kubernetes" / "Dockerfile").read_text()
    extras = re.findall(r"pip install .*\[(.*)\]", dockerfile)[0].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(project["optional-dependencies"])
    copied = re.findall(r"(?m)^COPY (.+) \S+$", dockerfile)
    assert all((ROOT / name).exists() for names in copied for name in names.split())


def test_the_recipe_of_conda_requires_what_pip_does():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    names = {"dask-core": "dask", "cf_xarray": "cf-xarray"}  # conda-forge's
    found = {one.split()[0]: one.split()[1] for one in recipe["requirements"]["run"]}
    assert found.pop("python") == project["requires-python"]
    required = dict(re.match(r"([\w-]+)(.*)", one).groups() for one in project["dependencies"])
    assert {names.get(name, name): bound for name, bound in found.items()} == required
