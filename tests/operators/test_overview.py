"""What ``da.fdgrad`` and ``ds.fdgrad`` print, before anything is computed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import dask.array
import jax
import jax.numpy as jnp
import model_cases as cases
import numpy as np
import pytest
import xarray as xr
from tripolar import tripolar

import fdgrad_dask as fd  # noqa: F401  (registers the accessors)
from fdgrad_dask.operators.overview_data import describe_data, describe_layout

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


def test_fields_that_differ_are_named():
    """Their data and grids, one line each; a vertical axis is said to be one."""
    levels = {"level": ("level", [500.0, 700.0, 850.0], {"units": "hPa"})}
    t = globe(np.zeros((3, 19, 36))).rename(time="level").assign_coords(levels)
    ds = xr.Dataset({"t": t, "p": globe(unread((3, 19, 36), chunks=-1))[0].drop_vars("time")})
    lines = repr(ds.fdgrad).splitlines()
    assert lines[1].split("  ")[-1] == "level: vertical, hPa, unevenly spaced"
    start = next(i for i, line in enumerate(lines) if line.startswith("  data "))
    assert [line.split("  ")[-1] for line in lines[start : start + 2]] == [
        "t: NumPy",
        "p: dask of NumPy, 1 chunk of (19, 36)",
    ]


def test_chunks_of_a_file_are_said_while_it_is_not_loaded(tmp_path):
    globe(np.zeros((3, 19, 36))).to_netcdf(tmp_path / "t.nc")
    with xr.open_dataarray(tmp_path / "t.nc", engine="netcdf4") as t:
        assert "  data       not loaded\n" in repr(t.fdgrad)
        t.encoding["preferred_chunks"] = {"time": 1, "lat": (10, 9)}  # as a backend may say it
        assert "  data       not loaded, stored in chunks of (1, 10, 36)\n" in repr(t.fdgrad)
        assert "  data       NumPy\n" in repr(t.load().fdgrad)
    assert describe_data(t.chunk(lat=10)) == "dask of NumPy, 2 chunks of (3, 10, 36)"


def rows_of_operators(ds):
    return [" ".join(line.split()) for line in repr(ds.fdgrad).splitlines()]


def test_operators_on_a_staggered_grid_are_tried_there():
    rows = rows_of_operators(cases.mitgcm(6).ds.drop_vars("THETA"))
    assert f"UVEL {SCALARS}" in rows
    here = "absolute_vorticity, deformation, divergence, kinematics, vorticity"
    assert f"UVEL, VVEL {here}" in rows
    apart = "stream_function, velocity_potential: 'UVEL' and 'VVEL' lie on different points"
    assert any(row.startswith("not divergent_wind, ") and apart in row for row in rows)


def test_of_fields_that_may_lie_anywhere_it_says_so():
    """As of NEMO, where all have the same dimensions, once what named their coordinates is lost."""
    ds = cases.nemo(6).ds.rename(uo="u", vo="v", depthu="du", depthv="dv", deptht="dt")
    for name in ("u", "v", "thetao"):
        ds[name].encoding = {}
        ds[name].attrs = {"units": "m s-1"}
    rows = rows_of_operators(ds)
    assert "thetao gradient" in rows
    assert rows[-2] == "u, v none"
    unknown = "nothing says on which points of the staggered grid (NEMO: e1u, e2u, e1v over y, x)"
    assert re.fullmatch(f"not absolute_vorticity, .*: {re.escape(unknown)} 'u', 'v' lie", rows[-1])
    assert rows[-3].endswith(
        "the horizontal axes of 'thetao' cannot be inferred from its coordinates ('dt',)"
    )


def test_a_cube_needs_one_of_its_faces():
    cube = cases.mitgcm(6).ds.expand_dims
    assert describe_layout(cube(face=2)) == ["select one face first: .isel(face=0)"]
    assert describe_layout(cube(tile=1))[0] == "COMODO: c_grid_axis_shift of 'i_g' and 'j_g'"
    assert describe_layout(globe(np.zeros((3, 19, 36))).to_dataset()) == []


def test_a_fold_is_looked_for_in_what_is_loaded():
    ds, _ = tripolar(16)
    mesh = {n: ds[c].drop_vars(["lat", "lon"]) for c, n in (("lon", "glamt"), ("lat", "gphit"))}
    mesh |= {"glamu": mesh["glamt"] + 1.0, "gphiu": mesh["gphit"]}
    nemo = xr.Dataset(mesh).assign(thetao=(("deptht", "y", "x"), ds.s.values[None], ds.s.attrs))
    folded = (
        "y: center y, right y, open ends, with a fold beyond its last row "
        "(boundary={'x': 'periodic', 'y': (None, 'fold')} uses it)"
    )
    assert folded in describe_layout(nemo)
    assert folded in describe_layout(nemo.transpose("x", "y", ...))
    for other in (nemo.chunk(), nemo.isel(y=slice(-3))):
        assert "y: center y, right y, open ends" in describe_layout(other)


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
        self.summary = {}
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
        elif self.open[-1] == "summary":
            self.summary[self.heading] = data
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
        names = [text.removeprefix("not ").split(": ")[0] for text in folded]
        assert table.summary.get(name, "not ") == f"not {', '.join(names)}"
    assert any(text.startswith("not geostrophic_wind: ") for [text] in table.folded.values())
