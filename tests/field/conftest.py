"""The command on small netCDF files, in this process."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from fdgrad_dask import cli


@pytest.fixture
def fdgrad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``fdgrad(command, dataset, *steps)``, the exit code; the dataset may be a file.

    A step is (operator, inputs, output) or has a mapping of options behind it.
    """

    def called(command: str, ds: xr.Dataset | Path, *steps: Any, source: Any = None) -> int:
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "in.nc" if isinstance(ds, xr.Dataset) else ds
        if isinstance(ds, xr.Dataset):
            gc.collect()  # HDF5 lets nobody write a file that an earlier call has still open
            ds.to_netcdf(path)
        keys = "operator", "inputs", "output", "options"
        config = {
            "source": {"path": str(path), **(source or {})},
            "steps": [dict(zip(keys, step, strict=False)) for step in steps],
            "target": {"path": "out.zarr"},
            "cluster": {"kind": "threads", "workers": 1, "threads": 1},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        extra = ["--fresh"] if command == "run" else []
        return cli.main([command, "config.yaml", *extra])

    return called


@pytest.fixture
def check(fdgrad: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code and message of ``fdgrad check``."""

    def checked(*arguments: Any, **options: Any) -> tuple[int, str]:
        code = fdgrad("check", *arguments, **options)
        return code, capsys.readouterr().err

    return checked


@pytest.fixture
def run(
    fdgrad: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., xr.Dataset]:
    """What ``fdgrad run`` wrote."""

    def ran(*arguments: Any, decode_times: bool = True, **options: Any) -> xr.Dataset:
        code = fdgrad("run", *arguments, **options)
        assert code == 0, capsys.readouterr().err
        return xr.open_zarr(tmp_path / "out.zarr", decode_times=decode_times).load()

    return ran
