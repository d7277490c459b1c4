"""`tune_memory`: counted in page faults, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import fdgrad_dask as fd
from fdgrad_dask.blocks import allocator as memory
from fdgrad_dask.errors import OptionError

FAULTS = """
import resource, sys
import numpy as np
from fdgrad_dask.blocks.allocator import tune_memory

if "tuned" in sys.argv:
    assert tune_memory() is None
if "operators" in sys.argv:  # the command: the arguments are its own
    from fdgrad_dask import cli
    assert cli.main() == 0
np.ones(1 << 23)  # 64 MiB, given back at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ON_GLIBC = pytest.mark.skipif(not memory._is_glibc(), reason="glibc is tuned, and nothing else")


def faults(*arguments: str, **environment: str) -> list[str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC"))}
    run = subprocess.run(
        [sys.executable, "-c", FAULTS, *arguments],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


@ON_GLIBC
def test_large_blocks_are_faulted_in_once():
    (tuned,), (plain,) = faults("tuned"), faults()
    assert int(tuned) < 8 < int(plain)


@ON_GLIBC
def test_the_command_tunes_its_process_unless_the_user_has():
    *_, ours = faults("operators")
    *_, theirs = faults("operators", MALLOC_MMAP_THRESHOLD_="1000000")
    assert int(ours) < 8 < int(theirs)


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory, "_is_glibc", lambda: False)
    monkeypatch.setattr(memory.ctypes, "CDLL", None)
    with pytest.warns(RuntimeWarning, match="keep freed memory: the C library .* is not glibc"):
        fd.tune_memory()


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_is_glibc", lambda: True)
    monkeypatch.setattr(memory, "_other_allocator", lambda: "jemalloc")
    monkeypatch.setattr(memory.ctypes, "CDLL", None)
    fd.tune_memory()


def test_what_glibc_refuses_is_said(monkeypatch):
    class Refusing:
        @staticmethod
        def mallopt(number, value):
            return int(number != -3)

    monkeypatch.setattr(memory, "_is_glibc", lambda: True)
    monkeypatch.setattr(memory, "_other_allocator", lambda: "")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Refusing)
    monkeypatch.setattr(memory, "_tuned", 0)
    with pytest.warns(RuntimeWarning, match=r"glibc refused the parameters \[-3\] of mallopt"):
        fd.tune_memory()
    assert memory._tuned == 0


@pytest.mark.parametrize("keep", [0, -1, 2**31])
def test_keep_has_the_range_of_an_int(keep):
    with pytest.raises(OptionError, match=rf"keep is {keep} bytes.*takes 1 to 2147483647; give"):
        fd.tune_memory(keep)
