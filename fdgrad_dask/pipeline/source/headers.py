"""How long a netCDF file has to be, by its own header.

A netCDF-3 file that was cut short opens without an error and reads as whatever the library makes
of what is not there; HDF5 says no more than "HDF error". Both headers promise a size. netCDF-3:
NetCDF Classic Format Specification (Unidata), CDF-1, 2 and 5; HDF5: File Format Specification,
section II.A, superblock versions 0 to 3.
"""

from __future__ import annotations

import math
from typing import BinaryIO

from fdgrad_dask.errors import InputError

_CLASSIC, _HDF5 = b"CDF", b"\x89HDF\r\n\x1a\n"
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of a type


def require_whole(header: BinaryIO, size: int, name: str) -> None:
    """Refuses a netCDF file that is shorter than its header says.

    Parameters
    ----------
    header : binary file
        At its beginning.
    size : int
        Bytes that the file has.
    name : str
        For the message.

    Raises
    ------
    InputError
        It was cut short.
    """
    magic = header.read(8)
    try:
        if magic.startswith(_CLASSIC) and magic[3] in (1, 2, 5):
            header.seek(4)
            promised = _Classic(header, magic[3]).size()
        elif magic == _HDF5:
            promised = _hdf5(header)
        else:
            return
    except EOFError as error:
        raise InputError(
            f"{name} is {size} bytes and ends inside its header: it was cut short; fetch it again"
        ) from error
    if size < promised:
        raise InputError(
            f"{name} is {size} bytes, its header promises {promised}: it was cut short; "
            "fetch it again"
        )


def _hdf5(header: BinaryIO) -> int:
    """The end-of-file address of the superblock; 0 where its version is none that we know."""
    fields = _exactly(header, 8)
    version = fields[0]
    if version in (0, 1):
        # Five bytes in there is the size of an address; 8 bytes or 12 later these begin.
        width, skipped = fields[5], 8 if version == 0 else 12
        _exactly(header, skipped)
    elif version in (2, 3):
        # The version, the size of an offset and of a length, flags: then the addresses.
        width = fields[1]
        header.seek(12)
    else:
        return 0
    addresses = _exactly(header, 3 * width)
    return int.from_bytes(addresses[2 * width :], "little")


class _Classic:
    """A netCDF-3 header, read from front to end for the places of its variables."""

    def __init__(self, header: BinaryIO, version: int) -> None:
        self.header = header
        self.count_width = 8 if version == 5 else 4
        self.offset_width = 4 if version == 1 else 8

    def size(self) -> int:
        """Where the last value ends: of a variable, or of the last record."""
        unlimited = 256**self.count_width - 1  # the number of records while a file is written
        records = self._count()
        lengths = [self._dimension() for _ in range(self._listed())]
        self._attributes()
        ends, record = [], []
        for _ in range(self._listed()):
            shape, item, begin = self._variable(lengths)
            if shape[:1] == [0]:
                record.append((begin, math.prod(shape[1:]) * item))
            else:
                ends.append(begin + math.prod(shape) * item)
        if record and records not in (0, unlimited):
            # A record is padded to four bytes a variable, but not where there is only one.
            step = sum(_padded(held) for _, held in record) if len(record) > 1 else record[0][1]
            ends += [begin + (records - 1) * step + held for begin, held in record]
        return max(ends, default=0)

    def _dimension(self) -> int:
        self._name()
        return self._count()

    def _variable(self, lengths: list[int]) -> tuple[list[int], int, int]:
        """Its shape, in which 0 is the record dimension, bytes of a value, and where it begins."""
        self._name()
        shape = [lengths[self._count()] for _ in range(self._count())]
        self._attributes()
        item = _SIZES[self._integer(4)]
        self._count()  # its size, which has no room for that of a large one
        return shape, item, self._integer(self.offset_width)

    def _attributes(self) -> None:
        for _ in range(self._listed()):
            self._name()
            item = _SIZES[self._integer(4)]
            _exactly(self.header, _padded(self._count() * item))

    def _listed(self) -> int:
        """How many are in the list that begins here; an absent list is a list of none."""
        self._integer(4)
        return self._count()

    def _name(self) -> None:
        _exactly(self.header, _padded(self._count()))

    def _count(self) -> int:
        return self._integer(self.count_width)

    def _integer(self, width: int) -> int:
        return int.from_bytes(_exactly(self.header, width), "big")


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4


def _exactly(header: BinaryIO, size: int) -> bytes:
    held = header.read(size)
    if len(held) < size:
        raise EOFError
    return held
