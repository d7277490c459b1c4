"""Distances on a sphere."""

from __future__ import annotations

from typing import Any

import numpy as np


def measure_steps(places: Any, axis: int, radius: float) -> Any:
    """Great-circle distances between neighbours along ``axis``, by haversines; lazy if places are.

    ``places`` are latitude and longitude in radians, (2, ny, nx).
    """
    first, last = ([slice(None)] * 3 for _ in range(2))
    first[axis + 1], last[axis + 1] = slice(None, -1), slice(1, None)
    (phi, lam), (phi_2, lam_2) = places[tuple(first)], places[tuple(last)]
    across = np.cos(phi) * np.cos(phi_2) * np.sin((lam_2 - lam) / 2) ** 2
    return 2 * radius * np.arcsin(np.sqrt(np.sin((phi_2 - phi) / 2) ** 2 + across))
