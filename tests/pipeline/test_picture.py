"""The picture: refused early, drawn with what CF says about the axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.schema import Picture
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.report import picture as pictures

TARGET = Target(path="out.zarr")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Figure]:
    """Writes a dataset, draws one variable of it and gives the figure back."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)

    def draw(dataset: xr.Dataset, **options: Any) -> Figure:
        dataset.to_zarr(TARGET.path, consolidated=False, write_empty_chunks=True)
        pictures.draw(Picture(path="deep/map.png", variable="sst", **options), TARGET)
        return figures[-1]

    return draw


def texts(figure: Figure) -> tuple[str, list[str], list[str]]:
    axes = figure.axes[0]
    labels = [
        [text.get_text() for text in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis)
    ]
    return axes.get_title(), labels[0], labels[1]


def test_a_map_has_degrees_a_title_and_a_colour_bar(
    drawn: Callable[..., Figure], sst: xr.Dataset
) -> None:
    figure = drawn(sst, mean=["time"])
    title, x, y = texts(figure)
    assert title == "Sst, mean over time, 2000-01-01 to 2000-04-01"
    assert "60°E" in x
    assert {"12°S", "0°", "12°N"} <= set(y)
    assert figure.axes[1].get_ylabel() == "sst [K]"
    with Image.open("deep/map.png") as image:
        assert image.size[0] > 1000
        assert len(image.convert("L").getcolors()) > 20


def test_longitude_lies_along_the_page_however_it_is_stored(
    drawn: Callable[..., Figure], sst: xr.Dataset
) -> None:
    _, x, y = texts(drawn(sst.transpose("longitude", "latitude", ...), mean=["time"]))
    assert "60°E" in x
    assert "12°N" in y


def test_both_signs_share_the_middle_and_missing_is_grey(
    drawn: Callable[..., Figure], sst: xr.Dataset
) -> None:
    field = (sst.sst - 300).where(sst.latitude < 15)
    figure = drawn(field.to_dataset(name="sst"), mean=["time"], title="Mine")
    mesh = figure.axes[0].collections[0]
    low, high = mesh.get_clim()
    assert low == -high
    assert mesh.get_cmap().name == "RdBu_r"
    assert figure.axes[0].get_facecolor()[:3] == (0.85, 0.85, 0.85)
    assert figure.axes[0].get_title() == "Mine"


def test_outliers_do_not_wash_the_colours_out(
    drawn: Callable[..., Figure], sst: xr.Dataset
) -> None:
    values = np.ones((100, 100))
    values[0, 0] = 1e6
    values[1:, 1:] += np.linspace(0, 1, 99)
    figure = drawn(xr.Dataset({"sst": (("y", "x"), values)}))
    low, high = figure.axes[0].collections[0].get_clim()
    assert low == 1
    assert high <= 2
    assert figure.axes[0].get_title() == "Sst"
    assert figure.axes[0].get_xlabel() == "x"


def test_a_section_through_time_and_depth(drawn: Callable[..., Figure]) -> None:
    times = xr.date_range("2000-01-30", periods=4, freq="YS", calendar="360_day", use_cftime=True)
    dataset = xr.Dataset(
        {"sst": (("level", "time"), np.arange(12.0).reshape(3, 4))},
        coords={"time": times, "level": ("level", [1, 5, 9], {"units": "m", "positive": "down"})},
    )
    axes = drawn(dataset).axes[0]
    assert axes.get_ylabel() == "level [m]"
    assert axes.yaxis_inverted()
    assert 2000 < axes.get_xlim()[0] + 1 < 2003


def test_nothing_but_missing_values(drawn: Callable[..., Figure], sst: xr.Dataset) -> None:
    drawn(sst[["sst"]] * np.nan, mean=["time"])
    assert Path("deep/map.png").exists()


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


def test_a_picture_that_cannot_be_written(drawn: Callable[..., Figure], sst: xr.Dataset) -> None:
    Path("deep").write_text("a file")
    with pytest.raises(
        OutputError,
        match=r"deep/map.png cannot be written .*, but the target out.zarr is complete;",
    ):
        drawn(sst, mean=["time"])
