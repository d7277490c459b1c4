"""What all tests share: Hypothesis without clocks, little to collect, a scheduler that refuses."""

from __future__ import annotations

import gc
import os

import dask
import hypothesis
import pytest

# No clocks and no luck: the same examples every time, on machines of any speed.
hypothesis.settings.register_profile("fdgrad", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("fdgrad")


def pytest_collection_finish():
    """Modules and tests stay: to look at them in every collection takes a third of all time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def little_to_collect():
    """So do kernels that are compiled meanwhile."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def lazily():
    """A context in which to compute anything is an error: ``with lazily(): build()``."""

    def refuse(*args, **kwargs):
        raise AssertionError("something was computed while the graph was built")

    return lambda: dask.config.set(scheduler=refuse)


@pytest.fixture
def default_allocator(monkeypatch):
    """This process is one of plain glibc, in whose environment nothing is said about memory."""
    from fdgrad_dask.blocks import allocator  # libraries set filters when imported

    monkeypatch.setattr(allocator, "_other_allocator", lambda: "")
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    assert allocator.is_default()


@pytest.fixture(scope="module")
def kernels():
    """Blocks of all sizes go through the kernels of XLA, small ones too."""
    from fdgrad_dask.blocks import compute as blocks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL", 0)
        yield


def pytest_collection_modifyitems(items):
    """Tests of many seconds begin first, so that no process works alone on them at the end."""
    items.sort(key=lambda item: "workflows" not in item.path.parts)
