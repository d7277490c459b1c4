"""On which grid the fields lie, where their file does not say it: the keys of ``fd.Plane``,
``fd.Sphere``, ``fd.Curvilinear`` and ``fd.Grid``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fdgrad_dask.pipeline.config.read import FieldError
from fdgrad_dask.pipeline.config.section import FromList, Section, says

Kind = Literal["plane", "sphere", "curvilinear", "staggered"]
Point = Literal["center", "u", "v", "corner"]
Position = Literal["center", "left", "right", "inner", "outer"]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# A number that holds everywhere, a variable of the source, or one for each kind of point.
Size = Annotated[
    float | str | dict[Point, str],
    says("a step is a number of metres, the name of a variable, or {center: NAME, u: NAME, …}"),
]
_End = Literal["periodic", "reflect", "extend", "fold"] | float | None
_Ends = _End | Annotated[tuple[_End, _End], FromList]
Boundary = Annotated[
    _Ends | dict[str, _Ends],
    says(
        "a boundary is periodic, reflect, extend, fold, a number or null, [low, high], or one of "
        "these by axis, like {x: periodic}"
    ),
]
_KEYS: dict[Kind, set[str]] = {
    "plane": {"metres"},
    "sphere": {"radius"},
    "curvilinear": {"radius", "dx", "dy", "angle", "components"},
    "staggered": {"radius", "dx", "dy", "area", "fraction", "staggering"},
}
# What no other kind has, so that it need not be named.
_TELLING = {
    "staggered": ("staggering", "area", "fraction"),
    "plane": ("metres",),
    "curvilinear": ("dx", "dy", "angle", "components"),
}


class Staggering(Section):
    """Which dimension has which points of the cells: their centres, or their faces."""

    x: Annotated[dict[Position, str], Field(min_length=1)]
    """Dimensions along x by the position of their points, like {center: xi_rho, inner: xi_u}."""
    y: Annotated[dict[Position, str], Field(min_length=1)]
    """The same along y."""
    points: dict[str, Point] = {}
    """Where a variable lies, if its dimensions do not tell, like {u: u, v: v}."""


class Grid(Section):
    """On which grid the fields lie; only what the file does not say."""

    geometry: Kind | None = None
    """plane, sphere, curvilinear or staggered; without it what the other keys, or the coordinates,
    say."""
    radius: Length | None = None
    """Of the sphere, in metres."""
    metres: Length | None = None
    """On a plane, the length of one unit of x and y."""
    dx: Size | None = None
    """The step along x: metres, or the name of a variable. Staggered by kind of point, like
    {center: e1t, u: e1u}."""
    dy: Size | None = None
    """The step along y."""
    angle: float | str | None = None
    """From east to x, counter-clockwise: degrees, or the name of a variable."""
    components: Literal["earth", "grid"] | None = None
    """Where winds point: to the east and north, or along x and y."""
    staggering: Staggering | None = None
    """Which dimensions have the centres of cells, and which their faces."""
    area: dict[Point, str] | None = None
    """Variables with the area of the cells, by kind of point."""
    fraction: dict[Literal["center", "u", "v"], str] | None = None
    """Variables with the open share of cells and faces."""
    boundary: Boundary = None
    """What lies beyond the ends of the domain, for steps without one of their own."""

    @property
    def kind(self) -> str | None:
        """The geometry that is given, or that the other keys tell."""
        given = {key for key, value in self if value is not None}
        return self.geometry or next((kind for kind in _TELLING if given & {*_TELLING[kind]}), None)

    @property
    def names(self) -> set[str]:
        """The variables that are named."""
        found: set[str] = set()
        for value in (self.dx, self.dy, self.angle, self.area, self.fraction):
            found |= {value} if isinstance(value, str) else set()
            found |= set(value.values()) if isinstance(value, dict) else set()
        return found

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        given = self.model_fields_set - {"geometry", "boundary"}
        given = {key for key in given if getattr(self, key) is not None}
        if self.kind is None and given:
            raise FieldError((("radius",), "of which geometry? write sphere or curvilinear, too"))
        known = _KEYS.get(self.kind, set())  # type: ignore[call-overload]
        if wrong := sorted(given - known):
            message = f"a {self.kind} grid has no such key; it has {', '.join(sorted(known))}"
            raise FieldError(*(((key,), message) for key in wrong))
        by_point = self.kind == "staggered"
        if by_point and self.staggering is None:
            raise FieldError(
                (("staggering",), "is missing; say which dimensions hold which points")
            )
        said = "only a staggered grid has it by point"
        if by_point:
            said = "give it by kind of point, like {center: e1t, u: e1u}"
        for key, value in (("dx", self.dx), ("dy", self.dy)):
            if value is not None and isinstance(value, dict) != by_point:
                raise FieldError(((key,), f"{said}, got {value!r}"))
        return self
