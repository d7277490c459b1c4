"""Which variables belong to others, by the CF conventions: grid mappings, bounds, climatologies.

No array carries them along by itself, but its attributes name them.
"""

from __future__ import annotations

import re

import xarray as xr

ATTRIBUTES = ("grid_mapping", "bounds", "climatology")


def named_in(dataset: xr.Dataset) -> set[str]:
    """The names that attributes of the dataset's variables refer to, whether there or not.

    Examples
    --------
    >>> named_in(xr.Dataset({"t": ((), 0.0, {"grid_mapping": "crs: x y"})})) >= {"crs", "x"}
    True
    """
    attrs = [variable.attrs for variable in dataset.variables.values()]
    texts = [str(every[key]) for every in attrs for key in ATTRIBUTES if key in every]
    return {word for text in texts for word in re.findall(r"[^\s:]+", text)}
