"""Prints the lower bounds of pyproject.toml as constraints, for `make test-min`."""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lower_bounds(project: dict) -> list[str]:
    """``name>=1.2`` → ``name==1.2``, of all dependencies and extras that state a bound."""
    stated = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        stated += extra
    pattern = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9.]+)")
    return [f"{m[1]}=={m[2]}" for m in map(pattern.fullmatch, stated) if m]


if __name__ == "__main__":
    print("\n".join(lower_bounds(tomllib.loads(PYPROJECT.read_text())["project"])))
