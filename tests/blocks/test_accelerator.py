"""NumPy blocks on an accelerator: what goes up, in which parts, and what comes down."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from block_cases import F, X, options
from numpy.testing import assert_array_equal

from fdgrad_dask import gradient
from fdgrad_dask.blocks import accelerator, device
from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.stencils.table import stencil


@pytest.fixture
def accelerated(monkeypatch):
    """The CPU passes for an accelerator; the list has the shapes that were sent there."""
    sent = []
    put = jax.device_put

    def counted(x, *where, **options):
        sent.append(np.shape(x))
        return put(x, *where, **options)

    monkeypatch.setattr(blocks, "SMALL", 0)
    monkeypatch.setattr(blocks, "is_accelerated", lambda: True)
    monkeypatch.setattr(jax, "device_put", counted)
    device._kept.cache_clear()
    return sent


@options
def test_numpy_blocks_go_up_once_and_their_tables_once_for_all(accelerated, options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "is_accelerated", lambda: False)
        want = gradient(F, X, axis=0, **options)
    accelerated.clear()
    sent = []
    for fields in (1, 2):
        got = gradient(F, X, axis=0, **options)
        assert type(got) is np.ndarray
        assert got.flags.writeable
        assert_array_equal(got, want)
        assert accelerated.count(F.shape) == fields
        sent.append(len(accelerated))
    assert sent[1] == sent[0] + 1


def test_blocks_in_another_byte_order_go_up(accelerated):
    got = gradient(F.astype(">f8"), X, axis=0)
    assert accelerated.count(F.shape) == 1
    assert_array_equal(got, np.gradient(F, X, axis=0))


@options
@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_larger_than_the_device_are_cut(accelerated, monkeypatch, axis, options):
    f = F if axis == 0 else F.T
    want = gradient(f, X, axis=axis, **options)
    accelerated.clear()
    monkeypatch.setattr(accelerator, "_room", lambda: 4 * F.nbytes)
    got = gradient(f, X, axis=axis, **options)
    assert_array_equal(got, want)
    sent = [shape[0] for shape in accelerated if shape[1:] == f.shape[1:]]
    assert max(sent) == len(f) // 4  # it and its result take 16 times an eighth of the memory


PARTS = [  # axis, accuracy, bytes of the device, rows; a block and its result take 9600
    (0, 2, 8 * 9600, [20]),
    (0, 2, 8 * 9600 - 1, [19, 1]),
    (0, 2, 8 * 4800, [10, 10]),
    (0, 2, 8 * 3000, [6, 6, 6, 2]),
    (0, 2, 1, [1] * 20),
    (0, 4, 8 * 9600 - 1, [20]),  # a last part of one row would be too thin
    (0, 4, 1, [3, 3, 3, 3, 3, 5]),
    (1, 4, 1, [1] * 20),  # an axis that is not differentiated may be cut anywhere
]


@pytest.mark.parametrize(("axis", "accuracy", "room", "rows"), PARTS)
def test_parts_are_as_large_as_there_is_room_for(monkeypatch, axis, accuracy, room, rows):
    """An eighth of the memory, as threads share it; and no thinner than a stencil needs."""
    seen, compute = [], accelerator.compute_on_device

    def counted(parts, *others):
        seen.append(len(parts[0].core))
        return compute(parts, *others)

    monkeypatch.setattr(accelerator, "_room", lambda: room)
    monkeypatch.setattr(accelerator, "compute_on_device", counted)
    program = single(stencil(1.0, F.shape[axis], accuracy=accuracy), axis)
    with jax.enable_x64(True):
        (got,) = accelerator.compute_on_accelerator([Block(F)], F.shape, program, F.dtype)
    assert seen == rows
    assert got.flags.writeable
    np.testing.assert_allclose(got, gradient(F, axis=axis, accuracy=accuracy), rtol=1e-12)


def test_what_comes_down_is_copied_once_and_may_be_written_to(monkeypatch):
    """NumPy's copy of an array on a device is its own, but read-only; a view of ours is neither."""
    down = F.copy()
    down.flags.writeable = False
    for held in (down, down[:]):
        result = type("Result", (), {"__array__": lambda self, dtype=None, copy=None, a=held: a})()
        monkeypatch.setattr(accelerator, "compute_on_device", lambda *_, r=result: [r])
        program = single(stencil(1.0, len(F)), 0)
        (got,) = accelerator.compute_on_accelerator([Block(F)], F.shape, program, F.dtype)
        assert got.flags.writeable
        assert (got is down) == (held is down)
        assert_array_equal(got, F)


def test_what_there_is_room_for(monkeypatch):
    stats = {"bytes_limit": 400}
    chip = SimpleNamespace(memory_stats=lambda: stats)
    monkeypatch.setattr(jax, "local_devices", lambda: [chip])
    assert accelerator.has_room(100)
    assert not accelerator.has_room(101)
    stats = None  # of a device that does not say
    assert accelerator.has_room(1 << 50)
    assert not accelerator.is_accelerated()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert accelerator.is_accelerated()
