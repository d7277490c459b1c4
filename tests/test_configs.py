"""Every YAML of ``configs/`` loads, and its steps can be built, without computing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdgrad_dask import cli
from fdgrad_dask.pipeline.config import Config, load

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def test_there_are_configs() -> None:
    assert {"quickstart", "climate"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_loads(path: Path) -> None:
    assert isinstance(load(str(path)), Config)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_can_be_checked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out.startswith("read     sample:")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_how_to_run_it(path: Path) -> None:
    assert f"fdgrad run configs/{path.name}" in path.read_text()
