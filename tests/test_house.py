"""The layout of docs/house.md as a test: who imports whom, and how large a room may be."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fdgrad_dask"

MAY_IMPORT = {
    "__init__": "accessor operators arrays geometry",
    "errors": "",
    "weights": "",
    "spacing": "numpy errors",
    "stencil": "numpy errors spacing weights",
    "kernels": "jax numpy stencil weights",
    "plain": "numpy stencil",
    "tiles": "jax numpy kernels plain stencil",
    "halo": "dask numpy errors kernels plain stencil tiles",
    "arrays": "numpy errors halo kernels plain spacing stencil",
    "geometry": "numpy",
    "attributes": "cf_xarray",
    "grid": "cf_xarray numpy xarray attributes errors",
    "levels": "xarray attributes errors grid halo",
    "horizontal": "numpy xarray attributes errors geometry grid",
    "operators": "numpy xarray attributes errors geometry grid halo horizontal levels spacing stencil",
    "accessor": "xarray operators",
    "cli": "errors pipeline",
}
