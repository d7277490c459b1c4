"""Grids of all kinds: the answer is right to the error of the scheme, or it is refused.

``python tests/field/test_generated.py 100000`` tries as many, counts what came out, and prints the
first of each kind that is wrong. The errors are derived in `Bound`: truncation of the stencils by
Taylor's formula, rounding of data and of coordinates; all of them in units of the closed forms.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # where this file is run by itself

import fields
import hypothesis.strategies as st
import numpy as np
import xarray as xr
from hypothesis import HealthCheck, Phase, given, seed, settings
from model_grids import A

from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError

ROWS, COLUMNS = 24, 37  # few shapes, for each costs compilations
GAUSSIAN = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(ROWS)[0]))
OMEGA = 2 * 7.292115e-5 * A / fields.U0  # the Coriolis parameter in units of the rotation
EPSILON = {"f8": 2.0**-53, "f4": 2.0**-24, "f2": 2.0**-11, "i4": 0.0}
HALF_SCALE = 1e3  # brings winds, and what is made of them, into the range of half precision
SAFETY = 1.5

# Latitude, longitude: name, units, standard_name or not. Of the first all must be understood.
SPELLED: dict[str, tuple[tuple[str, str], tuple[Any, Any], bool]] = {
    "CF": (("lat", "lon"), ("degrees_north", "degrees_east"), False),
    "own names": (("rows", "columns"), ("degrees_north", "degrees_east"), False),
    "degree_N": (("y", "x"), ("degree_N", "degree_E"), False),
    "degreesN": (("lat", "lon"), ("degreesN", "degreesE"), False),
    "degrees": (("latitude", "longitude"), ("degrees", "degrees"), False),
    "degrees, standard_name": (("rows", "columns"), ("degrees", "degrees"), True),
    "without units": (("LAT", "LON"), (None, None), False),
    "standard_name alone": (("rows", "columns"), (None, None), True),
}
PERHAPS: dict[str, tuple[tuple[str, str], tuple[Any, Any], bool]] = {
    "deg": (("lat", "lon"), ("deg", "deg"), False),
    "deg, standard_name": (("rows", "columns"), ("deg", "deg"), True),
    "degN": (("lat", "lon"), ("degN", "degE"), False),
    "blank": (("lat", "lon"), ("", ""), False),
    "in words": (("lat", "lon"), ("degrees north", "degrees east"), False),
}


@dataclass(frozen=True)
class Case:
    """One grid, a rotation or a scalar on it, and an operator."""

    operator: str
    lat: tuple[float, ...]
    lon: tuple[float, ...]
    columns: str
    spelled: str
    data: str
    coordinates: str
    tilt: float
    edge_order: int
    decimals: int | None
    order: str
    chunked: bool

    def __repr__(self) -> str:
        ends = ", ".join(
            f"{n} {p[0]:.6g} {p[1]:.6g} … {p[-1]:.6g} ({len(p)})"
            for n, p in (("lat", self.lat), ("lon", self.lon))
        )
        return (
            f"{self.operator}: {ends}, {self.columns}, {self.spelled}, data {self.data}, "
            f"coordinates {self.coordinates}, tilt {self.tilt:.3g}, edge_order {self.edge_order}, "
            f"decimals {self.decimals}, {self.order}, {'dask' if self.chunked else 'numpy'}"
        )

    @property
    def turns(self) -> bool:
        """Whether the longitudes are a full circle, the cyclic point included or not."""
        return self.columns in ("circle", "cyclic", "rounded", "rounded step")

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The latitudes and longitudes as the file has them."""
        dtype = self.coordinates
        return np.array(self.lat).astype(dtype), np.array(self.lon).astype(dtype)

    def field(self, f: Any, name: str, scale: float, **attrs: Any) -> xr.DataArray:
        """f(λ, φ) at the true places, with the coordinates as the file spells them."""
        names, units, standard = (SPELLED | PERHAPS)[self.spelled]
        values = f(np.deg2rad(np.array(self.lon)), np.deg2rad(np.array(self.lat))[:, None])
        values = (scale * values + np.zeros((len(self.lat), len(self.lon)))).astype(self.data)
        coords = {}
        for key, unit, kind, points in zip(
            names, units, ("latitude", "longitude"), self.places(), strict=True
        ):
            described = {} if unit is None else {"units": unit}
            coords[key] = (key, points, described | ({"standard_name": kind} if standard else {}))
        made = xr.DataArray(values, dims=names, coords=coords, name=name, attrs=attrs)
        if self.order == "lon first":
            made = made.transpose(*names[::-1])
        if self.chunked:
            made = made.chunk({names[0]: (5, 1, len(self.lat) - 6)})
        return made


@st.composite
def rows(draw: Any) -> np.ndarray:
    """Latitudes that rise: with poles, beside poles, anywhere, even and uneven."""
    kind = draw(
        st.sampled_from(("poles", "half step", "Gaussian", "to a pole", "anywhere", "uneven"))
    )
    if kind == "poles":
        return np.linspace(-90, 90, ROWS + 1)
    if kind == "half step":
        step = 180 / ROWS
        return -90 + step / 2 + step * np.arange(ROWS)
    if kind == "Gaussian":
        return GAUSSIAN
    step = draw(st.sampled_from((0.5, 1.0, 2.5, 7.0)) | st.floats(0.25, 7.0))
    if kind == "to a pole":
        gap = draw(st.sampled_from((0.0, 0.25, 0.5, 1.0)))
        lat = 90 - gap * step - step * np.arange(ROWS + (gap == 0))[::-1]
        return lat if draw(st.booleans()) else -lat[::-1]
    room = 179.5 - step * (ROWS - 1)
    s = np.arange(ROWS, dtype=float)
    if kind == "uneven":
        s = s + draw(st.floats(-0.8, 0.8)) * np.sin(np.pi * s / (ROWS - 1))
    return -89.75 + draw(st.floats(0.0, 1.0)) * room + step * s


@st.composite
def columns(draw: Any) -> tuple[str, np.ndarray]:
    """Longitudes that rise, and what they are."""
    kinds = ("circle", "cyclic", "rounded", "rounded step", "one missing", "sector")
    kind = draw(st.sampled_from((*kinds, *kinds, "wrapped")))
    start = draw(st.sampled_from((-180.0, 0.0, 20.0, 5.0)) | st.floats(-180, 180))
    along = np.arange(COLUMNS)
    if kind == "sector":
        return kind, start + draw(st.sampled_from((0.5, 2.0, 9.0)) | st.floats(0.25, 9.0)) * along
    if kind == "rounded step":
        return kind, round(start) + along * round(360 / COLUMNS, 4)
    if kind == "wrapped":
        return kind, (90.37 + along * 360 / COLUMNS + 180) % 360 - 180
    if kind == "rounded":
        return kind, round(start) + along * 360 / COLUMNS
    points = {"circle": COLUMNS, "cyclic": COLUMNS - 1, "one missing": COLUMNS + 1}
    return kind, start + along * 360 / points[kind]


@st.composite
def cases(draw: Any) -> Case:
    lat = draw(rows())
    kind, lon = draw(columns())
    decimals = 2 if kind == "rounded" else draw(st.sampled_from((None, None, 2, 3)))
    operators = ("kinematics", "kinematics", "gradient", "latitude", "laplacian")
    operator = draw(
        st.sampled_from((*operators, "absolute_vorticity") if kind == "cyclic" else operators)
    )
    step = min(np.diff(lat).min(), abs(np.diff(lon)).min())
    if decimals and (step >= 5 or kind == "rounded"):
        lon = np.round(lon, decimals)
        lat = np.round(lat, decimals) if step >= 5 else lat
    else:
        decimals = None
    descending = draw(st.booleans())
    whole = bool((lat == np.round(lat)).all() and (lon == np.round(lon)).all())
    data = draw(st.sampled_from(("f8", "f4", "f4")))
    if operator == "kinematics" and kind == "circle":
        data = draw(st.sampled_from(("f8", "f4", "f2")))
    data = "f4" if operator == "absolute_vorticity" else data
    names = list(SPELLED) * 3 + list(PERHAPS)
    return Case(
        operator,
        tuple(map(float, lat[::-1] if descending else lat)),
        tuple(map(float, lon[::-1] if descending and draw(st.booleans()) else lon)),
        kind,
        draw(st.sampled_from(names)),
        data,
        draw(st.sampled_from(("f8", "f8", "f4", *(("i4",) if whole else ())))),
        draw(st.sampled_from((0.0, np.pi / 4, np.pi / 2))),
        2 if kind == "sector" and data == "f8" and operator == "kinematics" else 1,
        decimals,
        draw(st.sampled_from(("lat first", "lat first", "lon first"))),
        operator == "kinematics" and data == "f8" and kind == "circle" and draw(st.booleans()),
    )


class Bound:
    """The largest errors of a case at each of its points, by the truncation of its stencils.

    Steps are in radians. A row is closed where the pole lies within one step beyond it, for the
    components times cos φ are zero there; all other ends are open, and one-sided.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        phi, lam = np.deg2rad(case.lat), np.deg2rad(case.lon)
        self.phi, self.lam = phi[:, None], lam
        self.at_pole = np.abs(np.abs(phi) - np.pi / 2) < 1e-6
        self.cosine = np.where(self.at_pole, 1.0, np.cos(phi))[:, None]
        steps = np.abs(np.diff(phi))
        self.low, self.high = np.r_[steps[0], steps], np.r_[steps, steps[-1]]
        self.open = np.zeros((2, len(phi)), bool)  # for scalars; for components times cos φ
        for end, inner in ((0, steps[0]), (-1, steps[-1])):
            if self.at_pole[end]:
                continue
            gap = np.pi / 2 - abs(phi[end])
            self.open[:, end] = True
            if gap < inner * (1 - 1e-3):
                self.open[1, end] = False
                (self.low if end == 0 else self.high)[end] = max(gap, 1e-9)
        across = np.abs(np.diff(lam))
        self.hx = across[across > 1e-9].max()
        self.edges = np.zeros(len(lam), bool)
        self.edges[[0, -1]] = not case.turns
        unit = max(EPSILON[case.coordinates] * 360, 0.0)
        unit += 0.5 * 10.0**-case.decimals if case.decimals else 0.0
        unit += 1e-3 if case.columns == "rounded step" else 0.0
        self.delta = np.deg2rad(unit)
        self.epsilon = EPSILON[case.data]
        # Relative errors of differences: rounding of the data, of the places.
        self.noise_x = 4 * (self.epsilon + self.delta) / across.min()
        self.noise_y = 4 * (self.epsilon + self.delta) / np.minimum(self.low, self.high)[:, None]

    def along_x(self, second: float, third: float) -> np.ndarray:
        """Of a derivative along λ, with the sizes of the second and third derivative."""
        central = self.hx**2 / 6 * third
        edge = self.hx / 2 * second if self.case.edge_order == 1 else self.hx**2 / 3 * third
        return np.where(self.edges, max(edge, central), central)

    def along_y(self, second: Any, third: Any, *, closed: bool) -> np.ndarray:
        """Of a derivative along φ; ``closed`` if the pole is one more point."""
        h = np.maximum(self.low, self.high)[:, None]
        central = (self.low * self.high)[:, None] / 6 * third
        edge = h / 2 * second if self.case.edge_order == 1 else h**2 / 3 * third
        is_open = self.open[int(closed)][:, None]
        return np.where(is_open, np.maximum(edge, central), central)

    def around(self, values: np.ndarray) -> np.ndarray:
        """The largest of three rows, since derivatives vary within a stencil."""
        wide = np.pad(values, ((1, 1), (0, 0)), mode="edge")
        return np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:])

    def at_poles(self, error: np.ndarray, cap: float) -> np.ndarray:
        """The value of a cap, or nothing where there is no circle to make one of."""
        values = cap if self.case.turns else np.inf
        return np.where(self.at_pole[:, None], values, error)

    def cap(self, amount: float) -> float:
        """The error of a cap: of its mean, and of what rounding makes of a mean of zero."""
        step = max(self.low.max(), self.high.max())
        return amount * step**2 + 4 * (self.epsilon + self.delta) / min(self.low[0], self.high[-1])

    def vorticity(self) -> np.ndarray:
        ca, sa = np.cos(self.case.tilt), np.sin(self.case.tilt)
        steep = self.around(np.abs(np.sin(2 * self.phi)))
        y = self.along_y(2 * (ca + sa), 4 * (ca * steep + sa), closed=True) + self.noise_y
        x = sa * self.along_x(1, 1) + self.noise_x
        return self.at_poles((x + y) / self.cosine, self.cap(1.0))

    def divergence(self) -> np.ndarray:
        sa = np.sin(self.case.tilt)
        y = sa * self.along_y(1, 1, closed=True) + self.noise_y
        return self.at_poles(
            (sa * self.along_x(1, 1) + self.noise_x + y) / self.cosine, self.cap(1.0)
        )

    def slope_x(self) -> np.ndarray:
        return self.at_poles(self.along_x(1, 1) + 2 * self.noise_x / self.cosine, np.inf)

    def slope_y(self) -> np.ndarray:
        return self.at_poles(self.along_y(2, 2, closed=False) + 2 * self.noise_y, np.inf)

    def laplacian(self) -> np.ndarray:
        h = np.maximum(self.low, self.high)[:, None]
        uneven = np.abs(self.low - self.high)[:, None]
        y = 2 * h**2 + 2 * uneven + 8 * self.noise_y / h
        x = self.hx**2 / 12 + self.delta / self.hx + 2 * self.noise_x / self.hx / self.cosine
        inside = np.where(self.open[0][:, None], np.inf, (x + y) / self.cosine)
        inside = np.where(self.edges, np.inf, inside)
        return self.at_poles(inside, 4 * self.cap(1.0) / h.min() if self.epsilon else np.inf)


def outcome(case: Case) -> str:
    """``right``, ``refused: …``, or what is wrong."""
    try:
        pairs = list(_computed(case))
    except FdgradError as error:
        return _judged(case, error)
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"
    if case.columns == "wrapped" and len(np.unique(np.sign(np.diff(case.lon)))) > 1:
        return "WRONG: longitudes that wrap are not refused"
    bound = Bound(case)
    for name, got, true, allowed in pairs:
        problem = _problem(bound, name, got, true, allowed)
        if problem:
            return f"WRONG: {problem}"
    return "right"


def _judged(case: Case, error: FdgradError) -> str:
    kind = type(error).__name__
    wraps = len(np.unique(np.sign(np.diff(case.lon)))) > 1
    if wraps and ("360" in str(error) or "full turn" in str(error)):
        return f"refused: {kind}, longitudes that wrap"
    if case.spelled in PERHAPS:
        return f"refused: {kind}, units {case.spelled!r}"
    return f"WRONG: refused without a reason: {error}"


def _computed(case: Case):
    """What came of a case beside the closed form and the bound of its error."""
    scale = HALF_SCALE if case.data == "f2" else 1.0
    unit = scale * fields.U0 / A
    bound = Bound(case)
    if case.operator in ("gradient", "latitude", "laplacian"):
        yield from _of_scalars(case, bound)
        return
    flow = fields.rotation(case.tilt, "")
    u = case.field(flow.u, "u", scale, units="m s-1", standard_name="eastward_wind")
    v = case.field(flow.v, "v", scale, units="m s-1", standard_name="northward_wind")
    options = {"edge_order": case.edge_order}
    zeta = flow.vorticity(bound.lam, bound.phi) * A / fields.U0
    if case.operator == "absolute_vorticity":
        made = op.absolute_vorticity(u, v, **options)
        total = zeta + OMEGA * np.sin(bound.phi)
        yield (
            "absolute vorticity",
            made / unit,
            total,
            bound.vorticity() + 4 * bound.epsilon * OMEGA,
        )
        return
    both = op.kinematics(u, v, which=["vorticity", "divergence"], **options)
    yield "vorticity", both.vorticity / unit, zeta, bound.vorticity()
    yield "divergence", both.divergence / unit, 0 * zeta, bound.divergence()


def _of_scalars(case: Case, bound: Bound):
    options = {"edge_order": case.edge_order}
    if case.operator == "latitude":
        f = case.field(lambda x, y: np.rad2deg(y) + 0 * x, "f", 1.0, units="K")
        g = op.horizontal_gradient(f, **options)
        noise = bound.at_poles(100 * bound.noise_y + 0 * bound.lam, np.inf)
        one = np.ones((len(case.lat), len(case.lon)))
        yield "∂φ/∂y", g.df_dy * A * np.pi / 180, one, noise
        yield "∂φ/∂x", g.df_dx * A * np.pi / 180, 0 * one, 100 * noise / bound.cosine
        return
    f = case.field(lambda x, y: np.sin(y) + np.cos(y) * np.cos(x - 0.7), "f", 1.0, units="K")
    phi, lam = bound.phi, bound.lam - 0.7
    if case.operator == "laplacian":
        true = -2 * (np.sin(phi) + np.cos(phi) * np.cos(lam))
        yield "∇²f", op.laplacian(f, **options) * A**2, true, bound.laplacian()
        return
    g = op.horizontal_gradient(f, **options)
    yield "∂f/∂y", g.df_dy * A, np.cos(phi) - np.sin(phi) * np.cos(lam), bound.slope_y()
    yield "∂f/∂x", g.df_dx * A, -np.sin(lam) + 0 * phi, bound.slope_x()


def _problem(bound: Bound, name: str, got: Any, true: Any, allowed: Any) -> str | None:
    case = bound.case
    names = (SPELLED | PERHAPS)[case.spelled][0]
    values = got.transpose(*names).values.astype("f8")
    error = np.abs(values - true)
    may_be_missing = np.broadcast_to(bound.at_pole[:, None], error.shape)
    if case.turns and case.operator in ("kinematics", "absolute_vorticity", "laplacian"):
        may_be_missing = np.zeros_like(may_be_missing)
    missing = np.isnan(values) & ~may_be_missing
    if missing.any():
        return f"{name} is NaN in rows {sorted(set(np.nonzero(missing)[0].tolist()))}"
    ratio = np.nan_to_num(error / (SAFETY * np.broadcast_to(allowed, error.shape) + 1e-12))
    if ratio.max() > 1:
        i, j = np.unravel_index(ratio.argmax(), ratio.shape)
        return (
            f"{name} is off by {error[i, j]:.3g} where {error[i, j] / ratio[i, j]:.3g} is allowed, "
            f"row {i}, column {j}"
        )
    return None


@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_right_or_refused(case):
    found = outcome(case)
    assert not found.startswith("WRONG"), f"{found}\n{case}"


def main(count: int) -> int:
    """Tries ``count`` cases; the exit code says whether any was wrong."""
    outcomes: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}

    @seed(1)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
    )
    @given(cases())
    def collect(case: Case) -> None:
        found = outcome(case)
        kind = found if not found.startswith("WRONG") else " ".join(found.split()[:4])
        outcomes[kind] += 1
        if found.startswith("WRONG"):
            examples.setdefault(kind, []).append(f"{found}\n    {case}")

    collect()
    for kind, number in outcomes.most_common():
        print(f"{number:8d}  {kind}")
    for found in examples.values():
        print(*found[:8], sep="\n")
    return int(bool(examples))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
