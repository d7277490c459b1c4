"""The operators: labelled fields in, labelled fields out, lazy wherever the input is.

``__all__`` is the one list of them; the accessor, the YAML and ``fdgrad operators`` follow it.
"""

from typing import TYPE_CHECKING, NoReturn

from fdgrad_dask.operators.curl import curl
from fdgrad_dask.operators.dynamics import (
    advection,
    frontogenesis,
    q_vector,
)
from fdgrad_dask.operators.elsewhere import name_here
from fdgrad_dask.operators.gradient import gradient
from fdgrad_dask.operators.helmholtz import (
    divergent_wind,
    helmholtz,
    inverse_laplacian,
    rotational_wind,
    stream_function,
    truncate,
    velocity_potential,
)
from fdgrad_dask.operators.kinematics import (
    absolute_vorticity,
    deformation,
    divergence,
    kinematics,
    vorticity,
)
from fdgrad_dask.operators.laplacian import laplacian
from fdgrad_dask.operators.potential_vorticity import potential_vorticity
from fdgrad_dask.operators.rotation import rotate_to_earth, rotate_to_grid
from fdgrad_dask.operators.scalar import (
    geostrophic_wind,
    gradient_magnitude,
    horizontal_gradient,
    interpolate,
)

__all__ = [
    "absolute_vorticity",
    "advection",
    "curl",
    "deformation",
    "divergence",
    "divergent_wind",
    "frontogenesis",
    "geostrophic_wind",
    "gradient",
    "gradient_magnitude",
    "helmholtz",
    "horizontal_gradient",
    "interpolate",
    "inverse_laplacian",
    "kinematics",
    "laplacian",
    "potential_vorticity",
    "q_vector",
    "rotate_to_earth",
    "rotate_to_grid",
    "rotational_wind",
    "stream_function",
    "truncate",
    "velocity_potential",
    "vorticity",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # for type checkers an unknown name is an error

    def __getattr__(name: str) -> NoReturn:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; {name_here(name, __all__)}"
        )
