"""The fold of a tripolar grid: which rows lie beyond the last one, found from where they lie.

Beyond the last row of such a grid lie its own last rows again, in reverse order and mirrored along
x (Murray 1996). The mirror turns about points of the grid, a T pivot, or about corners of its
cells, an F pivot. Some files repeat columns at both ends of x and the rows beyond the fold.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.grids.faces import Link, Side

Points = NDArray[np.float64]

# Parts of a cell. Points that are the same differ by rounding; a row that goes on beyond the fold
# differs from a parabola through three rows by the third derivative of the grid.
_SAME, _NEAR = 0.1, 0.25
_MOST_REPEATED = 4  # columns that repeat others, and rows
_PROBES = 32
_KNOWN = 0.1  # the least share of known points; files that skip land have none there


class Fold(NamedTuple):
    """Row j is row ``rows`` − j beyond the fold, and column i there column ``columns`` − i.

    Columns count from ``first``, modulo the ``width`` that differ; those before and behind repeat
    them. Rows from ``rows`` // 2 + 1 on lie beyond the fold. So the upper end of y is connected to
    itself, along which x is flipped.
    """

    rows: int
    columns: int
    first: int
    width: int

    @property
    def pivot(self) -> str:
        """``"T"`` where the mirror turns about rows of points, ``"F"`` where it does between."""
        return "F" if self.rows % 2 else "T"

    def connect(self, first_row: int = 1, first_column: int = 1) -> tuple[dict[Side, Link], int]:
        """The connections of a grid with this fold, and where its upper end lies, in half steps.

        The first points lie so many half steps from the lower ends of the first cells.
        """
        mirror = 2 * (self.columns + first_column)
        links: dict[Side, Link] = {(0, "x", end): Link(0, "x", False, False) for end in (0, 1)}
        links[0, "y", 1] = Link(0, "y", True, True, mirror)
        return links, self.rows + first_row


def make_fold(pivot: str, ny: int, nx: int) -> Fold:
    """The fold about a named pivot, as most models place it, of a grid that repeats no points.

    The pivots are the first point of the last row and that half of a turn on; or, between points,
    the ends and the middle of the line half a row beyond.
    """
    return Fold(2 * ny - 2, 0, 0, nx) if pivot == "T" else Fold(2 * ny - 1, nx - 1, 0, nx)


def find_fold(latitude: Any, longitude: Any) -> Fold | None:
    """Find the fold beyond the last row of a grid, (ny, nx) in degrees; None if there is none."""
    ny, nx = latitude.shape
    repeated = count_repeated_columns(latitude, longitude)
    first, width = repeated // 2, nx - repeated
    rows, columns = slice(-_MOST_REPEATED - 5, None), slice(first, first + width)
    points = locate(latitude[rows, columns], longitude[rows, columns])
    most = 2 * len(points) - 1
    for total in range(most, max(3, most - 2 - _MOST_REPEATED), -1):
        mirror = _guess_mirror(points, total)
        if mirror is not None and _is_fold(points, total, (mirror - np.arange(width)) % width):
            return Fold(total + 2 * (ny - len(points)), mirror, first, width)
    return None


def count_repeated_columns(latitude: Any, longitude: Any) -> int:
    """The number of columns at the end of x that are the first ones again."""
    most = min(_MOST_REPEATED, latitude.shape[1] // 2 - 1)
    if most < 1:
        return 0
    start = locate(latitude[:, : most + 1], longitude[:, : most + 1])
    end = locate(latitude[:, -most:], longitude[:, -most:])
    step = _distance(start[:, 1:], start[:, :-1])
    if not np.isfinite(step).any():
        return 0
    for n in range(1, most + 1):
        off = _distance(start[:, :n], end[:, most - n :])
        if _agree(off, _SAME * np.maximum(step[:, :n], np.nanmedian(step)), 1.0):
            return n
    return 0


def locate(latitude: Any, longitude: Any) -> Points:
    """Points on the unit sphere, (ny, nx, 3)."""
    lat, lon = (np.deg2rad(np.asarray(one, np.float64)) for one in (latitude, longitude))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def _guess_mirror(points: Points, total: int) -> int | None:
    """The column on which the first one is mirrored, as most of some columns have it.

    They are those to which the parabola through the last three rows leads.
    """
    width = points.shape[1]
    beyond, ahead = points[total - total // 2 - 1], _extrapolate(points, total)
    votes: dict[int, int] = {}
    for i in range(0, width, max(1, width // _PROBES)):
        off = _distance(beyond, ahead[i])
        if np.isfinite(off).any():
            mirror = (i + int(np.nanargmin(off))) % width
            votes[mirror] = votes.get(mirror, 0) + 1
    return max(votes, key=lambda mirror: votes[mirror]) if votes else None


def _is_fold(points: Points, total: int, mirrored: NDArray[np.int_]) -> bool:
    """True if the rows beyond the fold go on smoothly, and all that repeat others do."""
    last = total // 2
    cell = np.maximum(
        _distance(points[last], points[last - 1]),
        _distance(points[last], np.roll(points[last], 1, axis=0)),
    )
    off = _distance(_extrapolate(points, total), points[total - last - 1][mirrored])
    if not _agree(off, _NEAR * cell, 0.9):
        return False
    known = range((total + 1) // 2, len(points))
    return all(
        _agree(_distance(points[row], points[total - row][mirrored]), _SAME * cell, 1.0)
        for row in known
    )


def _extrapolate(points: Points, total: int) -> Points:
    """Where the first row beyond the fold should be, by a parabola through the last three."""
    last = total // 2
    ahead: Points = 3 * points[last] - 3 * points[last - 1] + points[last - 2]
    return ahead


def _distance(one: Points, other: Points) -> Points:
    distance: Points = np.linalg.norm(one - other, axis=-1)
    return distance


def _agree(off: Points, most: Points, share: float) -> bool:
    """True if so large a share of the known distances is no larger than allowed."""
    known = np.isfinite(off) & np.isfinite(most)
    return bool(known.mean() >= _KNOWN and (off <= most)[known].mean() >= share)
