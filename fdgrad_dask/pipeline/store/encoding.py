"""What the target's arrays look like when they are stored: packing, codecs, units of time."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr
from numcodecs import BitRound
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.source.select import ATTRIBUTES, named_in

_TIME = ("units", "calendar")  # the only encoding of a source that holds for its coordinates here
_MANTISSA = {2: 10, 4: 23, 8: 52}  # bits, by the bytes of a float


def stored(values: NDArray[Any], target: Target) -> NDArray[Any]:
    """The numbers that stand for ``values``: rounded if asked for, durations as integers."""
    if values.dtype.kind == "m":
        return values.astype("timedelta64[ns]").view(np.int64)
    if target.round_bits is None or values.dtype.kind != "f":
        return values
    bits = min(target.round_bits, _MANTISSA.get(values.dtype.itemsize, 52))
    rounded = np.asarray(BitRound(bits).encode(np.array(values))).view(values.dtype)
    # A NaN's payload is no mantissa to be rounded: it must not become inf.
    return np.where(np.isfinite(values), rounded, values)


def codecs(target: Target) -> dict[str, Any]:
    """How chunks are compressed; the checksum comes last, so that it covers what is stored."""
    compressor = BloscCodec(cname="zstd", clevel=7, shuffle="bitshuffle")
    if target.compression == "fast":
        compressor = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    return {"compressors": (compressor, Crc32cCodec())}


def encoded(result: xr.Dataset, compression: dict[str, Any]) -> xr.Dataset:
    """Without the encoding of the source, whose packing and codecs do not fit the result."""
    written = result.copy()
    own = {name for name in written.coords if name not in written.dims} - named_in(written)
    for name, variable in written.variables.items():
        kept = {key: variable.encoding[key] for key in _TIME if key in variable.encoding}
        # xarray reads months and years since a date, and writes none.
        if variable.dtype.kind in "MO" and str(kept.get("units")).startswith(("month", "year")):
            del kept["units"]
        related = {key: variable.attrs.pop(key) for key in ATTRIBUTES if key in variable.attrs}
        special: dict[str, Any] = {}
        if name not in written.data_vars:
            special = {"_FillValue": None}
        else:
            # xarray leaves out a coordinate whose name is the beginning of another's bounds.
            labels = sorted(str(n) for n in own if {*written[n].dims} <= {*variable.dims})
            layout = ("chunks", "shards")
            special = {key: variable.encoding[key] for key in layout if key in variable.encoding}
            special |= {"coordinates": " ".join(labels)} if labels else {}
            if variable.dtype.kind == "m":
                special |= {"units": "nanoseconds", "dtype": "int64"}
        variable.encoding = {**kept, **related, **special, **compression}
    return written


def described(template: xr.Dataset, target: Target) -> dict[str, Buffer]:
    """The objects of a hierarchy without the shards of its fields: metadata and labels."""
    objects: dict[str, Buffer] = {}
    with quiet():
        encoded(template, codecs(target)).to_zarr(
            MemoryStore(objects),
            compute=False,
            consolidated=False,
            zarr_format=3,
            write_empty_chunks=True,
        )
    return objects


@contextmanager
def quiet() -> Iterator[None]:
    """Without zarr's notes that text and consolidated metadata are no part of Zarr 3 yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The data type .* does not have a Zarr V3 specification")
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        yield
