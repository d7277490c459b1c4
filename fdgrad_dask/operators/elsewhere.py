"""What other libraries call an operator."""

from __future__ import annotations

from collections.abc import Iterable

from fdgrad_dask.errors import did_you_mean

_ELSEWHERE = {
    **dict.fromkeys(("differentiate", "derivative", "first_derivative"), "gradient(dim)"),
    "second_derivative": "gradient(dim, order=2)",
    **dict.fromkeys(("geospatial_gradient", "grad_xy"), "horizontal_gradient"),
    **dict.fromkeys(("relative_vorticity", "curl_xy"), "vorticity"),
    **dict.fromkeys(("div", "div_xy"), "divergence"),
    **dict.fromkeys(("stretching_deformation", "shearing_deformation"), "deformation"),
    **dict.fromkeys(("sfvp", "VectorWind"), "helmholtz"),
    "rotate_winds": "rotate_to_earth",
}


def name_here(name: str, known: Iterable[str]) -> str:
    """Write the end of a message about an operator that is not among those ``known``."""
    ours = _ELSEWHERE.get(name)
    return did_you_mean(name, known) if ours is None else f"it is called {ours} here"
