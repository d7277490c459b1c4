"""A block, uneven points, and the kinds of stencils, for tests of blocks on devices."""

from __future__ import annotations

import numpy as np
import pytest

F = np.random.default_rng(0).standard_normal((20, 30))
X = np.cumsum(np.random.default_rng(1).uniform(0.5, 2, 20))
OPTIONS = {
    "plain": {},
    "edge_order 2": {"edge_order": 2},
    "accuracy 4": {"accuracy": 4},
    "periodic": {"boundary": "periodic", "period": 40.0},
    "reflect": {"boundary": "reflect", "accuracy": 4},
    "number": {"boundary": (1.5, None)},
}
options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
