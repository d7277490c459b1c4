"""What ``da.fdgrad`` and ``ds.fdgrad`` print, before anything is computed."""

from __future__ import annotations

from html.parser import HTMLParser

import dask.array
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd  # noqa: F401  (registers the accessors)

BOUNDARY = "one-sided at both ends, unless the axis is periodic or boundary= says otherwise"
SCALARS = "gradient, gradient_magnitude, horizontal_gradient, laplacian"
ON_THE_GLOBE = SCALARS.replace("laplacian", "inverse_laplacian, laplacian, truncate")
GLOBE = "spherical harmonics need 1-D longitude and latitude over the complete globe"


def unread(shape, **chunks):
    """A lazy array that must not be computed."""

    def refuse(block):
        raise AssertionError("computed")

    made = dask.array.zeros(shape, "f4", **chunks)
    return made.map_blocks(refuse, dtype="f4", meta=np.empty((0,) * len(shape), "f4"))


def field(data, dims="yx", name="f", attrs=None, **coords):
    return xr.DataArray(data, dims=tuple(dims), name=name, attrs=attrs, coords=coords)


def globe(data, name="t", **attrs):
    time = np.array(["2000-01-01", "2000-01-02", "2000-01-04"], "M8[ns]")
    return field(
        data,
        ("time", "lat", "lon"),
        name,
        attrs,
        time=time,
        lat=("lat", np.arange(-90.0, 91, 10), {"units": "degrees_north"}),
        lon=("lon", np.arange(0.0, 360, 10), {"units": "degrees_east"}),
    )


def expected(text):
    return text.strip("\n")


def test_a_global_lazy_field():
    t = globe(unread((3, 19, 36), chunks=(1, 19, 12)), units="K")
    assert repr(t.fdgrad) == expected(f"""
<fdgrad: t (time: 3, lat: 19, lon: 36) float32 in K>
  axes       time: dates, unevenly spaced
             lat: y, degrees_north, evenly spaced
             lon: x, periodic in horizontal operators, degrees_east, evenly spaced
  grid       sphere, Earth radius 6371229 m
  boundary   {BOUNDARY}
  data       dask of NumPy, 9 chunks of (1, 19, 12)
  operators  {ON_THE_GLOBE}
             not geostrophic_wind: 't' has the units 'K', a geostrophic wind needs a geopotential (m2 s-2) or a geopotential height (m)
""")  # noqa: E501


def test_a_projected_plane():
    km = {"units": "km"}
    x = ("x", np.array([0.0, 1, 3, 4]), {**km, "axis": "X"})
    h = field(
        np.zeros((3, 4)), attrs={"units": "m"}, x=x, y=("y", np.arange(3.0), {**km, "axis": "Y"})
    )
    assert repr(h.fdgrad) == expected(f"""
<fdgrad: f (y: 3, x: 4) float64 in m>
  axes       y: y, km, evenly spaced
             x: x, km, unevenly spaced
  grid       plane, x and y in units of 1000 m
  boundary   {BOUNDARY}
  data       NumPy
  operators  {SCALARS}
             not geostrophic_wind: the Coriolis parameter of 'f' needs a latitude, but its axis 'y' is none
             not inverse_laplacian, truncate: the geometry of 'f' is Plane, but {GLOBE}
""")  # noqa: E501


def test_jax_on_a_curvilinear_grid():
    lat, lon = np.meshgrid(np.arange(3.0) * 4, np.arange(4.0) * 3, indexing="ij")
    sst = field(
        jnp.zeros((3, 4)),
        "ji",
        attrs={"units": "m"},
        lat=(("j", "i"), lat + lon / 10, {"units": "degrees_north"}),
        lon=(("j", "i"), lon, {"units": "degrees_east"}),
    )
    assert repr(sst.fdgrad) == expected(f"""
<fdgrad: f (j: 3, i: 4) float32 in m>
  axes       j: y, no coordinate, unit spacing
             i: x, no coordinate, unit spacing
  grid       curvilinear, Earth radius 6371229 m
  boundary   {BOUNDARY}
  data       JAX on {jax.devices()[0]}
  operators  geostrophic_wind, {SCALARS}
             not inverse_laplacian, truncate: the geometry of 'f' is Curvilinear, but {GLOBE}
""")


def test_without_a_horizontal_grid():
    f = field(np.zeros((3, 4)), x=np.arange(4.0), y=[0.0, 1, 1])
    lines = repr(f.fdgrad).splitlines()
    assert lines[1] == "  axes       y: not usable: coordinate 'y' repeats 1.0 at positions 1 and 2"
    assert lines[2] == "             x: evenly spaced"
    reason = "the horizontal axes of 'f' cannot be inferred from its coordinates ('x', 'y')"
    assert lines[3] == f"  grid       not recognised: {reason}"
    assert lines[6] == "  operators  gradient"
    assert f"not {ON_THE_GLOBE.removeprefix('gradient, ')}: {reason}" in lines[-1]


def test_a_mistake_beyond_the_points_that_are_tried_is_found():
    f = globe(np.zeros((3, 19, 36)))
    f = f.assign_coords(lat=f.lat.where(f.lat < 80))
    *_, last = repr(f.fdgrad).splitlines()
    assert "inverse_laplacian, laplacian, truncate: coordinate 'lat' holds" in last


def test_a_dataset_says_which_fields_are_a_wind():
    zeros = unread((3, 19, 36), chunks=-1)
    wind = {"units": "m s-1"}
    ds = xr.Dataset(
        {
            "U": globe(zeros, "U", standard_name="eastward_wind", **wind),
            "V": globe(zeros, "V", standard_name="northward_wind", **wind),
            "t": globe(zeros, "t", units="K"),
        }
    )
    lines = repr(ds.fdgrad).splitlines()
    assert lines[0] == "<fdgrad: Dataset of U in m s-1, V in m s-1, t in K>"
    assert "  components    U eastward and V northward" in lines
    assert f"  each of U, V  {ON_THE_GLOBE}" in lines
    scalars = "absolute_vorticity, deformation, divergence, divergent_wind, helmholtz, kinematics"
    parts = "rotate_to_earth, rotate_to_grid, rotational_wind, stream_function, velocity_potential"
    assert f"  U, V          {scalars}, {parts}, vorticity" in lines
    assert "  U, V, t       advection, frontogenesis" in lines
    assert "q_vector: the vertical axis of 'U' cannot be inferred" in lines[-1]


@pytest.mark.parametrize(
    "anything",
    [
        xr.Dataset(),
        xr.DataArray(3.0),
        xr.DataArray(["a", "b"], dims="x"),
        xr.DataArray(np.zeros((0, 2)), dims=("a", "b")),
        xr.Dataset({"s": ("x", ["a", "b"])}),
    ],
)
def test_it_never_raises(anything):
    assert repr(anything.fdgrad).startswith("<fdgrad: ")


def test_under_jit():
    said = []

    @jax.jit
    def trace(values):
        said.append(repr(field(values).fdgrad))
        return values

    trace(jnp.zeros((2, 3)))
    assert "data       JAX, traced" in said[0]


TAGS = {"div", "strong", "table", "tr", "th", "td", "br", "details", "summary", "ul", "li"}


class Table(HTMLParser):
    """The cells of a table by their heading, what is folded away, and tags that must be closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.shown, self.folded, self.heading = [], {}, {}, None
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not {"href", "src", "onclick", "onload"} & dict(attrs).keys()
        assert "color" not in str(attrs)
        assert tag in TAGS
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] == "th":
            self.heading = data
        elif self.open[-1] == "td":
            self.shown.setdefault(self.heading, []).append(data)
        elif self.open[-1] == "li":
            self.folded.setdefault(self.heading, []).append(data)


def rows_of(text):
    """The rows of the text, by their names."""
    rows, name, lines = {}, "", text.splitlines()[1:]
    width = lines[0].index("time: ")
    for line in lines:
        name = line[2:width].strip() or name
        rows.setdefault(name, []).append(line[width:])
    return rows


@pytest.mark.parametrize("kind", ["field", "dataset"])
def test_a_notebook_shows_what_the_text_says(kind):
    t = globe(unread((3, 19, 36), chunks=(1, 19, 12)), units='<K & "co">')
    shown = t if kind == "field" else xr.Dataset({"t": t, "<b>": t, "x'": t.astype("f8")})
    text, table = repr(shown.fdgrad), Table(shown.fdgrad._repr_html_())
    rows = rows_of(text)
    assert table.shown.keys() == rows.keys()
    for name, texts in rows.items():
        folded = table.folded.get(name, [])
        assert table.shown[name] + folded == texts
    assert any(text.startswith("not geostrophic_wind: ") for [text] in table.folded.values())
