"""Slurm with two nodes and an SSH server, for as long as a ``with``; all files in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

NODES = ("left", "right")


def call(*command: object, **more: str) -> str:
    """What a command prints; it must end well."""
    words = [str(word) for word in command]
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=60, env={**os.environ, **more}
    )
    assert ended.returncode == 0, f"{' '.join(words)}: {ended.stdout}{ended.stderr}"
    return ended.stdout.strip()


def until(is_true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Looks ten times a second."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def free_ports(number: int) -> list[int]:
    """Ports that nobody has."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def dask_processes() -> list[tuple[int, str]]:
    """Schedulers and workers that SSH or a queue started on this machine: number, command line."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        line = " ".join(process.info["cmdline"] or [])
        started = "DASK_INTERNAL_INHERIT_CONFIG" in (process.info["environ"] or {})
        if started and ("distributed.cli" in line or "spawn_main" in line):
            found.append((process.info["pid"], line))
    return found


class Service(ABC):
    """Daemons that stay in the foreground, children of this process, stopped in reverse order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def daemon(self, *command: object, **more: str) -> subprocess.Popen[bytes]:
        words = [str(word) for word in command]
        with (self.folder / f"{Path(words[0]).name}-{len(self._running)}.log").open("wb") as log:
            started = subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **more}
            )
        self._running.append(started)
        return started

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Starts its processes as `daemon`, and returns when they answer."""

    def stop(self) -> None:
        for started in reversed(self._running):
            started.terminate()
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


class Slurm(Service):
    """Two nodes of four cores and two GPUs each, which are /dev/null by other names."""

    @property
    def config(self) -> Path:
        return self.folder / "slurm.conf"

    def start(self) -> None:
        controller, *ports = free_ports(3)
        gpus = [self.folder / f"gpu{number}" for number in range(2)]
        for gpu in gpus:
            os.mknod(gpu, 0o666 | 0o020000, os.makedev(1, 3))
        (self.folder / "state").mkdir()
        sock, key = self.folder / "munge.socket", self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.folder.chmod(0o755)
        self._configure(controller, ports, gpus, sock)
        own = {"SLURM_CONF": str(self.config)}
        files = ["pid", "log", "seed"]
        self.daemon(
            *("munged", "--foreground", "--force", f"--socket={sock}", f"--key-file={key}"),
            *(f"--{name}-file={self.folder / 'munged'}.{name}" for name in files),
        )
        until(sock.exists, "munged listens")
        self.daemon("slurmctld", "-D", "-c", "-f", self.config, **own)
        for node in NODES:
            (self.folder / f"spool.{node}").mkdir()
            self.daemon("slurmd", "-D", "-c", "-N", node, "-f", self.config, **own)
        until(lambda: self.ask("sinfo", "-h", "-o", "%D %T") == "2 idle", "two idle nodes")

    def _configure(
        self, controller: int, ports: Sequence[int], gpus: Sequence[Path], sock: Path
    ) -> None:
        host, folder = socket.gethostname().partition(".")[0], self.folder
        settings = {
            "ClusterName": "two",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": controller,
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "AuthType": "auth/munge",
            # A job that goes back into the queue waits for its old credentials to expire.
            "AuthInfo": f"socket={sock},cred_expire=5",
            "CredType": "cred/munge",
            "StateSaveLocation": folder / "state",
            "SlurmdSpoolDir": folder / "spool.%n",
            "SlurmctldPidFile": folder / "slurmctld.pid",
            "SlurmdPidFile": folder / "slurmd.%n.pid",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/none",
            "AccountingStorageType": "accounting_storage/none",
            "SwitchType": "switch/none",
            "MpiDefault": "none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_CPU_Memory",
            "SlurmdParameters": "config_overrides",  # more cores than this machine has
            "ReturnToService": 2,
            "KillWait": 2,
            "GresTypes": "gpu",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        for node, port in zip(NODES, ports, strict=True):
            lines.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 "
                f"RealMemory=8000 Gres=gpu:{len(gpus)}"
            )
        lines.append(f"PartitionName=short Nodes={','.join(NODES)} Default=YES State=UP")
        self.config.write_text("\n".join([*lines, ""]))
        files = ",".join(map(str, gpus))
        (folder / "gres.conf").write_text(f"NodeName={','.join(NODES)} Name=gpu File={files}\n")

    def ask(self, *command: object) -> str:
        return call(*command, SLURM_CONF=str(self.config))

    def section(self, python: str, **more: Any) -> dict[str, Any]:
        """A section of kind slurm."""
        return {
            "kind": "slurm",
            "jobs": 2,
            "cores": 1,
            "memory": "2 GiB",
            "walltime": "00:10:00",
            "interface": "lo",
            "python": python,
            "wait": "60 s",
            **more,
        }

    def restarts(self, job: str) -> str:
        """How often a job went back into the queue, and ran again."""
        return self.ask("squeue", "-h", "-t", "R", "-j", job, "-O", "RestartCnt")

    def jobs(self) -> list[str]:
        """The numbers of the jobs that wait or run."""
        return self.ask("squeue", "-h", "-t", "PD,R", "-o", "%i").split()

    def stop(self) -> None:
        if self.config.exists() and shutil.which("scancel"):
            subprocess.run(
                ["scancel", "--user=root"], env={**os.environ, "SLURM_CONF": str(self.config)}
            )
        super().stop()


class Sshd(Service):
    """An SSH server on loopback that knows one key."""

    def start(self) -> None:
        (self.port,) = free_ports(1)
        self.key, host = self.folder / "key", self.folder / "host"
        for path in (self.key, host):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        self.known_hosts = self.folder / "known_hosts"
        public = (self.folder / "host.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(public)}\n")
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": host,
            "AuthorizedKeysFile": self.folder / "key.pub",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "UsePAM": "no",
            "StrictModes": "no",  # the folder belongs to pytest
            "PidFile": "none",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        Path("/run/sshd").mkdir(exist_ok=True)
        self.daemon(shutil.which("sshd"), "-D", "-e", "-f", config)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens, "sshd listens")

    def section(self, python: str) -> dict[str, Any]:
        """A section of kind ssh, with two workers on this machine."""
        return {
            "kind": "ssh",
            "hosts": ["127.0.0.1", "127.0.0.1"],
            "threads": 1,
            "memory_limit": "2 GiB",
            "user": "root",
            "port": self.port,
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            "python": python,
        }
