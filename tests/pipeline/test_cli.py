"""The command: what it prints, where, and with which exit code it ends."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import cli, operators
from fdgrad_dask.pipeline import commands as conductor
from fdgrad_dask.pipeline.config import redaction
from fdgrad_dask.pipeline.execute import window
from fdgrad_dask.pipeline.source import open as sources

CONFIGS = Path(__file__).parents[2] / "configs"
HARMLESS = "ignore:numpy.ndarray size changed"  # of netCDF4 with an older NumPy
COMMAND = [sys.executable, "-W", "error", "-W", HARMLESS, "-m", "fdgrad_dask.cli"]

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]


def test_files_by_url_end_with_the_code_of_the_run(write: Write, sst: xr.Dataset) -> None:
    """HDF5 closed them after the end of Python, whose process crashed with all written."""
    for part in range(2):
        sst.isel(time=slice(2 * part, 2 * part + 2)).to_netcdf(f"{part}.nc", engine="h5netcdf")
    config = write(source={"path": f"file://{os.getcwd()}/*.nc"})
    for command in ("check", "run"):
        done = subprocess.run([*COMMAND, command, config], capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_the_quickstart_end_to_end() -> None:
    done = subprocess.run(
        [*COMMAND, "run", str(CONFIGS / "quickstart.yaml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    here = os.getcwd()
    assert told[0] == "read     sample:ostia_monthly.nc"
    assert told[1].split()[0] == "surface_temperature"
    assert told[1].endswith("K, 1.60 MiB, 54 chunks of 1 × 18 × 432")
    assert told[2] == f"wrote    {here}/out/quickstart.zarr"
    assert [line.split()[0] for line in told[3:6]] == ["dsst_dlat", "dsst_dlon", "sst_gradient"]
    assert told[6] == f"picture  {here}/out/quickstart.png"
    assert told[7] == f"report   {here}/out/quickstart.html"
    assert told[8].startswith("took     ")
    assert "(100 %)" in done.stderr
    assert "Traceback" not in done.stderr
    names = ["quickstart.html", "quickstart.png", "quickstart.zarr", "quickstart.zarr.journal"]
    assert sorted(os.listdir("out")) == names
    field = sources.open_source(conductor_source()).surface_temperature
    found = xr.open_zarr("out/quickstart.zarr", decode_timedelta=False)
    np.testing.assert_array_equal(
        found.dsst_dlon,
        operators.gradient(field, "longitude", boundary="periodic", period=360),
    )
    np.testing.assert_array_equal(found.sst_gradient, operators.gradient_magnitude(field))
    assert found.sst_gradient.attrs["units"] == "K m-1"
    line = found.attrs["history"].splitlines()[0]
    assert "fdgrad run" in line
    assert f"(fdgrad_dask {version('fdgrad_dask')})" in line


def conductor_source() -> Any:
    from fdgrad_dask.pipeline.config.schema import load

    return load(str(CONFIGS / "quickstart.yaml")).source


def test_the_climate_config(fdgrad: Called) -> None:
    assert fdgrad("run", str(CONFIGS / "climate.yaml"))[0] == 0
    found = xr.open_zarr("out/climate.zarr", decode_timedelta=False)
    seconds = 10 * 360 * 86400
    np.testing.assert_allclose(
        found.tendency * seconds, found.change_per_decade, rtol=1e-5, atol=1e-6
    )
    assert found.tendency.attrs["units"] == "K s-1"
    assert found.tendency.encoding["chunks"] == (240, 37, 49)
    # From the 1860s to the 2090s North America warms by some 5 K.
    assert 3 < float(found.change_per_decade.mean()) * 23.9 < 8


def test_history_grows_and_the_cluster_may_come_from_a_file(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    pool = window.ThreadPoolExecutor
    monkeypatch.setattr(
        window, "ThreadPoolExecutor", lambda size, **more: asked.append(size) or pool(size, **more)
    )
    Path("cluster.yaml").write_text("kind: threads\nworkers: 3")
    assert fdgrad("run", write(), "--cluster", "cluster.yaml")[0] == 0
    assert asked == [3]
    lines = xr.open_zarr("out.zarr").attrs["history"].splitlines()
    assert lines[0].endswith(f"cluster.yaml (fdgrad_dask {version('fdgrad_dask')})")
    assert lines[1] == "1999 made by hand"


def test_several_configs_are_done_in_order_until_one_fails(fdgrad: Called, write: Write) -> None:
    good = Path(write()).read_text()
    for name in "abd":
        Path(f"{name}.yaml").write_text(good.replace("out.zarr", f"{name}.zarr"))
    Path("c.yaml").write_text(good.replace("sst.zarr", "nothing.zarr").replace("out", "c"))
    code, out, err = fdgrad("check", "a.yaml", "b.yaml", "c.yaml", "d.yaml")
    assert code == 3
    assert [line for line in out.splitlines() if line[:6] in ("config", "target")] == [
        "config   a.yaml",
        "target   a.zarr",
        "config   b.yaml",
        "target   b.zarr",
    ]
    first, last = err.splitlines()
    assert first == "fdgrad: a.yaml, b.yaml done; c.yaml failed; d.yaml not begun"
    assert last.startswith("fdgrad: no source 'nothing.zarr'")
    assert fdgrad("check", "a.yaml", "b.yaml")[::2] == (0, "")


def test_the_runs_of_a_config_with_parameters(fdgrad: Called, write: Write) -> None:
    step = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "${dim}"}}
    parameters = {"dim": ["latitude", "longitude"]}
    path = write(steps=[step], target={"path": "${dim}.zarr"}, parameters=parameters)
    code, out, _ = fdgrad("run", path)
    assert code == 0
    assert "config   config.yaml (dim=latitude)\nread" in out
    for dim in parameters["dim"]:
        assert f"dsst_d{dim}" in xr.open_zarr(f"{dim}.zarr")
    assert fdgrad("run", path)[1].count("already complete") == 2


def test_a_mistake_in_the_last_config_stops_the_first(fdgrad: Called, write: Write) -> None:
    Path("b.yaml").write_text("steps: []")
    code, out, err = fdgrad("run", write(), "b.yaml")
    assert (code, out) == (2, "")
    assert "b.yaml: 3 errors" in err
    assert not Path("out.zarr").exists()


def test_a_config_from_standard_input_with_settings(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(write()).read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, _ = fdgrad("check", "-", "--set", "steps.0.options.dim=longitude", "--set", "a=1")
    assert (code, out) == (2, "")
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, _ = fdgrad("check", "-", "--set", "steps.0.options.dim=longitude")
    assert code == 0
    assert "step     gradient(sst, dim='longitude')" in out


def test_a_setting_is_part_of_what_a_target_is(fdgrad: Called, write: Write) -> None:
    assert fdgrad("run", write())[0] == 0
    setting = ("--set", "steps.0.options.dim=longitude")
    code, _, err = fdgrad("run", write(), *setting)
    assert code == 4
    assert "steps[0].options.dim (was latitude, is longitude)" in err
    assert fdgrad("verify", write(), *setting)[0] == 4
    assert fdgrad("verify", write())[0] == 0


def test_a_secret_in_a_setting_is_not_written(
    fdgrad: Called, write: Write, sst: xr.Dataset
) -> None:
    sst.chunk(time=2).to_zarr("memory://set/in.zarr", zarr_format=3, consolidated=False, mode="w")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_hidden", {})
        config = write(source={"path": "memory://set/in.zarr"}, report={"path": "r.html"})
        setting = "source.storage_options.secret=opensesame"
        code, out, err = fdgrad("run", config, "--set", setting)
    assert code == 0
    files = [path for path in Path().rglob("*") if path.is_file() and path.name != "config.yaml"]
    assert Path("r.html") in files
    assert [path for path in files if b"opensesame" in path.read_bytes()] == []
    assert "opensesame" not in out + err
    assert "secret=***" in xr.open_zarr("out.zarr").attrs["history"]


def test_every_source_chunk_is_read_once(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path("read.log").resolve()
    original = sources._read

    def counted(stored: Any, key: Any) -> Any:
        with log.open("a") as lines:  # the function is pickled on its way to the worker
            print(stored.name, key, file=lines)
        return original(stored, key)

    monkeypatch.setattr(sources, "_read", counted)
    step = {"operator": "gradient", "inputs": ["sst"]}
    steps = [
        {**step, "options": {"dim": ["time", "longitude"]}},
        {"operator": "gradient_magnitude", "inputs": ["sst"]},
    ]
    assert fdgrad("run", write(steps=steps))[0] == 0
    read = log.read_text().splitlines()
    assert len(read) == 4
    assert len(set(read)) == 4


def test_check_computes_nothing_and_tells_everything(
    fdgrad: Called, write: Write, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_read", lambda *_: pytest.fail("a chunk was read"))
    code, out, err = fdgrad("check", write(target={"path": "out.zarr", "chunks": {"time": 3}}))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"read     {source}",
        "         sst (time: 4, latitude: 5, longitude: 8) float32, K, 640 B, "
        "4 chunks of 2 × 5 × 4",
        "step     gradient(sst, dim='latitude')",
        "target   out.zarr",
        "         dsst_dlatitude (time: 4, latitude: 5, longitude: 8) float32, K degree-1, 640 B, "
        "4 chunks of 3 × 5 × 4",
    ]
    Path("out.zarr").mkdir()
    assert "out.zarr exists: run resumes it, or needs --fresh" in fdgrad("check", write())[1]


def test_operators_init_and_schema(fdgrad: Called) -> None:
    code, out, _ = fdgrad("operators")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if line[0] != " "] == operators.__all__
    code, out, _ = fdgrad("init")
    Path("init.yaml").write_text(out)
    assert (code, fdgrad("check", "init.yaml")[0]) == (0, 0)
    code, out, _ = fdgrad("schema")
    assert code == 0
    sections = {"source", "grid", "steps", "target", "cluster", "picture", "report", "parameters"}
    assert set(json.loads(out)["properties"]) == sections


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in ((["--version"], version("fdgrad_dask")), (["--help"], "operators")):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert text in said
        assert "\x1b" not in said  # no colours where nobody looks
    examples = re.findall(r"^  (fdgrad .*?)   ", said, re.MULTILINE)
    assert len(examples) == 3
    for line in examples:  # each is a command line that the parser takes
        command = shlex.split(line.partition(" >")[0])[1:]
        assert cli._parser().parse_args(command).command


QUICK = """
import sys
from fdgrad_dask.cli import main

for command in "--help", "--version", "init", "schema", "check wrong.yaml", "run nothing.yaml":
    try:
        main(command.split())
    except SystemExit:
        pass
    heavy = {"jax", "xarray", "numpy", "distributed", "zarr", "netCDF4"} & set(sys.modules)
    assert not heavy, (command, heavy)
"""


def test_what_computes_nothing_starts_without_arrays() -> None:
    Path("wrong.yaml").write_text("steps: [{operator: gradeint, inputs: a}]")
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no operator 'gradeint'; did you mean 'gradient'?" in done.stderr


def test_exit_2_a_wrong_command_line_or_config(fdgrad: Called, write: Write) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["rum", "config.yaml"])
    assert ended.value.code == 2
    code, out, err = fdgrad("run", write(sourc={}))
    assert (code, out) == (2, "")
    assert "line" in err
    assert "sourc: unknown key; did you mean 'source'?" in err
    code, _, err = fdgrad("run", write(picture={"path": "a.png", "variable": "nothing"}))
    assert code == 2
    assert "no step gives 'nothing'; there is: dsst_dlatitude" in err
    assert not Path("out.zarr.partial").exists()


def test_exit_3_an_input_that_is_not_there_or_damaged(
    fdgrad: Called, write: Write, source: str
) -> None:
    code, _, err = fdgrad("run", write(source={"path": "nothing.zarr"}))
    assert code == 3
    assert "no source 'nothing.zarr'" in err
    steps = [{"operator": "gradient", "inputs": ["sst"], "options": {"dim": "level"}}]
    code, _, err = fdgrad("run", write(steps=steps))
    assert code == 3
    assert "fdgrad: steps[0], gradient of sst: no dimension 'level'" in err
    assert "starting" not in err
    Path(source, "sst", "c", "1", "0", "0").write_bytes(b"no zstd")
    code, _, err = fdgrad("run", write())
    assert code == 3
    assert f"fdgrad: sst[2:4, 0:5, 0:4] of {source} cannot be read" in err
    assert "Traceback" not in err
    assert not Path("out.zarr").exists()


def test_exit_4_a_target_in_the_way(fdgrad: Called, write: Write) -> None:
    assert fdgrad("run", write())[0] == 0
    other = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "longitude"}}
    code, out, err = fdgrad("run", write(steps=[other]))
    assert (code, out) == (4, "")
    assert "out.zarr is the result of something else: " in err
    assert "steps[0].options.dim (was latitude, is longitude)" in err
    assert "run with --fresh to replace it, or name another target" in err
    assert fdgrad("run", write(steps=[other]), "--fresh")[0] == 0


def test_exit_4_a_file_system_that_takes_no_more(fdgrad: Called, write: Write) -> None:
    large = xr.Dataset({"a": (("y", "x"), np.random.default_rng(0).random((300, 300)))})
    large.chunk(y=100).to_zarr("large.zarr", zarr_format=3, consolidated=False)
    steps = [{"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}}]
    config = write(source={"path": "large.zarr"}, steps=steps)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60 * 2**10, hard))
    try:
        code, _, err = fdgrad("run", config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 4
    assert "out.zarr.partial" in err
    assert "cannot be written: a file may not be as large; raise ulimit -f" in err
    assert "Traceback" not in err
    assert not Path("out.zarr").exists()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("threads", "this process ran out of memory (no room); lower cluster.workers"),
        ("local", "a worker ran out of memory (no room); each has"),
    ],
)
def test_exit_5_no_memory(
    kind: str,
    message: str,
    fdgrad: Called,
    write: Write,
    on_a_cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_room(*_: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(sources, "_read", no_room)
    code, _, err = fdgrad("run", write(cluster={**on_a_cluster, "kind": kind}))
    assert code == 5
    assert message in err
    assert not Path("out.zarr").exists()


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("threads", signal.SIGHUP), ("local", signal.SIGINT)],
)
def test_exit_6_an_interrupt_reaches_all_processes_and_leaves_no_target(
    kind: str, sent: signal.Signals, write: Write
) -> None:
    Path("slow.py").write_text(SLOW)
    target = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}
    config = write(target=target, cluster={"kind": kind, "workers": 1, "threads": 1})
    with subprocess.Popen(
        [sys.executable, "slow.py", "run", config, "--fresh"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        assert any("computed" in said for said in running.stderr)  # up to there; it goes on
        os.killpg(running.pid, sent)
        _, err = running.communicate(timeout=120)  # of a busy machine
    assert running.returncode == 6, err
    told = r"fdgrad: interrupted, [012] of 4 regions are finished and kept. To resume: fdgrad run"
    assert re.search(told, err)
    assert "--fresh" not in err
    assert "Traceback" not in err
    assert not Path("out.zarr").exists()
    assert Path("out.zarr.partial").exists()


SLOW = """
import sys, time
from fdgrad_dask import cli
from fdgrad_dask.pipeline.source import open as source

def slow(stored, key):
    time.sleep(1)
    return original(stored, key)

if __name__ == "__main__":
    original, source._read = source._read, slow
    sys.exit(cli.main())
"""


@pytest.mark.parametrize("error", [MemoryError("9 GiB"), RuntimeError("can't start new thread")])
def test_exit_5_limits_of_the_process(
    error: Exception, fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(_: Any) -> str:
        raise error

    monkeypatch.setattr(conductor, "check", stumbles)
    code, _, err = fdgrad("check", write())
    assert code == 5
    assert f"out of memory or threads ({error}); raise ulimit -v and ulimit -u, or lower" in err


def test_exit_1_a_bug_of_ours(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(_: Any) -> str:
        raise KeyError("oops")

    monkeypatch.setattr(conductor, "check", stumbles)
    code, out, err = fdgrad("check", write())
    assert (code, out) == (1, "")
    assert "fdgrad: KeyError: 'oops'" in err
    assert "This is a bug of fdgrad, not of your config; please report it with what --debug" in err
    assert "Traceback" not in err
    assert "Traceback" in fdgrad("check", write(), "--debug")[2]
    assert "Traceback" in fdgrad("--debug", "check", write())[2]


def test_debug_shows_where_an_error_of_the_user_came_from(fdgrad: Called) -> None:
    code, _, err = fdgrad("run", "nothing.yaml", "--debug")
    assert code == 2
    assert "FileNotFoundError" in err
    assert err.splitlines()[-1].startswith("fdgrad: no file 'nothing.yaml'")


def test_only_a_process_of_its_own_stops_collecting_garbage(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only as long as it imports; a caller of ``main`` finds the collector as it was."""
    told: list[str] = []
    names = ("disable", "freeze", "enable")
    collector = SimpleNamespace(
        isenabled=lambda: "enable" in told or "disable" not in told,
        **{name: partial(told.append, name) for name in names},
    )
    monkeypatch.setattr(cli, "gc", collector)
    assert fdgrad("check", write())[0] == 0
    assert told == []
    monkeypatch.setattr(sys, "argv", ["fdgrad", "check", "config.yaml"])
    assert cli.main() == 0
    assert told == ["disable", "freeze", "enable", "freeze"]


def test_a_shell_completes_commands(tmp_path: Path) -> None:
    """By the protocol of argcomplete: the line and the cursor in the environment, words on 8."""
    pytest.importorskip("argcomplete", reason="completion is an extra")
    line = "fdgrad ver"
    environment = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    environment |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "words"), "IFS": " "}
    subprocess.run(
        [sys.executable, "-c", "from fdgrad_dask.cli import main; main()"],
        env=os.environ | environment,
        check=True,
    )
    assert (tmp_path / "words").read_text().split() == ["verify"]
