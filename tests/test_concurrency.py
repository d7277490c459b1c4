"""Many threads, held and dropped results, forks and ends: the same bits, and no process aborts.

``FDGRAD_SOAK`` asks for the long counts, as ``make soak`` does.
"""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np
import pytest
from fields import ROSSBY_HAURWITZ, globe

from fdgrad_dask import gradient, operators
from fdgrad_dask.blocks import buffers, host

SOAK = bool(int(os.environ.get("FDGRAD_SOAK", "0")))
THREADS = 8

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture(params=["reused", "fresh"])
def outputs(request, monkeypatch, default_allocator):
    """Buffers of results that are gone are used again, or are not."""
    monkeypatch.setattr(host, "MIN_COLUMNS", 1)
    monkeypatch.setattr(buffers, "MIN_SIZE", 0 if request.param == "reused" else 1 << 60)
    buffers.clear()
    yield
    buffers.clear()


def test_one_graph_has_the_same_bits_however_its_tasks_meet(outputs):
    u, v = (each.chunk(lat=5, lon=7) for each in ROSSBY_HAURWITZ.wind(globe(15.0)))
    lazy = operators.kinematics(u, v, which=["vorticity", "divergence"])
    lazy["slope"] = operators.gradient(u, "lat", accuracy=4)
    want = lazy.compute(scheduler="synchronous")
    for _ in range(200 if SOAK else 2):
        got = lazy.compute(scheduler="threads", num_workers=THREADS)
        for name in want:
            assert got[name].values.tobytes() == want[name].values.tobytes()


def digest(array):
    return sha256(np.ascontiguousarray(array)).digest()


def test_results_are_held_dropped_changed_and_pickled_while_others_are_computed(outputs):
    rng = np.random.default_rng(1)
    fields = [rng.standard_normal(shape) for shape in ((9, 8, 7), (40, 30), (500,), (6, 300))]
    cases = [(f, axis) for f in fields for axis in range(f.ndim)]
    wanted = [digest(gradient(f, axis=axis)) for f, axis in cases]

    def work(seed):
        dice, held = random.Random(seed), []
        for _ in range(2000 if SOAK else 25):
            case = dice.randrange(len(cases))
            f, axis = cases[case][0].copy(), cases[case][1]
            result = gradient(f, axis=axis)
            f[...] = np.nan  # what is the caller's again
            assert digest(result) == wanted[case]
            match dice.randrange(4):
                case 0:
                    held.append((result, wanted[case]))
                case 1:
                    result *= 2.0
                    held.append((result[::-1], digest(result[::-1])))
                case 2:
                    again = pickle.loads(pickle.dumps(result))
                    held.append((again, wanted[case]))
                case 3 if held:
                    held.pop(dice.randrange(len(held)))
        return all(digest(result) == want for result, want in held)

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(work, range(THREADS)))


WORKING = """
import os, random, sys, threading, time
import dask.array as da, numpy as np
from fdgrad_dask import gradient

random.seed(int(sys.argv[1]))
fields = [np.random.default_rng(n).random(shape) for n, shape in
          enumerate([(20, 20), (400, 500), (1500, 1000)])]  # in NumPy, by one window, in place
wanted = [gradient(f, axis=0) for f in fields]
held = []

def serve(n):
    while True:
        held[n:n + 1] = [gradient(fields[n], axis=0)]

def lazily():
    lazy = gradient(da.from_array(fields[1], chunks=100), axis=1)
    while True:
        lazy.compute(scheduler="threads")

for n in range(3):
    threading.Thread(target=serve, args=(n,), daemon=True).start()
threading.Thread(target=lazily, daemon=True).start()
time.sleep(random.uniform(0, 0.3))
"""

FORKING = """
child = os.fork()
if not child:
    same = all(np.array_equal(gradient(f, axis=0), w) for f, w in zip(fields, wanted))
    os._exit(0 if same else 7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def end(seed, code):
    """What a process that computes in threads says when it ends in the middle of it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(seed)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not SOAK, reason="a hundred processes: make soak")
@pytest.mark.parametrize("code", [WORKING, WORKING + FORKING], ids=["end", "fork"])
def test_a_hundred_ends(code):
    wrong = {seed: said for seed in range(100) if (said := end(seed, code)) != (0, "")}
    assert wrong == {}
