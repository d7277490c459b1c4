"""What all tests share: Hypothesis without clocks, a scheduler that refuses."""

from __future__ import annotations

import dask
import hypothesis
import pytest

# No clocks and no luck: the same examples every time, on machines of any speed.
hypothesis.settings.register_profile("fdgrad", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("fdgrad")


@pytest.fixture
def lazily():
    """A context in which to compute anything is an error: ``with lazily(): build()``."""

    def refuse(*args, **kwargs):
        raise AssertionError("something was computed while the graph was built")

    return lambda: dask.config.set(scheduler=refuse)


@pytest.fixture
def glibc(monkeypatch):
    """Makes this a process of plain glibc that started in an environment: ``glibc(variables)``."""
    from fdgrad_dask.blocks import allocator as memory  # libraries set filters when imported

    def started(environment):
        monkeypatch.setattr(memory, "_tuned", 0)
        monkeypatch.setattr(memory, "_other_allocator", lambda: "")
        for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        memory._given.cache_clear()

    yield started
    monkeypatch.undo()
    memory._given.cache_clear()


@pytest.fixture(scope="module")
def kernels():
    """Blocks of all sizes go through the kernels of XLA, small ones too."""
    from fdgrad_dask.blocks import compute as blocks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL", 0)
        yield
