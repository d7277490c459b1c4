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
    with pytest.warns(
        RuntimeWarning, match="keep freed memory: the C library .* is not glibc"
    ) as seen:
        fd.tune_memory()
    assert seen[0].filename == __file__


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
    with pytest.warns(RuntimeWarning, match=r"glibc refused the parameters \[-3\] of mallopt"):
        fd.tune_memory()


@pytest.fixture
def asked(monkeypatch):
    """glibc, which takes everything; the list has what it was asked for."""
    asked = []

    class Willing:
        @staticmethod
        def mallopt(number, value):
            asked.append((number, value))
            return 1

    monkeypatch.setattr(memory, "_is_glibc", lambda: True)
    monkeypatch.setattr(memory, "_other_allocator", lambda: "")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Willing)
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    return asked


@pytest.mark.parametrize(("given", "keep"), [((), 2**31 - 1), ((1,), 1), ((1 << 20,), 1 << 20)])
def test_glibc_is_asked_to_keep_so_much(asked, given, keep):
    """M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX are -3, -1 and -8 in malloc.h."""
    fd.tune_memory(*given)
    assert sorted(asked) == [(-8, 1), (-3, keep), (-1, keep)]
    assert memory.is_default()  # nothing in the environment; results still share buffers


@pytest.mark.parametrize(
    ("name", "value", "is_default"),
    [
        ("MALLOC_ARENA_MAX", "2", False),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=9", False),
        ("GLIBC_TUNABLES", "glibc.pthread.rseq=0", True),
        ("OTHER_MALLOC_", "1", True),
    ],
)
def test_the_environment_may_say_what_to_keep(asked, monkeypatch, name, value, is_default):
    monkeypatch.setenv(name, value)
    assert memory.is_default() is is_default


@pytest.mark.parametrize("library", ["jemalloc", "tcmalloc_minimal", "mimalloc", "m"])
def test_an_allocator_in_place_of_glibcs_is_found(monkeypatch, library):
    found = {"tcmalloc_minimal": "tcmalloc", "m": ""}.get(library, library)
    line = f"7f00-7f01 r-xp 0 0 0 /usr/lib/lib{library}.so.2\n"
    for answer in (lambda self: line, _refuse):
        monkeypatch.setattr(memory.Path, "read_text", answer)
        monkeypatch.setenv("LD_PRELOAD", f"/usr/lib/lib{library}.so.2")
        assert memory._other_allocator.__wrapped__() == found


def _refuse(path):
    raise PermissionError


def test_which_c_library_this_is(monkeypatch):
    for answer, wanted in (("glibc 2.35", True), ("musl 1.2", False), (None, False)):
        monkeypatch.setattr(memory.os, "confstr", lambda name, answer=answer: answer)
        assert memory._is_glibc() is wanted
    monkeypatch.delattr(memory.os, "confstr")
    assert memory._is_glibc() is False


@pytest.mark.parametrize("keep", [0, -1, 2**31])
def test_keep_has_the_range_of_an_int(keep):
    with pytest.raises(OptionError, match=rf"keep is {keep} bytes.*takes 1 to 2147483647; give"):
        fd.tune_memory(keep)
