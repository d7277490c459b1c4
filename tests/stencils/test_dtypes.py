"""Which dtypes XLA has, and in which the arithmetic is: a table written by hand."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from fdgrad_dask.stencils.dtypes import has_kernel, is_extension, needs_numpy, result_dtype, wide

DTYPES = {  # needs NumPy, has a kernel, the dtype of a derivative, and that in which it is scaled
    "f2": (False, True, "f2", "f4"),
    "f4": (False, True, "f4", "f4"),
    ">f4": (False, True, "f4", ">f4"),
    "f8": (False, True, "f8", "f8"),
    "g": (True, False, "g", "g"),
    "c8": (False, True, "c8", "f4"),
    "c16": (False, True, "c16", "f8"),
    "G": (True, False, "G", "g"),
    "i1": (False, False, "f8", "f4"),
    "i8": (False, False, "f8", None),
    "u4": (False, False, "f8", None),
    "O": (True, False, "f8", None),
    "M8[h]": (True, False, "m8[h]", None),
    "m8[h]": (True, False, "m8[h]", None),
    "?": (True, False, "?", None),
}


@pytest.mark.parametrize(("name", "expected"), DTYPES.items(), ids=DTYPES)
def test_the_dtypes_of_numpy(name, expected):
    dtype = np.dtype(name)
    if name == "g" and dtype.itemsize == 8:
        pytest.skip("long doubles are float64 here")
    alone, kernel, result, scaled = expected
    assert needs_numpy(np.zeros(2, dtype)) is alone
    assert has_kernel(dtype) is kernel
    assert result_dtype(dtype) == np.dtype(result)
    assert result_dtype(dtype).isnative
    assert scaled is None or wide(dtype) == np.dtype(scaled)
    assert not is_extension(dtype)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "int4", "uint4"])
def test_the_dtypes_of_other_libraries(name):
    dtype = np.dtype(getattr(ml_dtypes, name))
    assert is_extension(dtype)
    assert not needs_numpy(np.zeros(2, dtype))
    assert not has_kernel(dtype)
    assert result_dtype(dtype) == np.float64
    assert wide(dtype) == np.float32


class Row(np.void):
    """The type of a record of somebody else's."""


def test_masks_and_records_are_left_to_numpy():
    assert needs_numpy(np.ma.masked_array(np.zeros(2, "f4"), [True, False]))
    record = np.dtype((Row, [("a", "f4")]))
    assert not is_extension(record)
    assert needs_numpy(np.zeros(2, record))
