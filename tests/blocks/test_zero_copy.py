"""What XLA reads where it lies: which elements, and that it has let go of them in the end."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks import zero_copy
from fdgrad_dask.blocks.zero_copy import Memory, lend, lending


@pytest.fixture
def nothing_lent(monkeypatch):
    monkeypatch.setattr(zero_copy, "_in_use", [])


@pytest.mark.parametrize("dtype", ["f4", "i2", "c8"])
@pytest.mark.parametrize("start", [0, 1, 5])
def test_memory_begins_where_xla_need_not_copy_it(nothing_lent, dtype, start):
    """At a multiple of 64 bytes; its length depends on the size of the array alone."""
    size = np.dtype(dtype).itemsize
    raw = np.zeros(50 * size + 192, np.uint8)
    begin = 64 - raw.ctypes.data % 64 + start * size
    core = raw[begin : begin + 24 * size].view(dtype).reshape(4, 6)
    core[...] = np.arange(24).reshape(4, 6)
    with lending():
        array, offset = lend(core)
        assert offset == start
        assert array.shape == (24 + 64 // size,)
        assert array.unsafe_buffer_pointer() == core.ctypes.data - start * size
        assert_array_equal(np.asarray(array)[offset : offset + 24], core.ravel())
        assert len(zero_copy._in_use) == 1
        del array
    assert zero_copy._in_use == []


def test_what_is_lent_within_is_let_go_of_first(nothing_lent):
    with lending():
        lend(np.zeros(40, "f4"))
        with lending():
            lend(np.zeros(40, "f4"))
            assert len(zero_copy._lent.arrays) == 1
            assert len(zero_copy._in_use) == 2
        assert len(zero_copy._lent.arrays) == 1
        assert len(zero_copy._in_use) == 1
    assert zero_copy._in_use == []


def test_what_somebody_still_holds_is_not_forgotten(nothing_lent, monkeypatch):
    monkeypatch.setattr(zero_copy, "PATIENCE", 0.01)
    with lending():
        lend(np.zeros(40, "f4"))
        held = [memory() for memory in zero_copy._in_use]
    assert [memory() for memory in zero_copy._in_use] == held
    del held
    gc.collect()
    zero_copy.await_release()


def test_memory_may_be_written_to_though_its_array_may_not():
    array = np.arange(12.0)
    array.flags.writeable = False
    seen = np.asarray(Memory(array, 2, (2, 4)))
    assert_array_equal(seen, np.arange(2.0, 10).reshape(2, 4))
    assert seen.flags.writeable
    assert np.shares_memory(seen, array)


@pytest.fixture
def let_go_later(nothing_lent, monkeypatch):
    """Holds what is lent, as a thread of XLA does, and says when it has let go."""
    monkeypatch.setattr(zero_copy, "PATIENCE", 60.0)

    def hold(*held):
        let_go, held = [], list(held)

        def later():
            time.sleep(0.2)
            let_go.append(True)
            held.clear()

        threading.Thread(target=later).start()
        return let_go

    return hold


def test_lending_ends_when_xla_has_let_go(let_go_later):
    with lending():
        lend(np.zeros(40, "f4"))
        let_go = let_go_later(zero_copy._in_use[0]())
    assert let_go
    assert zero_copy._in_use == []


def test_the_end_waits_until_xla_has_let_go(let_go_later):
    memory = zero_copy.Memory(np.zeros(1000, "f4"), 0, (1000,))
    zero_copy._in_use.append(weakref.ref(memory))
    let_go = let_go_later(memory)
    del memory
    zero_copy.await_release()
    assert let_go


def test_the_end_does_not_wait_for_ever(nothing_lent, monkeypatch):
    monkeypatch.setattr(zero_copy, "PATIENCE", 0.01)
    memory = zero_copy.Memory(np.zeros(1000, "f4"), 0, (1000,))
    zero_copy._in_use.append(weakref.ref(memory))
    zero_copy.await_release()
    assert [memory] == [known() for known in zero_copy._in_use]
