"""Which faces of a grid lie beside one another: LLC grids of MITgcm, cubed spheres."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from fdgrad_dask.errors import OptionError

Side = tuple[Hashable, str, int]  # face, "x" or "y", 0 for its lower end and 1 for the upper one
_WAY = (
    "write them as xgcm does: {face: {'X': (lower, upper), 'Y': (lower, upper)}}, each of these "
    "None or (face beside it, its axis 'X' or 'Y', True if the axes run against one another)"
)


class Link(NamedTuple):
    """What lies beyond one side of a face: which other face, and how it is turned.

    ``axis`` is the axis of the other face that goes on from this one, ``is_reversed`` if it runs
    the other way. Faces are turned and never mirrored, so that tells the other axis too.
    """

    face: Hashable
    axis: str
    is_reversed: bool
    is_flipped: bool  # the axis along the side runs the other way
    mirror: int | None = None  # a place and that it is flipped to add up to it; without it the end

    def lands(self, end: int) -> Side:
        """The side of the other face that this link, from an ``end`` of its axis, leads to."""
        return self.face, self.axis, end if self.is_reversed else 1 - end

    def signs(self, axis: str, own: str) -> tuple[str, int]:
        """The component of the other face, and its sign, that is the one along ``own`` here.

        ``axis`` is the axis of this face that is continued.
        """
        if own == axis:
            return self.axis, -1 if self.is_reversed else 1
        return across(self.axis), -1 if self.is_flipped else 1


def across(axis: str) -> str:
    return "y" if axis == "x" else "x"


def read_connections(given: Any, faces: Sequence[Hashable], dim: Hashable) -> dict[Side, Link]:
    """Read connections of faces as xgcm has them, and check that each names the other.

    Raises OptionError for faces or axes that do not exist, and for sides that do not lead back.
    """
    links: dict[Side, Link] = {}
    for named, axes in given.items():
        face = _find_face(named, faces, dim)
        if not isinstance(axes, Mapping):
            raise OptionError(f"the connections of face {face!r} are {axes!r}; {_WAY}")
        for axis, ends in axes.items():
            if str(axis).lower() not in ("x", "y") or len(ends) != 2:
                raise OptionError(f"face {face!r} has {axis!r}: {ends!r}; {_WAY}")
            for end, link in enumerate(ends):
                if link is not None:
                    side = face, str(axis).lower(), end
                    links[side] = _read_link(link, side, faces, dim)
    for side, link in links.items():
        there = link.lands(side[2])
        back = links.get(there)
        if back is None or back.lands(there[2]) != side:
            state = "open" if back is None else "connected to another side"
            raise OptionError(
                f"{describe_side(side)} is connected to {describe_side(there)}, but that one is "
                f"{state}; correct one of them"
            )
    return links


def _read_link(link: Any, side: Side, faces: Sequence[Hashable], dim: Hashable) -> Link:
    if not isinstance(link, (tuple, list)) or len(link) != 3 or str(link[1]).lower() not in {*"xy"}:
        raise OptionError(f"{describe_side(side)} is connected to {link!r}; {_WAY}")
    face, axis, is_reversed = _find_face(link[0], faces, dim), str(link[1]).lower(), bool(link[2])
    return Link(face, axis, is_reversed, is_flipped=(axis != side[1]) != is_reversed)


def _find_face(given: Any, faces: Sequence[Hashable], dim: Hashable) -> Hashable:
    """The label of a face; in YAML all keys are words."""
    for face in faces:
        if given == face or given == str(face):
            return face
    raise OptionError(f"there is no face {given!r}; {dim!r} has {', '.join(map(repr, faces))}")


def describe_side(side: Side) -> str:
    """Name a side in words."""
    return f"the {'upper' if side[2] else 'lower'} end of {side[1].upper()} of face {side[0]!r}"


def is_regular_corner(links: Mapping[Side, Link], side: Side, other_end: int) -> bool:
    """True if four faces meet where ``side`` ends, at the end ``other_end`` of its other axis.

    The face beyond the corner is then the same on both ways around it. At a corner of a cube three
    faces meet, and nothing lies beyond it.
    """
    face, axis, end = side
    found = []
    for first, turned in ((side, other_end), ((face, across(axis), other_end), end)):
        link = links.get(first)
        if link is None:
            return False
        last = 1 - turned if link.is_flipped else turned
        beyond = links.get((link.face, across(link.axis), last))
        found.append(None if beyond is None else beyond.face)
    return found[0] is not None and found[0] == found[1]
