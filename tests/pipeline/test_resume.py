"""A target that is there already: gone on with, or refused; T7, T8, T18, as a user sees them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from distributed import Client, KilledWorker

from fdgrad_dask.errors import ClusterLostError
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.source import open as sources
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

TARGET = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}  # four regions of one shard


def test_what_is_finished_is_not_computed_again(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    code, _, err = fdgrad("run", stopped)
    assert code == 0
    assert "resuming out.zarr: 2 of 4 regions are finished" in err
    assert sorted(computed) == [2, 3]
    assert fdgrad("verify", stopped)[:2] == (
        0,
        "out.zarr is complete: all 4 shards of 4 regions are intact\n",
    )
    run = Journal(Folder("out.zarr.journal")).run()
    assert run is not None
    assert run.ended is not None


def test_what_vanished_meanwhile_is_computed_again(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    first, second = Journal(Folder("out.zarr.journal")).numbered().values()
    Journal(Folder("out.zarr.journal")).forget([first.key])
    (key,) = second.checksums
    Path("out.zarr.partial", key).write_bytes(b"")
    assert fdgrad("run", stopped)[0] == 0
    assert sorted(computed) == [0, 1, 2, 3]


def test_fresh_begins_anew_and_a_run_goes_on_with_that(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    assert fdgrad("run", stopped, "--fresh")[0] == 0
    assert sorted(computed) == [0, 1, 2, 3]


def test_a_layout_that_was_cut_short_is_laid_out_again(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    Journal(Folder("out.zarr.journal")).amend(laid_out=False)
    code, _, err = fdgrad("run", stopped)
    assert code == 0
    assert "what an earlier run left of out.zarr is replaced" in err
    assert sorted(computed) == [0, 1, 2, 3]
    assert not Path("out.zarr.partial").exists()


def test_another_cluster_may_go_on(
    stopped: str, fdgrad: Called, write: Write, computed: list[int]
) -> None:
    config = write(target=TARGET, cluster={"workers": 2, "threads": 2, "memory_limit": "2 GiB"})
    assert fdgrad("run", config)[0] == 0
    assert sorted(computed) == [2, 3]


CHANGED: list[tuple[dict[str, Any], str]] = [
    (
        {"steps": [{"operator": "gradient", "inputs": ["sst"], "options": {"dim": "longitude"}}]},
        "steps[0].options.dim (was latitude, is longitude)",
    ),
    (
        {"target": {**TARGET, "chunks": {"time": 1}}},
        "layout.chunks.time (was 2, is 1)",
    ),
    ({"target": {**TARGET, "round_bits": 9}}, "target.round_bits (was null, is 9)"),
]


@pytest.mark.parametrize(("sections", "told"), CHANGED)
def test_t18_something_else_is_refused(
    sections: dict[str, Any], told: str, stopped: str, fdgrad: Called, write: Write
) -> None:
    code, _, err = fdgrad("run", write(**{"target": TARGET, **sections}))
    assert code == 4
    assert f"fdgrad: out.zarr was begun with something else: {told}; undo the change, run" in err
    assert sorted(Journal(Folder("out.zarr.journal")).numbered()) == [0, 1]


def test_t18_another_input_is_refused(
    stopped: str, fdgrad: Called, sst: xr.Dataset, source: str
) -> None:
    shutil.rmtree(source)
    other = sst.assign_coords(latitude=sst.latitude + 1).chunk(time=2, longitude=4)
    other.to_zarr(source, zarr_format=3, consolidated=False)
    code, _, err = fdgrad("run", stopped)
    assert code == 4
    assert "coordinate latitude (was " in err


# --- T7, T8, and workers --------------------------------------------------------------------------


def test_t7_a_disk_that_is_too_small_is_refused_beforehand(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free._replace(free=100))
    code, _, err = fdgrad("run", write())
    assert code == 4
    assert "640 B are to be written beside out.zarr, and 100 B are free; make room" in err
    assert not Path("out.zarr.partial").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free._replace(free=400))
    code, _, err = fdgrad("run", write())
    assert code == 0
    assert "and only 400 B are free: it fits if it compresses well" in err


def damage(path: Path, how: str) -> None:
    held = path.read_bytes()
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "truncated": held[:9], "flipped": b"\xff" + held[1:]}[how])


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "deleted"])
def test_t8_a_damaged_input_is_named_and_never_written_as_nan(
    how: str, fdgrad: Called, write: Write, source: str, computed: list[int]
) -> None:
    chunk = Path(source, "sst", "c", "1", "0", "1")
    held = chunk.read_bytes()
    damage(chunk, how)
    config = write(target=TARGET)
    code, _, err = fdgrad("run", config)
    assert code == 3, err
    assert "sst[2:4, 0:5, 4:8]" in err
    assert source in err
    assert not Path("out.zarr").exists()
    assert 3 not in Journal(Folder("out.zarr.journal")).numbered()
    chunk.write_bytes(held)
    computed.clear()
    assert fdgrad("run", config)[0] == 0
    assert 3 in computed
    assert not np.isnan(xr.open_zarr("out.zarr").dsst_dlatitude).any()


def test_a_region_that_kills_every_worker_is_given_up_with_numbers(
    fdgrad: Called, write: Write, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kills(work: Any, attempts: Any) -> Any:
        died = SimpleNamespace(address=f"tcp://{attempts[0].number}")
        raise KilledWorker("region", died, 0)  # type: ignore[arg-type]

    monkeypatch.setattr(Task, "compute", kills)
    code, _, err = fdgrad("run", write(cluster={"workers": 1, "memory_limit": "1 GiB"}))
    assert code == 5
    died = [line for line in err.splitlines() if line.endswith("or was killed")]
    assert died == [f"the worker tcp://{n} died of region 0, or was killed" for n in (1, 2, 3, 4)]
    assert "fdgrad: 4 workers died of region 0; by plan a region needs 400.00 MiB" in err
    assert "and a worker has 1.00 GiB. Where that is short, lower target.regions or" in err


def test_a_cluster_that_is_lost_again_and_again(
    fdgrad: Called, write: Write, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise ClusterLostError("the cluster was lost (gone)")

    monkeypatch.setattr(Task, "compute", lost)
    code, _, err = fdgrad("run", write(target=TARGET, cluster=on_a_cluster))
    assert code == 5
    told = [line for line in err.splitlines() if "rebuilding" in line]
    assert told == [
        f"cluster lost, rebuilding ({n}/3): the cluster was lost (gone)" for n in (1, 2, 3)
    ]
    run = Journal(Folder("out.zarr.journal")).run()
    assert run is not None
    assert [event.kind for event in run.events] == ["cluster lost"] * 3


def test_the_window_follows_the_workers(
    fdgrad: Called, write: Write, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many regions there are, no more than a few are with the scheduler and not ended.

    What has ended leaves a client a moment after nobody has it any more.
    """
    held: list[int] = []
    submit = Client.map

    def counted(client: Client, *arguments: Any, **options: Any) -> Any:
        futures = submit(client, *arguments, **options)
        waiting = [state for state in client.futures.values() if state.status == "pending"]
        held.extend([len(waiting)] * len(futures))
        return futures

    monkeypatch.setattr(Client, "map", counted)
    target = {**TARGET, "chunks": {"time": 1, "latitude": 1}, "regions": {"time": 1, "latitude": 1}}
    assert fdgrad("run", write(target=target, cluster=on_a_cluster))[0] == 0
    assert len(held) > 8
    assert max(held) <= 3


def test_workers_are_handed_the_source_as_the_driver_opened_it(
    fdgrad: Called, write: Write, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open it may mean to look into thousands of files."""
    opened: list[Any] = []
    original = sources.opened
    monkeypatch.setattr(sources, "opened", lambda *a, **k: opened.append(a) or original(*a, **k))
    code, _, err = fdgrad("run", write(cluster=on_a_cluster))
    assert code == 0, err
    assert len(opened) == 1
