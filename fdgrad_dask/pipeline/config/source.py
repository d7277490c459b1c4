"""What is read."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fdgrad_dask.pipeline.config.redaction import hide_options, hide_url, without_secrets
from fdgrad_dask.pipeline.config.section import FromList, Listed, Place, Section, says

Format = Literal["auto", "zarr", "netcdf", "icechunk", "kerchunk"]
Label = int | float | str
Chunk = Annotated[
    PositiveInt | Literal[-1, "auto"],
    says("a chunk is a number of points, -1 for the whole dimension, or auto"),
]
# Names that fsspec's packages have for what obstore and icechunk call otherwise.
_OF_FSSPEC = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "anon": "skip_signature",
    "anonymous": "skip_signature",
    "client_kwargs": "endpoint and region",
    "config_kwargs": "client_options",
    "use_ssl": "allow_http",
    "connection_string": "account_name and account_key",
}
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""The schemes of buckets, which obstore and icechunk open; fsspec opens every other one."""
_LABELS_ONLY = ("_FillValue", "missing_value", "scale_factor", "add_offset", "dtype")
ENDINGS = (".zarr", ".icechunk", ".nc")


class Picked(Section):
    """Points that are named one by one, or by their number from 0; a negative one from the end."""

    labels: Annotated[tuple[Label, ...], FromList, Field(min_length=1)] | None = None
    """The labels that are taken, in this order."""
    index: int | Annotated[tuple[int | None, int | None], FromList] | None = None
    """One point, whose dimension goes, or [start, stop] without stop."""
    indices: Annotated[tuple[int, ...], FromList, Field(min_length=1)] | None = None
    """The points that are taken, in this order."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if [self.labels, self.index, self.indices].count(None) != 2:
            raise ValueError("one of them")
        return self


Selection = Annotated[
    Label | Annotated[tuple[Label | None, Label | None], FromList] | Picked,
    says(
        "a selection is a label, [start, stop] with both ends taken, {labels: [...]}, "
        "{index: n}, {index: [start, stop]} or {indices: [...]}"
    ),
]


def _of_a_store(options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Hides the options of what opens a path, and refuses those of another library."""
    hide_options(options)
    path = info.data.get("path", "")
    scheme = (path if isinstance(path, str) else path[0]).partition("://")[0]
    for name in options:
        if scheme in STORES and name in _OF_FSSPEC:
            raise ValueError(
                f"{name} is a name of fsspec, and {scheme}:// is opened by obstore; write "
                f"{_OF_FSSPEC[name]} in its place"
            )
    return options


def _hidden(url: str) -> str:
    hide_url(url)
    return url


Options = Annotated[dict[str, Any], AfterValidator(_of_a_store), Field(exclude=True, repr=False)]
_Url = Annotated[Place, AfterValidator(_hidden), PlainSerializer(without_secrets)]


def _attributes(value: Any) -> Any:
    """Refuses attributes that say how values are stored: by then they are decoded."""
    if isinstance(value, dict):
        for name in value:
            if name in _LABELS_ONLY:
                raise ValueError(
                    f"{name} says how values are stored, and they are decoded before attributes "
                    "are set; change the file"
                )
    return value


Attributes = Annotated[
    dict[str, str | int | float | list[int | float] | None], BeforeValidator(_attributes)
]


class Stored(Section):
    """Files or a store, and how they open."""

    path: Annotated[tuple[_Url, ...], Listed]
    """Zarr, netCDF, GRIB, Icechunk or kerchunk references, a pattern or a list of files, on this
    machine (relative to where fdgrad is called) or by URL; or sample:NAME."""
    format: Format = "auto"
    """What it is, where the name does not tell."""
    group: str | None = None
    """The group in the file or store; what is at the top without it."""
    branch: str | None = None
    """Of an Icechunk repository: read its last snapshot. main, where none of the three is given."""
    tag: str | None = None
    """Of an Icechunk repository: read what the tag names."""
    snapshot: str | None = None
    """Of an Icechunk repository: read the snapshot with this id."""
    rename: dict[str, str] = {}
    """New names of variables and dimensions, by the names in the file; all else uses the new."""
    missing_chunks: Literal["error", "fill"] = "error"
    """What a Zarr chunk that is not there is: damage, or the fill value."""
    storage_options: Options = {}
    """For the library that opens a URL: obstore for s3://, gs:// and az://, fsspec for all others.
    Write secrets as ${NAME}, and set that environment variable; no option is ever written."""
    decode_times: bool = True
    """Whether numbers "since" a date become dates; false where their unit is none of CF's."""

    @model_validator(mode="after")
    def _one_version(self) -> Self:
        given = [name for name in ("branch", "tag", "snapshot") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; one of them is what is read")
        if given and self.format not in ("auto", "icechunk"):
            raise ValueError(f"{self.format} has no {given[0]}; take it away, or fix format")
        return self

    @property
    def shown(self) -> str:
        """The paths, as a message names them."""
        more = f" and {len(self.path) - 1} more" if len(self.path) > 1 else ""
        return without_secrets(self.path[0]) + more


Beside = Annotated[
    Stored,
    BeforeValidator(
        lambda value: {"path": value} if isinstance(value, (str, list)) else value,
        json_schema_input_type=Stored | str | list[str],
    ),
]


class Source(Stored):
    """What is read."""

    select: dict[str, Selection] = {}
    """The part that is read, by dimension: a label, or [start, stop] with both ends taken."""
    chunks: dict[str, Chunk] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the file."""
    coords: Annotated[tuple[str, ...], Listed] = ()
    """Variables that are taken as coordinates where the file does not say so, by their new names,
    like [nav_lat, nav_lon]."""
    attrs: dict[str, Attributes] = {}
    """Attributes that are set where the file lacks them or has wrong ones, by variable or
    coordinate, like {level: {units: hPa, positive: down}}; null takes one away."""
    coordinates: Beside | None = None
    """Files of the grid beside those of the fields, like mesh_mask.nc of NEMO: a path, or a section
    with the keys of source. Their variables can be named as if they stood in the source."""


class Target(Section):
    """What is written."""

    path: Place
    """What does not exist yet: a Zarr folder (.zarr), a netCDF file (.nc), or an Icechunk
    repository (.icechunk), whose main branch moves when all is written. Zarr and Icechunk may lie
    in a bucket too, under a URL that begins with s3://, gs:// or az://."""
    chunks: dict[str, PositiveInt] = {}
    """Points per chunk, by dimension; what is not named keeps the chunks of the source."""
    shards: dict[str, PositiveInt] = {}
    """Points per shard, a file of many chunks; what is not named has one chunk per shard."""
    regions: dict[str, PositiveInt] = {}
    """Points that a worker computes at a time, in whole shards; chosen by the plan where nothing
    is named."""
    extend: str | None = None
    """The dimension along which the source grows: a later run with the same config computes what
    is new and what reads beyond the old end, and keeps the rest. Its chunks have to be named."""
    compression: Literal["fast", "archive"] = "fast"
    """fast: LZ4 with shuffle; archive: Zstandard with bitshuffle, smaller and slower."""
    round_bits: Annotated[int, Field(ge=1, le=52)] | None = None
    """Bits of the mantissa that are kept; the others become zero and compress to nothing."""
    storage_options: Options = {}
    """Of obstore and icechunk, for a bucket. Write secrets as ${NAME}, and set that environment
    variable; no option is ever written."""

    @field_validator("path")
    @classmethod
    def _of_a_format(cls, path: str) -> str:
        path = path.rstrip("/")
        if not path.endswith(ENDINGS):
            raise ValueError(
                f"{path!r} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, which "
                "decide its format; rename it"
            )
        scheme, is_url, place = path.partition("://")
        if not is_url:
            return path
        if scheme not in STORES or path.endswith(".nc"):
            raise ValueError(
                f"{without_secrets(path)!r} is a URL at which only Zarr and Icechunk are written, "
                "and only to s3://, gs:// and az://; name one of these, or a path on this machine"
            )
        bucket, _, key = place.partition("/")
        if not (bucket and key):
            raise ValueError(f"{path!r} is no place in a bucket; write {scheme}://BUCKET/NAME.zarr")
        if "@" in bucket:
            raise ValueError("a key to a bucket belongs into target.storage_options, not the URL")
        return path

    @model_validator(mode="after")
    def _can_be_extended(self) -> Self:
        dim = self.extend
        if dim is None:
            return self
        if dim not in self.chunks:
            raise ValueError(
                f"extend is {dim!r}, and chunks names no {dim}; write chunks: {{{dim}: N}}, which "
                "holds however long the target becomes"
            )
        if self.path.endswith(".nc") or (self.path.endswith(".zarr") and "://" in self.path):
            raise ValueError(
                f"{without_secrets(self.path)!r} cannot be extended unseen by its readers: that "
                "takes a Zarr folder on this machine or an Icechunk repository; name one, or take "
                "extend away and run with --fresh"
            )
        return self
