"""The picture: refused early, drawn with what CF says about the axes, in bounded memory."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from PIL import Image

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.schema import Picture
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.report import page as pictures
from fdgrad_dask.pipeline.report.chart import draw_field
from fdgrad_dask.pipeline.source import open as sources

TARGET = Target(path="out.zarr")
PICTURE = Picture(path="deep/map.png", variable="sst", mean=("time",))


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written to files."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def draw(field: xr.DataArray) -> Figure:
    figure = draw_field(field, 11, (3.4, 7), "right")
    figure.draw_without_rendering()
    return figure


def ticks(figure: Figure) -> list[list[str]]:
    axes = figure.axes[0]
    return [
        [text.get_text() for text in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis)
    ]


def test_a_map_has_degrees_a_title_and_a_colour_bar(saved: list[Figure], sst: xr.Dataset) -> None:
    sst.to_zarr(TARGET.path, consolidated=False)
    pictures.draw(PICTURE, TARGET)
    figure = saved[0]
    x, y = ticks(figure)
    assert figure.axes[0].get_title() == "Sst, mean over time, 2000-01-01 to 2000-04-01"
    assert "60°E" in x
    assert {"12°S", "0°", "12°N"} <= set(y)
    assert (figure.axes[0].get_ylim(), figure.axes[0].get_xlim()) == ((-25, 25), (-5, 75))
    assert figure.axes[1].get_ylabel() == "sst [K]"
    mesh = figure.axes[0].collections[0]
    assert_allclose(mesh.get_array(), sst.sst.mean("time"), rtol=1e-6)
    with Image.open("deep/map.png") as image:
        assert image.size[0] > 1000
        assert len(image.convert("L").getcolors()) > 20


def test_a_large_mean_is_read_once_and_chunk_by_chunk(
    saved: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).random((40, 2, 4000), np.float32)
    dataset = xr.Dataset({"sst": (("time", "y", "x"), values)})
    dataset.chunk(time=1, x=2000).to_zarr(TARGET.path, consolidated=False)
    read, lock = sources._read, threading.RLock()
    starts: list[tuple[int, ...]] = []
    held, most = 0, 0

    def release() -> None:
        nonlocal held
        with lock:
            held -= 1

    def count(lazy: Any, key: tuple[slice, ...]) -> Any:
        nonlocal held, most
        chunk = read(lazy, key).copy()
        with lock:
            starts.append(tuple(part.start for part in key))
            held += 1
            most = max(most, held)
        weakref.finalize(chunk, release)
        return chunk

    monkeypatch.setattr(sources, "_read", count)
    pictures.draw(PICTURE.model_copy(update={"title": "Mine"}), TARGET)
    assert saved[0].axes[0].get_title() == "Mine"
    assert sorted(starts) == [(time, 0, x) for time in range(40) for x in (0, 2000)]
    assert most <= 8  # of 80: those of four threads, and what a thread is about to let go
    drawn = saved[0].axes[0].collections[0].get_array()
    assert drawn.shape == (2, 1334)
    assert_allclose(drawn, values[:, :, ::3].mean(0), rtol=1e-5)


def test_longitude_lies_along_the_page_however_it_is_stored(sst: xr.Dataset) -> None:
    x, y = ticks(draw(sst.sst[0].transpose("longitude", "latitude")))
    assert "60°E" in x
    assert "12°N" in y


def test_both_signs_share_the_middle_and_missing_is_grey(sst: xr.Dataset) -> None:
    axes = draw((sst.sst[0] - 300).where(sst.latitude < 15)).axes[0]
    low, high = axes.collections[0].get_clim()
    assert low == -high
    assert axes.collections[0].get_cmap().name == "RdBu_r"
    assert axes.get_facecolor()[:3] == (0.85, 0.85, 0.85)


def test_outliers_do_not_wash_the_colours_out() -> None:
    values = np.ones((100, 100))
    values[0, 0] = 1e6
    values[1:, 1:] += np.linspace(0, 1, 99)
    figure = draw(xr.DataArray(values, dims=("y", "x"), name="sst"))
    low, high = figure.axes[0].collections[0].get_clim()
    assert low == 1
    assert high <= 2
    assert figure.axes[0].get_xlabel() == "x"


def test_a_section_through_time_and_depth() -> None:
    times = xr.date_range("2000-01-30", periods=4, freq="YS", calendar="360_day", use_cftime=True)
    levels = ("level", [1, 5, 9], {"units": "m", "positive": "down"})
    values = np.arange(12.0).reshape(3, 4)
    section = xr.DataArray(values, {"level": levels, "time": times}, ("level", "time"), "sst")
    axes = draw(section).axes[0]
    assert axes.get_ylabel() == "level [m]"
    assert axes.yaxis_inverted()
    assert 2000 < axes.get_xlim()[0] + 1 < 2003


def test_an_axis_of_names_and_one_that_does_not_ascend() -> None:
    names = np.array(["north", "south"], object)
    values = np.arange(8.0).reshape(2, 4)
    coords = {"basin": names, "lon": [0, 90, -180, -90]}
    with pytest.warns(UserWarning, match="not monotonically"):
        axes = draw(xr.DataArray(values, coords, ("basin", "lon"), "sst")).axes[0]
    assert axes.get_ylabel() == "basin"


def test_nothing_but_missing_values(sst: xr.Dataset) -> None:
    assert draw(sst.sst[0] * np.nan).axes[0].collections


REFUSED = [
    ({"variable": "sts"}, r"picture.variable: no step gives 'sts'; did you mean 'sst'\?"),
    ({"mean": ["tim"]}, r"picture.mean: no dimension 'tim'; did you mean 'time'\?"),
    (
        {},
        r"picture.mean leaves 3 dimensions of 'sst' \(time, latitude, longitude\), a picture needs "
        r"2; choose from time, latitude, longitude",
    ),
    ({"mean": ["time", "latitude"]}, r"picture.mean leaves 1 dimensions of 'sst' \(longitude\)"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_drawn_is_refused(
    options: dict[str, Any], message: str, sst: xr.Dataset
) -> None:
    picture = Picture(**{"path": "map.png", "variable": "sst", **options})
    with pytest.raises(ConfigError, match=message):
        pictures.require_drawable(picture, sst)


def test_it_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.require_matplotlib("report")
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError,
        match=r"the report needs matplotlib, which is not installed; pip install "
        r"'fdgrad_dask\[plot\]', or leave the section report out",
    ):
        pictures.require_matplotlib("report")


def test_a_picture_that_cannot_be_written(sst: xr.Dataset) -> None:
    sst.to_zarr(TARGET.path, consolidated=False)
    Path("deep").write_text("a file")
    with pytest.raises(
        OutputError,
        match=r"deep/map.png cannot be written .*, but the target out.zarr is complete;",
    ):
        pictures.draw(PICTURE, TARGET)
