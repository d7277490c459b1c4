"""A short form of the hour, and that its judge sees what grows."""

from __future__ import annotations

import numpy as np
import pytest

from oracle.endure import Sample, endure, find_faults


def test_some_rounds_give_the_same_bits():
    said: list[str] = []
    assert endure(1.0, said.append, every=0.0, rounds=3, workers=False) == []
    assert len(said) == 5  # a head, three samples and the outcome


def an_hour(**growing: float) -> list[Sample]:
    """Noise about a level, and what grows by so much a minute."""
    noise = np.random.default_rng(1).normal(0, 3, 60)
    level = {"memory": 600.0, "workers": 250.0, "files": 40, "threads": 30, "children": 3}
    return [
        Sample(
            minute,
            8 * minute,
            different=int(growing.get("different", 0) * minute),
            **{
                name: value
                + minute * growing.get(name, 0)
                + (noise[minute] if isinstance(value, float) else minute % 2)
                for name, value in level.items()
            },
        )
        for minute in range(60)
    ]


def test_noise_is_no_leak():
    assert find_faults(an_hour()) == []


@pytest.mark.parametrize(
    "growing",
    [{"memory": 0.5}, {"workers": 0.4}, {"files": 0.2}, {"threads": 0.1}, {"different": 0.05}],
)
def test_what_grows_is_seen(growing):
    (fault,) = find_faults(an_hour(**growing))
    assert next(iter(growing)) in fault or "differ" in fault
