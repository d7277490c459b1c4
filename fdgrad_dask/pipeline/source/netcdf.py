"""How a netCDF file is opened, here or behind a URL.

A netCDF-3 file that was cut short opens without an error and reads as whatever the library makes
of what is not there, so it has to be as long as its header promises (NetCDF Classic Format
Specification of Unidata: CDF-1, 2 and 5). HDF5 refuses a file that was cut short by itself.
"""

from __future__ import annotations

import math
import os
from typing import Any, BinaryIO

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.source import remote

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of a type


def opening(file: str, options: dict[str, Any]) -> tuple[str | BinaryIO, str | None]:
    """What xarray opens, and by which engine."""
    if not remote.is_url(file):
        with open(file, "rb") as header:
            _require_whole(header, os.path.getsize(file), file)
        return file, None
    handle, size = remote.reading(file, options)
    if not _require_whole(handle, size, file):
        handle.seek(0)
        return handle, "h5netcdf"
    # Only the C library reads netCDF-3 piece by piece, and from disk.
    return remote.local_copy(file, options), None


def _require_whole(header: BinaryIO, size: int, name: str) -> bool:
    """Refuses a netCDF-3 file that is shorter than its header says; whether it is netCDF-3."""
    magic = header.read(4)
    if magic not in (b"CDF\1", b"CDF\2", b"CDF\5"):
        return magic.startswith(b"CDF")
    try:
        promised = _promised(header, magic[3])
    except EOFError as error:
        raise InputError(
            f"{name} is {size} bytes and ends inside its header: it was cut short; fetch it again"
        ) from error
    if size < promised:
        raise InputError(
            f"{name} is {size} bytes, its header promises {promised}: it was cut short; "
            "fetch it again"
        )
    return True


def _promised(header: BinaryIO, version: int) -> int:
    """Where the last value ends: of a variable, or of the last record."""
    wide = 8 if version == 5 else 4

    def take(size: int) -> bytes:
        held = header.read(size)
        if len(held) < size:
            raise EOFError
        return held

    def number(width: int = wide) -> int:
        return int.from_bytes(take(width), "big")

    def skip_padded(size: int) -> None:
        take(size + -size % 4)

    def listed() -> range:
        number(4)  # says of what; an absent list is a list of none
        return range(number())

    def skip_attributes() -> None:
        for _ in listed():
            skip_padded(number())
            item = _SIZES[number(4)]
            skip_padded(number() * item)

    def dimension() -> int:
        skip_padded(number())
        return number()

    records = number()
    lengths = [dimension() for _ in listed()]
    skip_attributes()
    ends, by_record = [0], []
    for _ in listed():
        skip_padded(number())
        shape = [lengths[number()] for _ in range(number())]
        skip_attributes()
        item = _SIZES[number(4)]
        number()  # its size, which has no room for that of a large one
        begin = number(4 if version == 1 else 8)
        if shape[:1] == [0]:  # the record dimension
            by_record.append((begin, math.prod(shape[1:]) * item))
        else:
            ends.append(begin + math.prod(shape) * item)
    if by_record and records not in (0, 256**wide - 1):  # unlimited, while a file is written
        # A record is padded to four bytes a variable, but not where there is only one.
        step = sum(held + (-held % 4 if by_record[1:] else 0) for _, held in by_record)
        ends += [begin + (records - 1) * step + held for begin, held in by_record]
    return max(ends)
