"""The commands from Python: what they take, and that they give what the command says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from fdgrad_dask import pipeline
from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.schema import Config, load

Write = Callable[..., str]

TARGET = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}
KINDS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "path": Path,
    "dict": lambda config: yaml.safe_load(Path(config).read_text()),
    "model": load,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_is_a_path_a_dict_or_a_model(
    kind: str, write: Write, sst: xr.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    config = KINDS[kind](write(target=TARGET))
    assert (pipeline.plan(config).plan.count, Path("out.zarr").exists()) == (4, False)
    done = pipeline.run(config)
    assert (done.regions, done.computed, done.target) == (4, 4, f"{Path.cwd()}/out.zarr")
    assert capsys.readouterr().out == ""
    truth = np.gradient(sst.sst.values.astype(float), 10.0, axis=1)
    written = xr.open_zarr("out.zarr")
    np.testing.assert_allclose(written.dsst_dlatitude, truth, rtol=1e-4, atol=1e-6)
    assert "fdgrad_dask.pipeline.run(" in written.attrs["history"]
    again = pipeline.run(config)
    assert again.computed == 0
    assert "is already complete" in str(again)
    intact = pipeline.verify(config)
    assert (intact.regions, intact.shards) == (4, 4)


def test_a_summary_reads_as_the_command_prints(
    write: Write, fdgrad: Callable[..., tuple[int, str, str]]
) -> None:
    config = write(target=TARGET)
    for name in ("check", "plan"):
        _, said, _ = fdgrad(name, config)
        text = str(getattr(pipeline, name)(config)).replace(f"{Path.cwd()}/", "")
        assert f"{text}\n" == said
    assert pipeline.check(config).result.dsst_dlatitude.dims == ("time", "latitude", "longitude")


def test_settings_are_those_of_the_command(write: Write) -> None:
    done = pipeline.run(write(target=TARGET), settings=["target.regions.time=4"])
    assert done.regions == 2


def test_errors_are_those_of_the_command(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"the config: 1 error\n  line 1, steps: is missing"):
        pipeline.run({"source": {"path": "a.zarr"}, "target": {"path": "b.zarr"}})
    with pytest.raises(OutputError, match="there is no target"):
        pipeline.verify(write())
    with pytest.raises(ConfigError, match="describes 2 runs by its parameters; give one value"):
        pipeline.run(write(parameters={"m": ["a", "b"]}, target={"path": "${m}.zarr"}))


def test_names_of_the_package_are_the_commands() -> None:
    assert dir(pipeline) == ["check", "info", "init", "plan", "run", "status", "verify"]
    assert all(callable(getattr(pipeline, name)) for name in dir(pipeline))
    assert Config.model_fields.keys() >= {"source", "steps", "target"}


@pytest.mark.parametrize(("platforms", "kept"), [(None, ["cpu"]), ("cuda", [])])
def test_threads_of_the_command_leave_gpus_alone(
    platforms: str | None,
    kept: list[str],
    write: Write,
    fdgrad: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if platforms:
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
    asked: list[str] = []
    monkeypatch.setattr(
        "jax.config.update", lambda name, to: name == "jax_platforms" and asked.append(to)
    )
    fdgrad("run", write())
    assert asked == kept
