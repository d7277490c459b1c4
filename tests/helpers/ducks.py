"""Arrays of another library, on which NumPy's functions work."""

from __future__ import annotations

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class Duck(NDArrayOperatorsMixin):
    """An array of another library, which refuses to become a NumPy array, as those of GPUs do."""

    def __init__(self, values):
        self.values = np.asarray(values)

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)
    ndim = property(lambda self: self.values.ndim)
    size = property(lambda self: self.values.size)

    def __array__(self, *args, **kwargs):
        raise TypeError("this would be a copy to the host")

    def __getitem__(self, key):
        return Duck(self.values[key])

    def __setitem__(self, key, value):
        self.values[key] = plain(value)

    def astype(self, dtype, **options):
        return Duck(self.values.astype(dtype, **options))

    def all(self):
        return bool(self.values.all())

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return Duck(getattr(ufunc, method)(*map(plain, inputs), **options))

    def __array_function__(self, function, types, args, options):
        return Duck(function(*plain(args), **plain(options)))


def plain(value):
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value.values if isinstance(value, Duck) else value
