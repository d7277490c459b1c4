"""What other libraries call operators and options."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fdgrad_dask.errors import did_you_mean

_OPERATORS = {
    **dict.fromkeys(("differentiate", "derivative", "first_derivative"), "gradient(dim)"),
    "second_derivative": "gradient(dim, order=2)",
    **dict.fromkeys(("geospatial_gradient", "grad_xy"), "horizontal_gradient"),
    **dict.fromkeys(("relative_vorticity", "curl_xy"), "vorticity"),
    **dict.fromkeys(("div", "div_xy"), "divergence"),
    **dict.fromkeys(("stretching_deformation", "shearing_deformation"), "deformation"),
    **dict.fromkeys(("sfvp", "VectorWind"), "helmholtz"),
    "rotate_winds": "rotate_to_earth",
}

# Names by which other libraries know an option: that of ours, and what to do.
_READ = "geometry", "leave it out, the axes are found in the coordinates of the fields"
_OPTIONS = {
    ("axis", "coord", "dims"): ("dim", "it is called dim here"),
    ("axis", "crs", "dim", "dims", "latitude", "longitude", "x_dim", "y_dim"): _READ,
    ("dx", "dy"): ("geometry", "give geometry=fdgrad_dask.Curvilinear(dx=…, dy=…)"),
    ("radius",): ("geometry", "give geometry=fdgrad_dask.Sphere(radius)"),
    ("f",): ("coriolis", "f is found from the latitude; or give it as coriolis=, in s-1"),
    ("cyclic", "periodic", "wrap"): ("boundary", "give boundary={'x': 'periodic'}, by axis"),
    ("fill_value", "padding"): ("boundary", "give the number that stands outside as boundary="),
    ("one_sided_at_boundary",): ("boundary", "leave it out, ends are one-sided by themselves"),
}


def name_here(name: str, known: Iterable[str]) -> str:
    """Write the end of a message about an operator that is not among those ``known``."""
    ours = _OPERATORS.get(name)
    return did_you_mean(name, known) if ours is None else f"it is called {ours} here"


def suggest_option(name: str, options: Collection[str]) -> str:
    """What to do about an option that an operator lacks: those of other libraries are known."""
    for names, (option, advice) in _OPTIONS.items():
        if name in names and option in options:
            return advice
    return did_you_mean(name, options)
