"""Two things that dask-jobqueue leaves out: refused jobs, and lost jobs of several workers."""

from __future__ import annotations

import asyncio
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import SpecCluster
from distributed.deploy.spec import ProcessInterface


def noting(job: Any, refused: list[str]) -> Any:
    """The class of a job that notes why the queue does not take it, where others raise unseen."""

    async def start(self: Any) -> None:
        try:
            await job.start(self)
        except RuntimeError as error:
            refused.append(" ".join(str(error).rpartition("stderr:")[2].split()))
            await ProcessInterface.start(self)  # counts as started, and is closed like others

    return type(job.__name__, (job,), {"start": start})


class Replacing(SpecCluster):
    """Gives up a job when none of its workers is left, so that another takes its place.

    Without it only a job whose single worker bears its own name is missed.
    """

    def _update_worker_status(self, op: str, msg: Any) -> None:
        lost = self.scheduler_info["workers"][msg]["name"] if op == "remove" else None
        super()._update_worker_status(op, msg)  # type: ignore[no-untyped-call]
        job = str(lost).rpartition("-")[0]
        if lost and "group" in self.worker_spec.get(job, {}):
            wait = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
            asyncio.get_running_loop().call_later(wait, self._give_up, job)

    def _give_up(self, job: str) -> None:
        names = [str(worker["name"]) for worker in self.scheduler_info["workers"].values()]
        if job in self.workers and not any(name.startswith(f"{job}-") for name in names):
            self._futures.add(asyncio.ensure_future(self.workers.pop(job).close()))
