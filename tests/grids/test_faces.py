"""Faces that go on in one another: where a side leads to, and how components turn there."""

from __future__ import annotations

from itertools import product

import pytest
from faces import LLC

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.faces import describe_side, is_regular_corner, read_connections

FACES = list(range(13))


def name_direction(d: complex) -> tuple[str, int]:
    """The axis that a direction x + i y runs along, and in which sense."""
    return ("x", int(d.real)) if d.real else ("y", int(d.imag))


def pair(axis: str, end: int, ahead: complex) -> dict:
    """Two faces; the ``axis`` of the first goes on in the direction ``ahead`` on the other."""
    other, sense = name_direction(ahead)
    entered = (1 - end) if sense == 1 else end
    ends = {0: [None, None], 1: [None, None]}
    ends[0][end] = 1, other.upper(), sense == -1
    ends[1][entered] = 0, axis.upper(), sense == -1
    return {0: {axis.upper(): tuple(ends[0])}, 1: {other.upper(): tuple(ends[1])}}


@pytest.mark.parametrize("ahead", [1, 1j, -1, -1j])
@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_axes_turn_by_quarters(axis, end, ahead):
    """Faces are turned, never mirrored: y is a quarter ahead of x on both."""
    links = read_connections(pair(axis, end, ahead), [0, 1], "face")
    link = links[0, axis, end]
    other, sense = name_direction(ahead)
    assert link.lands(end) == (1, other, 1 - end if sense == 1 else end)
    assert links[link.lands(end)].lands(link.lands(end)[2]) == (0, axis, end)
    y_or_minus_x = ahead * 1j
    aside = y_or_minus_x if axis == "x" else -y_or_minus_x
    assert link.signs(axis, axis) == (other, sense)
    assert link.signs(axis, "y" if axis == "x" else "x") == name_direction(aside)
    assert link.mirror is None


def test_names_may_be_the_words_of_a_config_and_axes_lower_case():
    given = {"1": {"y": [None, ["2", "x", False]]}, "2": {"x": ((1, "Y", 0), None)}}
    links = read_connections(given, [1, 2], "face")
    assert {*links} == {(1, "y", 1), (2, "x", 0)}
    assert links[1, "y", 1].lands(1) == (2, "x", 0)


def with_ends(*ends):
    return {1: {"X": ends}}


WAY = "write them as xgcm does"
WRONG = {
    "no mapping": ({1: [None, None]}, rf"the connections of face 1 are \[None, None\]; {WAY}"),
    "an axis z": ({1: {"Z": (None, None)}}, f"face 1 has 'Z': .*{WAY}"),
    "one end": ({1: {"X": (None,)}}, f"face 1 has 'X': .*{WAY}"),
    "three ends": (with_ends(None, None, None), f"face 1 has 'X': .*{WAY}"),
    "a number": (with_ends(None, 2), f"the upper end of X of face 1 is connected to 2; {WAY}"),
    "a word": (
        with_ends("2X0", None),
        f"the lower end of X of face 1 is connected to '2X0'; {WAY}",
    ),
    "two parts": (with_ends((2, "X"), None), rf"connected to \(2, 'X'\); {WAY}"),
    "to an axis z": (with_ends((2, "Z", False), None), f"connected to .*'Z', False.; {WAY}"),
    "to an axis xy": (with_ends((2, "XY", False), None), f"connected to .*'XY', False.; {WAY}"),
    "no face": (with_ends((7, "X", False), None), "there is no face 7; 'tile' has 1, 2$"),
    "no face again": ({"a": {}}, "there is no face 'a'; 'tile' has 1, 2$"),
    "an open end": (
        with_ends(None, (2, "X", False)),
        "the upper end of X of face 1 is connected to the lower end of X of face 2, but that one "
        "is open; correct one of them",
    ),
    "another end": (
        {1: {"X": (None, (2, "X", False))}, 2: {"X": ((1, "Y", False), None)}},
        "but that one is connected to another side; correct one of them",
    ),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_what_leads_nowhere_is_refused(given, message):
    with pytest.raises(OptionError, match=message):
        read_connections(given, [1, 2], "tile")


# Of an LLC grid: three faces meet at the corners of the cap, which is face 6; these are open.
CORNERS_OF_CAP = {(2, i, 1) for i in (0, 1)} | {(5, i, 1) for i in (0, 1)}
CORNERS_OF_CAP |= {(face, 0, j) for face in (7, 10) for j in (0, 1)}
CORNERS_OF_CAP |= {(6, i, j) for i in (0, 1) for j in (0, 1)}
OPEN = {(face, i, 0) for face in (0, 3) for i in (0, 1)}
OPEN |= {(face, 1, j) for face in (9, 12) for j in (0, 1)}


@pytest.mark.parametrize("face", FACES)
def test_four_faces_meet_at_all_corners_but_those_of_the_cap(face):
    links = read_connections(LLC["face"], FACES, "face")
    for i, j in product((0, 1), repeat=2):
        is_regular = (face, i, j) not in CORNERS_OF_CAP | OPEN
        assert is_regular_corner(links, (face, "x", i), j) == is_regular
        assert is_regular_corner(links, (face, "y", j), i) == is_regular


def test_a_side_in_words():
    assert describe_side((3, "x", 0)) == "the lower end of X of face 3"
    assert describe_side(("north", "y", 1)) == "the upper end of Y of face 'north'"
