"""``.fdgrad`` on DataArrays and Datasets: the operators as methods.

On a DataArray they are the operators of one field; on a Dataset the fields are given by name:
``ds.fdgrad.vorticity("u", "v")``. The functions of `fdgrad_dask.operators` are the same, and known
to type checkers, which cannot see the accessors of xarray.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Unpack, overload

import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.operators.datasets import R, call_on
from fdgrad_dask.operators.elsewhere import name_here
from fdgrad_dask.operators.options import (
    AdvectionOptions,
    CoriolisOptions,
    CurlOptions,
    Dims,
    GeometryOptions,
    GradientOptions,
    HelmholtzOptions,
    HorizontalOptions,
    InterpolationOptions,
    KinematicsOptions,
    LevelOptions,
    PotentialVorticityOptions,
    QVectorOptions,
    SpectralOptions,
    list_fields,
)
from fdgrad_dask.operators.overview import describe_dataset, describe_field

Field = Hashable | xr.DataArray
Method = TypeVar("Method", bound=Callable[..., Any])


def _documented(method: Method) -> Method:
    """Give a method the docstring of its operator, and the operator's options in its signature."""
    operator = getattr(operators, method.__name__)
    parameters = inspect.signature(method).parameters.values()
    own = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    # The options are written once, in the operator; help() and completion show them here too.
    options = inspect.signature(operator).parameters.values()
    shown = [*own, *(p for p in options if p.kind is p.KEYWORD_ONLY)]
    method.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    text = inspect.cleandoc(operator.__doc__ or "")
    if "field" not in inspect.signature(method).parameters:
        text = re.sub(r"(?m)^field\n(?:    .*\n|\n(?=    ))+", "", text)
        text = re.sub(r"\n\nParameters\n-+\n(?=\n|$)", "\n", text)
    # Examples call the function, not the method.
    method.__doc__ = re.sub(r"\n\nExamples\n-+\n(?s:.*)", "\n", text)
    return method


class DataArrayAccessor:
    """The operators of one field."""

    def __init__(self, field: xr.DataArray) -> None:
        self._field = field

    def __repr__(self) -> str:
        return str(describe_field(self._field))

    def _repr_html_(self) -> str:
        return describe_field(self._field).to_html()

    @overload
    def gradient(  # type: ignore[overload-overlap]  # a tuple always means several dimensions
        self, dim: Dims = None, **options: Unpack[GradientOptions]
    ) -> xr.Dataset: ...
    @overload
    def gradient(self, dim: Hashable, **options: Unpack[GradientOptions]) -> xr.DataArray: ...
    @_documented
    def gradient(
        self, dim: Dims | Hashable = None, *more: Hashable, **options: Unpack[GradientOptions]
    ) -> xr.DataArray | xr.Dataset:
        if more:
            raise TypeError(
                f"gradient takes one dim and has {1 + len(more)}; give several in a list: "
                f"gradient({[dim, *more]!r})"
            )
        return operators.gradient(self._field, dim, **options)

    @_documented
    def horizontal_gradient(self, **options: Unpack[LevelOptions]) -> xr.Dataset:
        return operators.horizontal_gradient(self._field, **options)

    @_documented
    def gradient_magnitude(self, **options: Unpack[LevelOptions]) -> xr.DataArray:
        return operators.gradient_magnitude(self._field, **options)

    @_documented
    def laplacian(self, **options: Unpack[HorizontalOptions]) -> xr.DataArray:
        return operators.laplacian(self._field, **options)

    @_documented
    def interpolate(self, **options: Unpack[InterpolationOptions]) -> xr.DataArray:
        return operators.interpolate(self._field, **options)

    @_documented
    def geostrophic_wind(self, **options: Unpack[CoriolisOptions]) -> xr.Dataset:
        return operators.geostrophic_wind(self._field, **options)

    @_documented
    def truncate(self, **options: Unpack[SpectralOptions]) -> xr.DataArray:
        return operators.truncate(self._field, **options)

    @_documented
    def inverse_laplacian(self, **options: Unpack[SpectralOptions]) -> xr.DataArray:
        return operators.inverse_laplacian(self._field, **options)

    if not TYPE_CHECKING:  # for type checkers an unknown method is an error, not Any

        def __getattr__(self, name: str) -> NoReturn:
            if name in operators.__all__:
                names = list_fields(getattr(operators, name))
                raise AttributeError(
                    f"{name} takes the fields {', '.join(names)}; call it on a Dataset that has "
                    f"them: ds.fdgrad.{name}({', '.join(map(repr, names))})"
                )
            _refuse(name, type(self))


class DatasetAccessor:
    """The operators on the fields of a dataset, which are given by name."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def __repr__(self) -> str:
        return str(describe_dataset(self._dataset))

    def _repr_html_(self) -> str:
        return describe_dataset(self._dataset).to_html()

    def _call(
        self, operator: Callable[..., R], fields: Sequence[Field | None], options: Mapping[str, Any]
    ) -> R:
        return call_on(self._dataset, operator, fields, options)

    @_documented
    def gradient(
        self, dim: Dims | Hashable = None, *more: Hashable, **options: Unpack[GradientOptions]
    ) -> xr.Dataset:
        if more:
            name = getattr(dim, "name", dim)
            if name in list(self._dataset.data_vars):
                ours = f"of one field it is ds[{name!r}].fdgrad.gradient(dim)"
            else:
                ours = f"give several dimensions in a list: gradient({[name, *more]!r})"
            raise TypeError(f"gradient of a Dataset takes no field, but maps over all; {ours}")
        # It takes all variables, as xarray's differentiate does.
        return call_on(self._dataset, operators.gradient, self._dataset, {"dim": dim, **options})

    @_documented
    def horizontal_gradient(self, field: Field, **options: Unpack[LevelOptions]) -> xr.Dataset:
        return self._call(operators.horizontal_gradient, [field], options)

    @_documented
    def gradient_magnitude(self, field: Field, **options: Unpack[LevelOptions]) -> xr.DataArray:
        return self._call(operators.gradient_magnitude, [field], options)

    @_documented
    def laplacian(self, field: Field, **options: Unpack[HorizontalOptions]) -> xr.DataArray:
        return self._call(operators.laplacian, [field], options)

    @_documented
    def interpolate(self, field: Field, **options: Unpack[InterpolationOptions]) -> xr.DataArray:
        return self._call(operators.interpolate, [field], options)

    @_documented
    def geostrophic_wind(self, field: Field, **options: Unpack[CoriolisOptions]) -> xr.Dataset:
        return self._call(operators.geostrophic_wind, [field], options)

    @_documented
    def truncate(self, field: Field, **options: Unpack[SpectralOptions]) -> xr.DataArray:
        return self._call(operators.truncate, [field], options)

    @_documented
    def inverse_laplacian(self, field: Field, **options: Unpack[SpectralOptions]) -> xr.DataArray:
        return self._call(operators.inverse_laplacian, [field], options)

    @_documented
    def stream_function(
        self, u: Field, v: Field, **options: Unpack[SpectralOptions]
    ) -> xr.DataArray:
        return self._call(operators.stream_function, [u, v], options)

    @_documented
    def velocity_potential(
        self, u: Field, v: Field, **options: Unpack[SpectralOptions]
    ) -> xr.DataArray:
        return self._call(operators.velocity_potential, [u, v], options)

    @_documented
    def rotational_wind(self, u: Field, v: Field, **options: Unpack[SpectralOptions]) -> xr.Dataset:
        return self._call(operators.rotational_wind, [u, v], options)

    @_documented
    def divergent_wind(self, u: Field, v: Field, **options: Unpack[SpectralOptions]) -> xr.Dataset:
        return self._call(operators.divergent_wind, [u, v], options)

    @_documented
    def helmholtz(self, u: Field, v: Field, **options: Unpack[HelmholtzOptions]) -> xr.Dataset:
        return self._call(operators.helmholtz, [u, v], options)

    @_documented
    def divergence(self, u: Field, v: Field, **options: Unpack[LevelOptions]) -> xr.DataArray:
        return self._call(operators.divergence, [u, v], options)

    @_documented
    def vorticity(self, u: Field, v: Field, **options: Unpack[LevelOptions]) -> xr.DataArray:
        return self._call(operators.vorticity, [u, v], options)

    @_documented
    def absolute_vorticity(
        self, u: Field, v: Field, **options: Unpack[CoriolisOptions]
    ) -> xr.DataArray:
        return self._call(operators.absolute_vorticity, [u, v], options)

    @_documented
    def deformation(self, u: Field, v: Field, **options: Unpack[LevelOptions]) -> xr.Dataset:
        return self._call(operators.deformation, [u, v], options)

    @_documented
    def kinematics(self, u: Field, v: Field, **options: Unpack[KinematicsOptions]) -> xr.Dataset:
        return self._call(operators.kinematics, [u, v], options)

    @_documented
    def curl(self, u: Field, v: Field, w: Field, **options: Unpack[CurlOptions]) -> xr.Dataset:
        return self._call(operators.curl, [u, v, w], options)

    @_documented
    def advection(
        self,
        u: Field,
        v: Field,
        scalar: Field,
        w: Field | None = None,
        **options: Unpack[AdvectionOptions],
    ) -> xr.DataArray:
        return self._call(operators.advection, [u, v, scalar, w], options)

    @_documented
    def frontogenesis(
        self, u: Field, v: Field, scalar: Field, **options: Unpack[LevelOptions]
    ) -> xr.DataArray:
        return self._call(operators.frontogenesis, [u, v, scalar], options)

    @_documented
    def rotate_to_earth(self, u: Field, v: Field, **options: Unpack[GeometryOptions]) -> xr.Dataset:
        return self._call(operators.rotate_to_earth, [u, v], options)

    @_documented
    def rotate_to_grid(self, u: Field, v: Field, **options: Unpack[GeometryOptions]) -> xr.Dataset:
        return self._call(operators.rotate_to_grid, [u, v], options)

    @_documented
    def q_vector(
        self, u: Field, v: Field, temperature: Field, **options: Unpack[QVectorOptions]
    ) -> xr.Dataset:
        return self._call(operators.q_vector, [u, v, temperature], options)

    @_documented
    def potential_vorticity(
        self, u: Field, v: Field, temperature: Field, **options: Unpack[PotentialVorticityOptions]
    ) -> xr.DataArray:
        return self._call(operators.potential_vorticity, [u, v, temperature], options)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            _refuse(name, type(self))


def _refuse(name: str, accessor: type) -> NoReturn:
    known = [key for key in vars(accessor) if not key.startswith("_")]
    raise AttributeError(f"fdgrad has no operator {name!r}; {name_here(name, known)}")
