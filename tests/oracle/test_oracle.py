"""The oracle itself against closed forms, and a small share of the soak."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.lines import Line, differentiate
from oracle.sized import Sized
from oracle.soak import Tally, try_batch, try_case

X = np.array([0.0, 0.7, 1.1, 2.0, 2.4, 3.5, 4.1, 4.2, 5.0, 6.3, 7.0])


@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
@pytest.mark.parametrize("order", [1, 2])
def test_the_oracle_is_exact_for_polynomials(order, accuracy):
    line = Line(X, accuracy, edge_order=2)
    p = np.polynomial.Polynomial(np.arange(1.0, accuracy + 1 + (order == 1)))
    found = differentiate(Sized(p(X.astype(np.longdouble))), 0, line, order)
    error = abs(found.value - p.deriv(order)(X.astype(np.longdouble)))
    assert (error <= 1e-17 * found.size).all()


def test_a_share_of_the_soak():
    """`make soak` tries more; the command that replays a case is in the message."""
    tally = Tally()
    wrong = []
    for number in range(300):
        case, found, ratio = try_case(6, number)
        tally.add(case, found, ratio)
        if found.startswith("WRONG"):
            wrong.append(f"python -m oracle.soak --seed 6 --case {number}: {found}\n{case.words()}")
    assert not wrong, "\n".join(wrong)
    right = sum(n for key, n in tally.counts.items() if key[3] == "right")
    assert right > 220


def test_counts_add_up_over_batches_and_runs(tmp_path):
    one, rest = try_batch(0, 0, 3), try_batch(0, 3, 2)
    assert one.counts.total() == 3
    one.seconds, one.next = 2.0, {"0": 3}
    one.save(tmp_path / "soak.json")
    found = Tally.load(tmp_path / "soak.json")
    assert found == one
    found.merge(rest)
    assert found.counts == one.counts + rest.counts
    assert found.table().startswith("5 cases, 0 wrong, 2 s")
