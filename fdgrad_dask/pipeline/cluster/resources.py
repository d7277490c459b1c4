"""What a worker has: memory, environment, a dashboard on loopback, credentials."""

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from dask.utils import parse_bytes

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.config.cluster import Batch, Cluster, Here, Ssh, Tls

_DASHBOARD = 8787
HERE = "127.0.0.1:0"  # a dashboard that only its own machine sees
# A worker that died is started again. On a busy machine that takes longer than the 15 s after which
# distributed closes its nanny too: a run would wait for ever once the last one is gone.
PATIENT = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
# Of each of the last thousand seconds it keeps a tree of what threads did: 10 to 50 MB a process.
# It sees the worker's own threads, and regions are computed on others.
NO_PROFILER = {"distributed.worker.profile.enabled": False}


def bytes_per_worker(cluster: Cluster) -> int:
    """Memory of one worker in bytes."""
    if isinstance(cluster, Batch):
        return int(parse_bytes(cluster.memory) // cluster.processes)
    if not isinstance(cluster, Here):
        return int(parse_bytes(cluster.memory_limit))
    if cluster.memory_limit == "auto":
        return int(of_machine() // cluster.workers)
    return int(min(parse_bytes(cluster.memory_limit), of_machine()))


def of_machine() -> int:
    """Bytes of this machine, or what a container or the shell lets this process have of them.

    As distributed counts them, whose import takes a twentieth of a short run.
    """
    limits = [psutil.virtual_memory().total, resource.getrlimit(resource.RLIMIT_RSS)[0]]
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroups of version 2, and 1
        with suppress(OSError, ValueError):  # it is not there, or says "max"
            limits.append(int(Path("/sys/fs/cgroup", file).read_text()))
    return min(limit for limit in limits if limit > 0)


if TYPE_CHECKING:
    from distributed import Security


def allocator(cluster: Cluster) -> dict[str, str]:
    """glibc keeps large blocks instead of faulting each in again; read when a process starts."""
    keep = str(min(bytes_per_worker(cluster) // 4, 4 * 2**30))
    return {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": keep,
        "MALLOC_TRIM_THRESHOLD_": keep,
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }


def libraries(cluster: Cluster) -> dict[str, str]:
    """What JAX, zarr and dask read when they are imported.

    XLA's pool takes its size from NPROC; zarr's pools would each be as wide as the machine, and
    keep more chunks than one on the way for the cores of a small worker. A worker that was not
    given a GPU leaves those of its machine alone.
    """
    wide = str(max(4, cluster.threads))
    of_jax = (
        {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_MEM_FRACTION": str(cluster.gpu_memory)}
        if cluster.gpus
        else {"JAX_PLATFORMS": "cpu"}
    )
    return {
        "NPROC": str(cluster.threads),
        "ZARR_ASYNC__CONCURRENCY": wide,
        "ZARR_THREADING__MAX_WORKERS": wide,
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # as NO_PROFILER
        **of_jax,
    }


def dashboard() -> str:
    """The usual port on loopback, or any where that one is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", _DASHBOARD))
        except OSError:
            return HERE
    return f"127.0.0.1:{_DASHBOARD}"


@contextmanager
def credentials(cluster: Batch | Ssh) -> Iterator["Security | None"]:
    """Who may talk to the scheduler: the user's files, or some that live as long as the run.

    Files rather than keys in memory: whoever sees the command line of a worker sees a path.
    """
    if not cluster.encrypted:
        yield None
    elif cluster.tls:
        yield security(cluster.tls)
    else:
        os.makedirs(cluster.folder, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="tls-", dir=os.path.abspath(cluster.folder)))
        try:
            yield _temporary(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def security(tls: Tls) -> "Security":
    """TLS and nothing else, with one certificate for every part."""
    from distributed import Security

    ca, cert, key = files = [os.path.abspath(path) for path in (tls.ca, tls.cert, tls.key)]
    for path in files:
        if not os.path.isfile(path):
            raise ClusterError(f"there is no file {path} of cluster.tls; fix the path")
    return Security(
        require_encryption=True,
        tls_ca_file=ca,
        **{f"tls_{role}_cert": cert for role in ("client", "scheduler", "worker")},
        **{f"tls_{role}_key": key for role in ("client", "scheduler", "worker")},
    )


def _temporary(folder: Path) -> "Security":
    """A certificate made now, in files that only this user can read."""
    from distributed import Security

    try:
        made = Security.temporary()
    except ImportError as error:
        raise ClusterError(
            "an encrypted cluster needs certificates, and the package that makes them is not "
            "installed; pip install cryptography, or give your own files as cluster.tls"
        ) from error
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_text(made.tls_ca_file)
    key.touch(mode=0o600)
    key.write_text(made.tls_client_key)
    return security(Tls(ca=str(cert), cert=str(cert), key=str(key)))
