"""Who computes: a section for every kind of cluster.

Each has ``workers`` processes with ``threads`` each, given or worked out from what the kind is
asked for: jobs of a queue, hosts, GPUs.
"""

from typing import Annotated, Any, ClassVar, Literal

from dask.system import CPU_COUNT
from pydantic import BeforeValidator, Field, PositiveInt, ValidationInfo, field_validator

from fdgrad_dask.pipeline.config.read import named_clusters
from fdgrad_dask.pipeline.config.section import (
    Duration,
    FileName,
    Fraction,
    Listed,
    Memory,
    MemoryOrAuto,
    Section,
    visible_gpus,
)

# What dask-jobqueue calls a key of the section, today or before.
_NAMED_HERE = {
    "project": "account",
    "security": "tls",
    "n_workers": "jobs",
    **dict.fromkeys(("job_extra_directives", "job_extra"), "directives"),
    **dict.fromkeys(("job_script_prologue", "env_extra"), "prologue"),
    **dict.fromkeys(("log_directory", "shared_temp_directory"), "folder"),
}


class Tls(Section):
    """Files of an encrypted cluster, each in PEM."""

    ca: FileName
    """The certificate that vouches for those of the scheduler and the workers."""
    cert: FileName
    """The certificate of this side."""
    key: FileName
    """Its private key."""


class Here(Section):
    """What computes on this machine, without a GPU."""

    kind: str
    workers: PositiveInt = Field(default_factory=lambda: min(4, CPU_COUNT))
    """How many regions are computed side by side."""
    threads: PositiveInt = Field(
        default_factory=lambda data: max(1, CPU_COUNT // data.get("workers", 1))
    )
    """Threads of each of them."""
    memory_limit: MemoryOrAuto = "auto"
    """Memory of each of them, like 4 GiB; auto shares out what the machine has."""
    gpus: ClassVar[int] = 0


class Threads(Here):
    """Threads of the process that runs fdgrad: nothing has to start. The default."""

    kind: Literal["threads"] = "threads"
    gpu_memory: ClassVar[float] = 0.0


class Local(Here):
    """Processes on this machine, one for each region; what `workers` without a kind means."""

    kind: Literal["local"] = "local"
    gpu_memory: ClassVar[float] = 0.0


class Gpu(Here):
    """A process for each GPU of this machine; its threads read and write while that computes."""

    kind: Literal["gpu"]
    workers: PositiveInt = Field(default_factory=lambda: max(1, len(visible_gpus())))
    """Number of GPUs; all that CUDA_VISIBLE_DEVICES names, or that the machine has."""
    gpu_memory: Fraction = 0.75
    """The part of a GPU's memory that JAX takes."""
    gpus: ClassVar[int] = 1


class _Remote(Section):
    """What reaches beyond this machine."""

    encrypted: bool = True
    """Whether scheduler and workers talk by TLS; false where nobody else is on the network."""
    tls: Tls | None = None
    """The files for it. Without them some are made for the run, in `folder`."""
    gpus: Literal[0, 1] = 0
    """GPUs of a worker."""
    gpu_memory: Fraction = 0.75
    """The part of a GPU's memory that JAX takes."""
    wait: Duration = "1 h"
    """How long to wait for the first worker; a queue may be long."""

    @field_validator("tls")
    @classmethod
    def _wanted(cls, tls: Tls | None, info: ValidationInfo) -> Tls | None:
        if tls and not info.data.get("encrypted", True):
            raise ValueError("files are given, but encrypted is false; take one of the two away")
        return tls


class Batch(_Remote):
    """Jobs of a batch queue, all alike; one that is lost is replaced."""

    kind: Literal["slurm", "pbs", "lsf", "sge"]
    """slurm, pbs (also OpenPBS), lsf or sge (Grid Engine): whose jobs they are."""
    jobs: PositiveInt
    """Number of jobs."""
    cores: PositiveInt
    """Cores of each job."""
    memory: Memory
    """Memory of each job, like 32 GiB."""
    processes: PositiveInt = 1
    """Workers in each job, which share its cores and its memory."""
    walltime: Duration
    """How long a job may last. Its workers leave a little before; a new job then takes over."""
    queue: str | None = None
    """The queue, which Slurm calls partition."""
    account: str | None = None
    """Who is charged: account or project."""
    interface: str | None = None
    """The network between the nodes, like ib0."""
    prologue: Annotated[tuple[str, ...], Listed] | None = None
    """Lines of shell before the worker starts, like `module load`."""
    directives: Annotated[tuple[str, ...], Listed] | None = None
    """Further options of the job, as they stand behind #SBATCH, #PBS, #BSUB, #$."""
    folder: FileName = "fdgrad-jobs"
    """A folder that all nodes see: logs, and the TLS files of the run."""
    python: str | None = None
    """The Python of the workers, where it is not the one that runs fdgrad."""
    parallel_environment: str = "smp"
    """sge: the one that keeps the cores of a job on one node; `qconf -spl` lists them."""
    memory_resource: str = "mem_free"
    """sge: what this site calls the memory of one core."""
    options: dict[str, Any] = {}
    """Keywords of dask-jobqueue's cluster, as they are. What neither they nor the keys above say
    is taken from the site's ~/.config/dask/jobqueue.yaml."""

    @field_validator("processes")
    @classmethod
    def _shared_out(cls, processes: int, info: ValidationInfo) -> int:
        if processes > 1 and info.data.get("gpus"):
            raise ValueError("a job with a GPU has one process; ask for more jobs instead")
        if (cores := info.data.get("cores", processes)) % processes:
            raise ValueError(f"{cores} cores cannot be shared out to {processes} processes")
        return processes

    @field_validator("parallel_environment", "memory_resource")
    @classmethod
    def _of_grid_engine(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("kind") != "sge":
            raise ValueError("only kind: sge has this; take it away")
        return value

    @field_validator("options")
    @classmethod
    def _no_key_twice(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if key := _NAMED_HERE.get(name, name if name in cls.model_fields else None):
                raise ValueError(f"{name} is not an option; write {key} instead")
        return options

    @property
    def workers(self) -> int:
        """All processes of all jobs."""
        return self.jobs * self.processes

    @property
    def threads(self) -> int:
        """Threads of each process."""
        return self.cores // self.processes


class Ssh(_Remote):
    """Processes on other machines, started by SSH."""

    kind: Literal["ssh"]
    hosts: Annotated[tuple[str, ...], Listed]
    """The machines of the workers."""
    scheduler: str | None = None
    """The machine of the scheduler; the first of the hosts if none is named."""
    processes: PositiveInt = 1
    """Workers on each host."""
    threads: PositiveInt
    """Threads of each worker."""
    memory_limit: Memory
    """Memory of each worker, like 16 GiB."""
    user: str | None = None
    """The name to log in with."""
    port: PositiveInt = 22
    """Where SSH listens."""
    key: FileName | None = None
    """A private key; without it what the agent and ~/.ssh offer."""
    known_hosts: FileName | None = None
    """The keys of the hosts; without it ~/.ssh/known_hosts. Unknown hosts are refused."""
    interface: str | None = None
    """The network between the hosts, like ib0."""
    folder: FileName = "fdgrad-hosts"
    """A folder that all hosts see: the TLS files of the run."""
    python: str | None = None
    """The Python of the hosts, where it is not the one that runs fdgrad."""

    @property
    def workers(self) -> int:
        """All processes on all hosts."""
        return len(self.hosts) * self.processes


class Kubernetes(_Remote):
    """Pods, started by dask's operator."""

    kind: Literal["kubernetes"]
    encrypted: bool = Field(default=True, validate_default=True)
    """Must be false, so that whoever writes the file knows: the operator has no TLS."""
    image: str
    """A container image with fdgrad_dask, the same versions as the driver's."""
    workers: PositiveInt
    """Number of pods."""
    threads: PositiveInt
    """Cores of each pod."""
    memory_limit: Memory
    """Memory of each pod, like 16 GiB."""
    namespace: str | None = None
    """Where the pods live; without it the current one."""
    claims: dict[str, str] = {}
    """Persistent volume claims, and where the pods mount them: those of source and target."""

    @field_validator("encrypted")
    @classmethod
    def _agreed(cls, encrypted: bool) -> bool:
        if encrypted:
            raise ValueError(
                "the operator knows no TLS; keep other pods away with "
                "workflows/kubernetes/network.yaml, and write encrypted: false"
            )
        return encrypted


class Address(_Remote):
    """A scheduler that runs already, and its workers."""

    kind: Literal["address"]
    address: str
    """Where it listens, like tls://10.0.0.1:8786."""
    workers: PositiveInt = 1
    """The fewest workers to begin with."""
    threads: PositiveInt
    """Threads that a region may use on a worker; the worker itself has --nthreads 1."""
    memory_limit: Memory
    """Memory of the smallest worker, like 16 GiB."""

    @field_validator("address")
    @classmethod
    def _private(cls, address: str, info: ValidationInfo) -> str:
        protocol, found, host = address.partition("://")
        if not found or protocol not in ("tcp", "tls") or ":" not in host:
            raise ValueError(f"{address!r} is no address; write it like tls://10.0.0.1:8786")
        if protocol == "tls" and info.data.get("tls", False) is None:
            raise ValueError(f"{address} is encrypted; give the files of it as tls.ca, .cert, .key")
        near = host.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]")
        if protocol == "tcp" and not near and info.data.get("encrypted", True):
            raise ValueError(
                f"{address} is neither encrypted nor on this machine; start the scheduler with "
                "--protocol tls, or write encrypted: false where nobody else is on the network"
            )
        return address


def _with_kind(section: Any) -> Any:
    """Processes are taken only where a number of them is asked for."""
    if isinstance(section, str):
        folder, known = named_clusters()
        there = f"there is: {', '.join(known)}" if known else "there is none"
        raise ValueError(f"no cluster {section!r} in {folder}; {there}")
    if isinstance(section, dict):
        return {"kind": "local" if "workers" in section else "threads", **section}
    return section


_Kind = Threads | Local | Gpu | Batch | Ssh | Kubernetes | Address
Cluster = Annotated[
    _Kind,
    Field(discriminator="kind"),
    BeforeValidator(_with_kind, json_schema_input_type=_Kind | str),
]
