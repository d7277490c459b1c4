"""A scheduler and two workers in network namespaces of their own, which talk by TLS."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.clusters.services import Service, call, until

ROOT = Path(__file__).parent.parent.parent
SWITCH = "fdgrad-sw"
MEMBERS = {"scheduler": "10.79.0.10", "one": "10.79.0.11", "two": "10.79.0.12"}


class Namespaces(Service):
    """``scheduler``, ``one`` and ``two`` at a switch, which this machine is at too."""

    def start(self) -> None:
        self._remove()  # of a session that was killed
        self._certificates()
        call("ip", "link", "add", SWITCH, "type", "bridge")
        call("ip", "address", "add", "10.79.0.1/24", "dev", SWITCH)
        call("ip", "link", "set", SWITCH, "up")
        for name, address in MEMBERS.items():
            inside = f"fdgrad-{name}"
            call("ip", "netns", "add", inside)
            cable = ["type", "veth", "peer", "name", "eth0", "netns", inside]
            call("ip", "link", "add", link(name), *cable)
            call("ip", "link", "set", link(name), "master", SWITCH, "up")
            call("ip", "-n", inside, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                call("ip", "-n", inside, "link", "set", device, "up")
        port = self.address.rpartition(":")[2]
        self.dask("scheduler", "--host", f"tls://{MEMBERS['scheduler']}", "--port", port)
        for name in ("one", "two"):
            self.start_worker(name)

    @property
    def address(self) -> str:
        return f"tls://{MEMBERS['scheduler']}:8786"

    def section(self) -> dict[str, Any]:
        """A section of kind address."""
        return {
            "kind": "address",
            "address": self.address,
            "workers": 2,
            "threads": 1,
            "memory_limit": "2 GiB",
            "wait": "60 s",
            "tls": {"ca": str(self.ca), "cert": str(self.cert), "key": str(self.key)},
        }

    def start_worker(self, name: str) -> None:
        """A worker that tells its memory and takes one region at a time."""
        self.dask(
            name,
            *(self.address, "--name", name, "--host", MEMBERS[name], "--nthreads", "1"),
            *("--memory-limit", "2GiB", "--local-directory", self.folder / name),
        )

    def dask(self, name: str, *arguments: object) -> None:
        part = "scheduler" if name == "scheduler" else "worker"
        files = {"ca-file": self.ca, "cert": self.cert, "key": self.key}
        self.daemon(
            *("ip", "netns", "exec", f"fdgrad-{name}", sys.executable, "-m", "dask", part),
            *arguments,
            *(word for what, path in files.items() for word in (f"--tls-{what}", path)),
            *("--dashboard-address", "127.0.0.1:0"),
            PYTHONPATH=str(ROOT),
            DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION="true",
            DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP="15s",  # a link that is down is seen sooner
        )

    def processes(self, name: str) -> list[int]:
        """The processes inside, oldest first."""
        return sorted(map(int, call("ip", "netns", "pids", f"fdgrad-{name}").split()))

    def cut(self, name: str) -> None:
        """Takes a member off the network."""
        call("ip", "link", "set", link(name), "down")

    def _certificates(self) -> None:
        self.ca, self.cert, self.key = (self.folder / name for name in ("ca", "cert", "key"))
        signer, request = self.folder / "ca.key", self.folder / "request"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        call(
            *("openssl", "req", "-x509", *curve, "-days", "2", "-subj", "/CN=signer"),
            *("-keyout", signer, "-out", self.ca),
        )
        call(
            *("openssl", "req", *curve, "-subj", "/CN=member"),
            *("-keyout", self.key, "-out", request),
        )
        call(
            *("openssl", "x509", "-req", "-days", "2", "-in", request, "-CA", self.ca),
            *("-CAkey", signer, "-CAcreateserial", "-out", self.cert),
        )

    def stop(self) -> None:
        super().stop()
        self._remove()

    def _remove(self) -> None:
        here = call("ip", "netns", "list")
        for name in MEMBERS:
            if f"fdgrad-{name}" in here:
                for process in self.processes(name):
                    os.kill(process, signal.SIGTERM)
                until(lambda name=name: not self.processes(name), f"{name} is empty", 15)
                call("ip", "netns", "delete", f"fdgrad-{name}")
        if SWITCH in call("ip", "-o", "link"):
            call("ip", "link", "delete", SWITCH)


def link(name: str) -> str:
    """The end of a member's cable that is at the switch."""
    return f"fdgrad-{name[:3]}"
