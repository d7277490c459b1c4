"""A Zarr store in which a chunk that is not there is an error.

zarr reads a chunk or shard that is missing as the fill value, and a shard of no bytes too, which
after a full disk or a broken copy is half a store of NaN. Seeing what each read gives back costs
nothing more than the read.
"""

from __future__ import annotations

import json
import math
from itertools import accumulate
from typing import TYPE_CHECKING

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from fdgrad_dask.errors import InputError

if TYPE_CHECKING:
    _Wrapper = WrapperStore[Store]
else:
    _Wrapper = WrapperStore

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


class Guarded(_Wrapper):
    """A store that is read, whose chunks have to be there.

    Parameters
    ----------
    store : Store
        The store.
    fill : bool
        Whether a chunk that is not there is the fill value after all; one of no bytes never is.
    """

    def __init__(self, store: Store, *, fill: bool) -> None:
        super().__init__(store)
        self.fill = fill

    def _with_store(self, store: Store) -> Guarded:
        return Guarded(store, fill=self.fill)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """What lies under ``key``."""
        found = await self._store.get(key, prototype, byte_range)
        if key.endswith(_METADATA):
            return found
        if found is None and not self.fill and await self._values(key, prototype) != 1:
            raise InputError(
                f"the chunk {key!r} is not there, and the fill value is no data; fetch it again, "
                "or, where empty chunks were never written, set source.missing_chunks: fill"
            )
        if found is not None and len(found) == 0:
            raise InputError(f"the chunk {key!r} has 0 bytes; fetch it again")
        return found

    async def _values(self, key: str, prototype: BufferPrototype) -> int:
        """How many values the array of a chunk has.

        A lone 0, such as a grid mapping or a single member, is what xarray never writes a chunk of.
        """
        parents = accumulate(key.split("/")[:-1], "{}/{}".format)
        for parent in reversed([*parents]):
            for name in ("zarr.json", ".zarray"):
                held = await self._store.get(f"{parent}/{name}", prototype)
                if held is not None:
                    return math.prod(json.loads(held.to_bytes())["shape"])
        return 0
