"""Fields go to a device, where the operators then compute."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from fdgrad_dask.blocks.accelerator import has_room as has_room
from fdgrad_dask.blocks.accelerator import is_accelerated as is_accelerated
from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.halo.fields import is_dask
from fdgrad_dask.halo.tasks import register_jax
from fdgrad_dask.stencils.dtypes import in_native_order


def to_device(obj: Any, device: Any = None) -> Any:
    """The same with JAX arrays on a device, where all that is made of them stays.

    Float64 stays float64, whether or not ``jax_enable_x64`` is set. ``.map_blocks(np.asarray)``
    or ``.as_numpy()`` bring the data back.

    Parameters
    ----------
    obj
        A NumPy or JAX array, a dask array, a DataArray or a Dataset. The chunks of a dask array
        go there when they are computed. Coordinates stay on the host, and so does what holds
        neither numbers nor truth values, such as dates.
    device
        A `jax.Device` or a sharding of JAX; None for the default device. On a cluster of several
        processes leave it None: each worker has its own.

    Returns
    -------
    As ``obj``
        Of the same shape, dtype and labels; the bytes in this machine's order.

    Raises
    ------
    TypeError
        The array is masked, or of another library.

    Examples
    --------
    >>> import numpy as np
    >>> to_device(np.array([1.0, 4.0])).dtype
    dtype('float64')
    """
    if hasattr(obj, "data_vars"):  # a Dataset; xarray is none of this room's business
        return obj.assign({name: to_device(one, device) for name, one in obj.data_vars.items()})
    if hasattr(obj, "dims"):
        return obj.copy(data=to_device(obj.data, device))
    if is_dask(obj):
        _refuse_foreign(obj._meta)
        if obj.dtype.kind not in _KINDS:
            return obj
        meta = _put(np.empty(0, obj.dtype))
        return obj.map_blocks(_put, device, dtype=meta.dtype, meta=meta)
    _refuse_foreign(obj)
    return _put(obj, device) if obj.dtype.kind in _KINDS else obj


_KINDS = "biufc"


def _put(array: Any, device: Any = None) -> jax.Array:
    array = array if is_jax(array) else in_native_order(array)
    with jax.enable_x64(True):
        placed: jax.Array = jax.device_put(array, device)
    register_jax(type(placed))
    return placed


def _refuse_foreign(array: Any) -> None:
    if not is_jax(array) and type(array) not in (np.ndarray, np.memmap):
        kind = f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"
        raise TypeError(
            f"the data are of {kind}, which no device takes as it is; convert them to NumPy first: "
            "np.asarray(f), or .filled(np.nan) for a masked array"
        )
