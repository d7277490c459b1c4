"""`fdgrad info` and `fdgrad init`: a store described, and a config made for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import model_cases
import model_grids
import numpy as np
import pytest
import xarray as xr
import yaml

from fdgrad_dask.pipeline.config import redaction
from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.planning.starter import info, init
from fdgrad_dask.pipeline.source import formats

Called = Callable[..., tuple[int, str, str]]

CONFIGS = Path(__file__).parents[2] / "configs"


def regular() -> xr.Dataset:
    """A wind, a temperature, what is no field, and a name that YAML takes for something else."""
    ds = model_grids.flow_on(model_grids.HALF_STEP, model_grids.CIRCLE).drop_vars("true")
    bounds = xr.zeros_like(ds.u).isel(lon=[0, 1], drop=True).rename(lon="bnds")
    ds = ds.assign(null=ds.u.assign_attrs(units="K", standard_name="air_temperature"))
    ds = ds.assign(lat_bnds=bounds, label=("lat", ["a"] * ds.sizes["lat"]))
    ds.lat.attrs["bounds"] = "lat_bnds"
    return ds


def curvilinear() -> xr.Dataset:
    lat, lon = np.meshgrid(np.arange(3.0) * 4, np.arange(4.0) * 3, indexing="ij")
    ds = model_grids.rotation_on(lat + lon / 10, lon).drop_vars("true")
    places = {"lat": (("y", "x"), lat + lon / 10, model_grids.NORTH)}
    return ds.assign_coords(places | {"lon": (("y", "x"), lon, model_grids.EAST)})


def projected() -> xr.Dataset:
    return model_grids.projected(model_grids.LAMBERT)[0].to_dataset()


def staggered() -> xr.Dataset:
    """Two levels of MOM6, with some of its cell sizes."""
    ds = model_cases.mom6(12).ds[["uo", "vo", "thetao", "dxCu", "dyCv", "areacello_bu"]]
    return ds.assign({name: ds[name].expand_dims(z_l=[0.0, 1.0]) for name in ("uo", "vo")})


GRIDS = {
    "lat/lon": (regular, ["vorticity", "gradient_magnitude"], "sphere, Earth radius"),
    "curvilinear": (curvilinear, ["vorticity"], "curvilinear, Earth radius"),
    "projected": (projected, ["gradient_magnitude"], "(lambert_conformal_conic)"),
    "staggered": (staggered, ["vorticity", "gradient_magnitude"], "MOM6: the dimensions xh, xq"),
}


@pytest.mark.parametrize("kind", GRIDS)
def test_a_store_is_shown_and_gets_a_config_that_check_accepts(
    kind: str, fdgrad: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, operators, grid = GRIDS[kind]
    dataset = make()
    dataset.to_zarr("in.zarr", zarr_format=2, consolidated=False)
    with monkeypatch.context() as patch:
        patch.setattr(formats.StoredArray, "_read", read_no_field)
        code, shown, complaint = fdgrad("info", "in.zarr")
        assert (code, complaint) == (0, "")
        assert shown.startswith("read     in.zarr\n<fdgrad: Dataset of ")
        assert grid in shown
        assert "not loaded, stored in chunks of (" in shown
        code, text, complaint = fdgrad("init", "in.zarr")
        assert (code, complaint) == (0, "")
    Path("made.yaml").write_text(text)
    config = load("made.yaml")
    assert [step.operator for step in config.steps] == operators
    code, checked, complaint = fdgrad("check", "made.yaml")
    assert (code, complaint) == (0, "")
    assert f"step     {operators[0]}(" in checked
    chunks = [dataset[name].sizes for step in config.steps for name in step.inputs]
    named = {"z_l", "yh", "xh"} if kind == "staggered" else set(chunks[0])
    assert config.target.chunks == {dim: max(n.get(dim, 0) for n in chunks) for dim in named}
    for line in shown.splitlines():
        if "Earth radius" in line:
            assert f"# {line}" in text.splitlines()


READ = formats.StoredArray._read
FIELDS = {"u", "v", "null", "f", "uo", "vo", "thetao"}


def read_no_field(stored: formats.StoredArray, key: tuple) -> np.ndarray:
    """In place of what reads a variable: coordinates and cell sizes may be read, fields not."""
    assert stored.name not in FIELDS
    return READ(stored, key)


def test_what_is_not_the_first_is_a_comment_that_can_be_taken_in(fdgrad: Called) -> None:
    dataset = regular().rename(u="u wind", v="v wind")
    dataset["vorticity"] = dataset["null"].drop_attrs(deep=False)
    dataset.to_netcdf("in.nc")
    text = fdgrad("init", "in.nc")[1]
    assert "# For completion in editors: fdgrad schema > fdgrad.schema.json" in text
    start = text.index("\nsteps:")
    end = text.index("\ntarget:")
    taken = text[:start] + text[start:end].replace("\n  # ", "\n  ") + text[end:]
    Path("all.yaml").write_text(taken)
    steps = yaml.safe_load(taken)["steps"]
    assert [(step["operator"], step["inputs"], step["output"]) for step in steps] == [
        ("vorticity", ["u wind", "v wind"], "vorticity_u_wind_v_wind"),
        ("gradient_magnitude", ["null"], "gradient_magnitude_null"),
        ("gradient_magnitude", ["vorticity"], "gradient_magnitude_vorticity"),
    ]
    assert fdgrad("check", "all.yaml")[::2] == (0, "")


def test_stores_of_other_kinds_groups_and_series(
    fdgrad: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = xr.Dataset(
        {"sea level": ("time", np.zeros(3), {"units": "m"})},
        {"time": np.array(["2000-01-01", "2000-02-01", "2000-03-01"], "M8[ns]")},
    )
    memory = dataset.rename({"sea level": "level"})
    memory.to_zarr("memory://seen/in.zarr", group="tide", zarr_format=3, consolidated=False)
    code, shown, _ = fdgrad("info", "memory://seen/in.zarr")
    assert code == 0
    assert "a group is named by --set source.group=NAME" in shown
    given = ("--set", "source.group=tide", "--set", "source.storage_options.key=opensesame")
    with monkeypatch.context() as patch:
        patch.setattr(redaction, "_hidden", {})
        code, text, _ = fdgrad("init", "memory://seen/in.zarr", *given)
    assert code == 0
    assert "opensesame" not in text
    assert "\n  # storage_options: " in text
    Path("made.yaml").write_text(text)
    assert yaml.safe_load(text)["source"] == {"path": "memory://seen/in.zarr", "group": "tide"}
    assert yaml.safe_load(text)["steps"][0]["options"] == {"dim": "time"}
    assert fdgrad("check", "made.yaml")[::2] == (0, "")
    dataset.to_netcdf("a-1.nc")
    dataset.assign_coords(time=dataset.time + np.timedelta64(90, "D")).to_netcdf("a-2.nc")
    assert "time: dates" in fdgrad("info", "a-*.nc")[1]
    text = fdgrad("init", "a-*.nc")[1]
    assert yaml.safe_load(text)["source"] == {"path": "a-*.nc"}


def test_what_cannot_be_opened_or_holds_no_field(fdgrad: Called) -> None:
    code, out, complaint = fdgrad("info", "nothing.zarr")
    assert (code, out) == (3, "")
    assert complaint.startswith("fdgrad: no source 'nothing.zarr'")
    xr.Dataset({"name": ("x", ["a", "b"])}).to_netcdf("names.nc")
    code, out, complaint = fdgrad("init", "names.nc")
    assert (code, out) == (3, "")
    assert complaint.endswith("applies to; see why with fdgrad info names.nc\n")
    code, out, complaint = fdgrad("info", "names.nc", "--set", "source.grup=a")
    assert (code, out) == (2, "")
    assert "source.grup: unknown key; did you mean 'group'?" in complaint


def test_editors_can_check_the_configs_by_the_schema(fdgrad: Called) -> None:
    schema = json.loads(fdgrad("schema")[1])
    Path("fdgrad.schema.json").write_text(json.dumps(schema))
    made = fdgrad("init", "sample:rotated_pole.nc")[1]
    assert made.startswith("# yaml-language-server: $schema=fdgrad.schema.json\n")
    check = jsonschema.Draft202012Validator(schema)
    for text in (made, *(path.read_text() for path in sorted(CONFIGS.glob("*.yaml")))):
        check.validate(yaml.safe_load(text))
    wrong = yaml.safe_load(made.replace("gradient_magnitude\n", "gradeint\n", 1))
    assert [error.json_path for error in check.iter_errors(wrong)] == ["$.steps[0].operator"]


def series(count: int) -> xr.Dataset:
    """So many temperatures on a plane, in chunks of 4 × 5."""
    length = {"units": "m"}
    coords = {"y": ("y", 2.0 * np.arange(8), length), "x": ("x", 3.0 * np.arange(10), length)}
    fields = {f"t{number:02}": (("y", "x"), np.zeros((8, 10))) for number in range(count)}
    return xr.Dataset(fields, coords)


@pytest.mark.parametrize(("count", "more"), [(1, 0), (2, 0), (8, 0), (9, 1), (12, 4)])
def test_two_steps_are_written_and_six_in_comments(count: int, more: int) -> None:
    made = series(count)
    made.to_netcdf("in.nc", encoding={"t00": {"chunksizes": (4, 5)}})
    text = init("in.nc")
    written = yaml.safe_load(text)
    outputs = [f"gradient_magnitude_t{number:02}" for number in range(min(count, 2))]
    outputs = outputs if count > 1 else ["gradient_magnitude"]
    assert [step["output"] for step in written["steps"]] == outputs
    lines = text.splitlines()
    commented = [line for line in lines if line.startswith("  # - operator: gradient_magnitude")]
    assert len(commented) == min(max(count - 2, 0), 6)
    said = f"  # {more} more are possible; `fdgrad info` shows all fields and their operators"
    assert (said in lines) == (more > 0)
    assert len([line for line in lines if "more are possible" in line]) == (more > 0)
    if count == 1:
        assert "  chunks: {y: 4, x: 5} # as the source is stored" in lines


NAMES = {
    "my data-1.v2.zarr": ("my_data_1", '"my data-1.v2.zarr"'),
    "deep/in.zarr/": ("in", "deep/in.zarr/"),
    "---.zarr": ("source", '"---.zarr"'),
    "1.zarr": ("1", '"1.zarr"'),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_target_is_called_after_the_source(name: str) -> None:
    stem, shown = NAMES[name]
    series(1).to_zarr(name, zarr_format=3, consolidated=False)
    text = init(name)
    assert yaml.safe_load(text)["target"]["path"] == f"out/{stem}_derivatives.zarr"
    assert f"\n  path: {shown}\n" in text


def test_settings_and_odd_names_are_read_as_they_were_given() -> None:
    """YAML takes null, true, 1 and words with a colon and a space for something else."""
    names = {"t00": "true", "t01": "a b", "t02": "Null"}
    made = series(3).rename(names).rename(x="1", y="no: y")
    made["1"].attrs, made["no: y"].attrs = {"units": "K"}, {"units": "K"}
    made.to_zarr("in.zarr", group="g", zarr_format=3, consolidated=False)
    text = init("in.zarr", ["source.group=g", "source.decode_times=false"])
    source = yaml.safe_load(text)["source"]
    assert source == {"path": "in.zarr", "group": "g", "decode_times": False}
    taken = text.replace("\n  # ", "\n  ")
    start, end = taken.index("\nsteps:"), taken.index("\ntarget:")
    steps = yaml.safe_load(taken[start:end])["steps"]
    assert {step["inputs"][0] for step in steps} == set(names.values())
    assert {step["options"]["dim"] for step in steps} <= {"1", "no: y"}
    assert all(isinstance(step["output"], str) for step in steps)


def test_of_an_empty_store_groups_are_told() -> None:
    xr.Dataset().to_zarr("in.zarr", zarr_format=3, consolidated=False)
    told = "\nno variables at the top; a group is named by --set source.group=NAME"
    assert info("in.zarr").endswith(told)
    series(1).to_zarr("full.zarr", zarr_format=3, consolidated=False)
    assert "no variables" not in info("full.zarr")
    assert info("full.zarr").startswith("read     full.zarr\n<fdgrad: Dataset of ")
