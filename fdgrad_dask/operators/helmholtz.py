"""Stream function, velocity potential and the two parts of a wind, by spherical harmonics.

On the complete sphere every wind is k × ∇ψ + ∇χ: what turns, and what diverges (Helmholtz 1858). In
the harmonics of degree l on a sphere of radius a, ∇² is −l (l + 1) / a², so that its inverse is a
factor of each coefficient. The mean over the sphere has no inverse, and that of ψ and χ is zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Unpack

import xarray as xr

from fdgrad_dask.blocks.harmonics import Output, Transform
from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import choose_long_name, choose_name, derive_attributes
from fdgrad_dask.grids.geometry import Geometry
from fdgrad_dask.grids.globe import LATITUDES, check_truncation, find_rings
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.halo.compute import choose_dtype
from fdgrad_dask.halo.planes import transform_planes
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.fused_pass import FusedPass
from fdgrad_dask.operators.kinematics import name_flow
from fdgrad_dask.operators.options import (
    HELMHOLTZ,
    HelmholtzOptions,
    SpectralOptions,
    choose_names,
)
from fdgrad_dask.operators.roles import match_components, name_components

_PARTS = {
    "stream_function": Output(1, power=1),
    "velocity_potential": Output(0, power=1),
    "rotational_wind": Output(1, is_vector=True),
    "divergent_wind": Output(0, is_vector=True),
}


@takes_fields
def stream_function(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[SpectralOptions]
) -> xr.DataArray:
    """ψ with ∇²ψ = ζ, the vorticity, and zero mean over the sphere; in units of u times metres.

    The part of the wind that turns is k × ∇ψ, along the lines of equal ψ. Spherical harmonics need
    the complete globe: longitudes all around, and latitudes that are Gaussian or evenly spaced from
    pole to pole (with both poles, with one, half a step or a step off them). What these points do
    not resolve is left out: harmonics above the attribute ``truncation`` of the result. The package
    ducc0 is needed: ``pip install 'fdgrad_dask[spectral]'``.

    Parameters
    ----------
    u, v
        The components to the east and north, on the same points, in any unit; units and standard
        names are checked as `divergence` does.
    truncation
        The largest degree that is kept, T of a triangular truncation; by default the largest that
        the grid resolves.
    geometry
        ``Sphere(radius)``, instead of the sphere that the coordinates tell.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u, computed in float64. A value that is missing or infinite
        makes its whole slice NaN: each harmonic is a sum over the sphere. In dask, the chunks of a
        slice are joined, and a task holds all slices of one chunk of the other dimensions: its
        fields and results, and a few slices in float64. JAX arrays are transformed on the host,
        under ``jit`` too, and have no gradient.

    Raises
    ------
    CoordinateError
        u and v do not lie on the same points, or these are no such grid.
    OptionError
        ``truncation`` is more than the grid resolves; ducc0 is missing; units or standard names
        contradict that these are the two components of one vector.
    """
    return _solve(u, v, ["stream_function"], **options)["stream_function"]


@takes_fields
def velocity_potential(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[SpectralOptions]
) -> xr.DataArray:
    """χ with ∇²χ = ∇·v, the divergence, and zero mean over the sphere; in units of u times metres.

    The part of the wind that diverges is ∇χ. Grids, parameters and errors are those of
    `stream_function`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u.
    """
    return _solve(u, v, ["velocity_potential"], **options)["velocity_potential"]


@takes_fields
def rotational_wind(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[SpectralOptions]
) -> xr.Dataset:
    """k × ∇ψ, the part of a wind that turns and does not diverge, in units of u.

    Grids, parameters and errors are those of `stream_function`.

    Returns
    -------
    Dataset
        ``{u}_rotational`` and ``{v}_rotational``, with the dims, coords and chunks of u.
    """
    return _solve(u, v, ["rotational_wind"], **options)


@takes_fields
def divergent_wind(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[SpectralOptions]
) -> xr.Dataset:
    """∇χ, the part of a wind that diverges and does not turn, in units of u.

    Grids, parameters and errors are those of `stream_function`.

    Returns
    -------
    Dataset
        ``{u}_divergent`` and ``{v}_divergent``, with the dims, coords and chunks of u.
    """
    return _solve(u, v, ["divergent_wind"], **options)


@takes_fields
def helmholtz(u: xr.DataArray, v: xr.DataArray, **options: Unpack[HelmholtzOptions]) -> xr.Dataset:
    """Stream function, velocity potential, rotational and divergent wind, by one analysis.

    Parameters
    ----------
    parts
        Any of stream_function, velocity_potential, rotational_wind and divergent_wind; all if not
        given.
    u, v, truncation, geometry
        See `stream_function`, which has the same errors.

    Returns
    -------
    Dataset
        What the operators of these names give.

    Raises
    ------
    OptionError
        ``parts`` names something else, or nothing.
    """
    names = choose_names("parts", options.pop("parts", HELMHOLTZ), _PARTS)
    return _solve(u, v, names, **options)


@takes_fields
def truncate(field: xr.DataArray, **options: Unpack[SpectralOptions]) -> xr.DataArray:
    """A scalar without its spherical harmonics above degree T, in its own units.

    The triangular truncation of spectral models: features smaller than about 20 000 km / T are
    left out, alike in all directions and at all places. Grids and errors are those of
    `stream_function`.

    Parameters
    ----------
    field
        A scalar on the complete globe.
    truncation
        T, such as 42; by default the largest that the grid resolves.
    geometry
        See `stream_function`.

    Returns
    -------
    DataArray
        The name, dims, coords and chunks of the field.
    """
    spectral = _SpectralPass(field, **options)
    [data] = spectral.solve_outputs(Output(0))
    attrs = field.attrs
    words, standard = choose_long_name(attrs, field.name), attrs.get("standard_name")
    return spectral.named(data, choose_name(field.name), words, attrs.get("units"), standard)


@takes_fields
def inverse_laplacian(field: xr.DataArray, **options: Unpack[SpectralOptions]) -> xr.DataArray:
    """The scalar of zero mean whose laplacian is the field, without its mean over the sphere.

    Of a vorticity it is the stream function, of a divergence the velocity potential. Grids and
    errors are those of `stream_function`.

    Parameters
    ----------
    field
        A scalar on the complete globe.
    truncation, geometry
        See `stream_function`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field, in its units times square metres.
    """
    spectral = _SpectralPass(field, **options)
    [data] = spectral.solve_outputs(Output(0, power=2))
    words = f"inverse laplacian of {choose_long_name(field.attrs, field.name)}"
    name = f"{choose_name(field.name)}_inverse_laplacian"
    return spectral.named(data, name, words, divide_units(field.attrs.get("units"), "m", -2))


class _SpectralPass(FusedPass):
    """One analysis of a scalar or of a wind on the complete sphere."""

    def __init__(
        self, *fields: xr.DataArray, truncation: int | None = None, geometry: Geometry | None = None
    ) -> None:
        super().__init__(*fields)
        for field in self.labelled:
            if field.dtype.kind not in "iufV":
                raise OptionError(
                    f"{field.name!r} holds {field.dtype}, but spherical harmonics are taken of "
                    "real numbers; convert it first, or take its real and imaginary parts each"
                )
        self.grid = find_horizontal_grid(self.template, geometry)
        if self.grid.repeats:  # meridians that are present twice are computed once
            self.leave_out_last(self.grid.x, self.grid.repeats)
            self.grid = find_horizontal_grid(self.template, geometry)
        self.rings = find_rings(self.template, self.grid)
        self.truncation = check_truncation(truncation, self.rings, self.template.name)

    def solve_outputs(self, *outputs: Output) -> list[Any]:
        """The arrays of the outputs, two of each vector."""
        dtype, radius = choose_dtype(self.data, self.compute_dtype), self.grid.radii[0]
        transform = Transform(self.rings, self.truncation, radius, outputs, dtype)
        return transform_planes(self.data, transform)

    def named(
        self, data: Any, name: Hashable, long_name: str, units: Any, standard_name: Any = None
    ) -> xr.DataArray:
        """One output with its attributes, and with those that say how it was computed."""
        attrs = derive_attributes(self.outer, units, long_name) | self.grid.attrs()
        if standard_name:
            attrs["standard_name"] = standard_name
        attrs |= {"truncation": self.truncation, "latitudes": LATITUDES[self.rings.kind]}
        return self.label(data, name, attrs)


def _solve(u: xr.DataArray, v: xr.DataArray, names: Sequence[str], **options: Any) -> xr.Dataset:
    """Some parts of a wind, of one analysis."""
    u, v = match_components(u, v, ())
    spectral = _SpectralPass(u, v, **options)
    made = iter(spectral.solve_outputs(*(_PARTS[name] for name in names)))
    units, results = u.attrs.get("units"), []
    is_wind = name_flow(spectral.template) == "wind"
    for part in names:
        words = part.replace("_", " ")
        if _PARTS[part].is_vector:
            kind = part.removesuffix("_wind")
            for component, own in zip((u, v), name_components(u, v), strict=True):
                of = f"{kind} part of {choose_long_name(component.attrs, own)}"
                results.append(spectral.named(next(made), f"{own}_{kind}", of, units))
        else:
            name = f"atmosphere_horizontal_{part.replace('m_f', 'mf')}" if is_wind else None
            area = divide_units(units, "m", -1)
            results.append(spectral.named(next(made), part, words, area, name))
    return spectral.to_dataset(results)
