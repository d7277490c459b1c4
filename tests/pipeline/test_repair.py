"""T24, and what killed writers leave: found, computed again, removed; what is whole stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import google_crc32c
import pytest
from distributed import KilledWorker

from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.store import zarr as zarr_target
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

TARGET = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}  # four regions of one shard


def test_t24_broken_shards_are_found_and_only_they_repaired(
    fdgrad: Called, write: Write, computed: list[int]
) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    whole = {file: file.read_bytes() for file in Path("out.zarr").rglob("*") if file.is_file()}
    records = Journal(Folder("out.zarr.journal")).numbered()
    keys = [next(iter(records[number].checksums)) for number in range(4)]
    computed.clear()
    Path("out.zarr", keys[0]).unlink()
    Path("out.zarr", keys[1]).write_bytes(b"")
    flipped = bytearray(Path("out.zarr", keys[3]).read_bytes())
    flipped[10] ^= 1
    Path("out.zarr", keys[3]).write_bytes(flipped)
    code, out, err = fdgrad("verify", config)
    assert (code, out) == (4, "")
    assert "fdgrad: out.zarr is broken, fdgrad run --repair writes these again:" in err
    assert [line.strip() for line in err.splitlines()[1:]] == [
        f"{keys[0]} is missing",
        f"{keys[1]} is empty",
        f"{keys[3]} has other bytes than were written",
    ]
    code, _, err = fdgrad("run", "--repair", config)
    assert code == 0, err
    assert "3 shards are broken, in 3 of 4 regions" in err
    assert sorted(computed) == [0, 1, 3]
    assert fdgrad("verify", config)[0] == 0
    assert {file: file.read_bytes() for file in whole} == whole


@pytest.mark.parametrize(("package", "code"), [("jax", 0), ("fdgrad_dask", 4)])
def test_newer_packages_of_the_same_bits_repair_what_is_finished(
    package: str, code: int, fdgrad: Called, write: Write
) -> None:
    config, journal = write(target=TARGET), Journal(Folder("out.zarr.journal"))
    assert fdgrad("run", config)[0] == 0
    whole = {file: file.read_bytes() for file in Path("out.zarr").rglob("*") if file.is_file()}
    run = journal.run()
    assert run is not None
    journal.amend(identity={**run.identity, f"version of {package}": "0.0.1"})
    Path("out.zarr", next(iter(journal.numbered()[0].checksums))).unlink()
    found, _, err = fdgrad("run", "--repair", config)
    assert found == code, err
    assert (f"version of {package} (was 0.0.1, is " in err) is (code == 4)
    assert all(file.is_file() and file.read_bytes() == whole[file] for file in whole) is (code == 0)


SHARDS = {"chunks": {"time": 1, "longitude": 2}, "shards": {"time": 2, "longitude": 4}}


@pytest.mark.parametrize("sections", [{}, SHARDS], ids=["of one chunk", "of four"])
def test_t24_a_shard_in_the_place_of_another_is_found(
    sections: dict[str, Any], fdgrad: Called, write: Write
) -> None:
    """A plain crc32c cannot tell them apart: they are as long, and chunks end in their own."""
    step = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "longitude"}}
    config = write(target=TARGET | sections, steps=[step])
    assert fdgrad("run", config)[0] == 0
    records = Journal(Folder("out.zarr.journal")).numbered()
    one, other = (Path("out.zarr", next(iter(records[i].checksums))) for i in (0, 1))
    assert one.read_bytes() != other.read_bytes()
    plain = [google_crc32c.value(path.read_bytes()) for path in (one, other)]
    assert plain[0] == plain[1]
    one.write_bytes(other.read_bytes())
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "has other bytes than were written" in err


def test_t24_a_coordinate_that_is_broken_is_found(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    Path("out.zarr", "latitude", "c", "0").write_bytes(b"not what it was")
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "latitude/c/0 has other bytes than were written" in err
    code, _, err = fdgrad("run", "--repair", config)
    assert code == 4
    assert "which no region writes; run with --fresh" in err


def test_verify_of_what_is_not_there_or_not_finished(
    fdgrad: Called, write: Write, stopped: str
) -> None:
    code, _, err = fdgrad("verify", stopped)
    assert code == 4
    assert "out.zarr is not finished, 2 of 4 regions are; fdgrad run resumes it" in err
    shutil.rmtree("out.zarr.partial")
    assert "there is no target out.zarr; fdgrad run makes it" in fdgrad("verify", stopped)[2]
    assert fdgrad("run", stopped)[0] == 0
    shutil.rmtree("out.zarr.journal")
    assert "out.zarr has no journal out.zarr.journal" in fdgrad("verify", stopped)[2]
    code, _, err = fdgrad("run", "--repair", stopped)
    assert code == 4
    assert "nothing shows that fdgrad wrote it (it has no out.zarr.journal)" in err


# --- What killed writers leave ------------------------------------------------------------------

TORN = f"{'0123456789abcdef' * 2}.partial"  # as zarr calls a file that it is writing


def files_of_the_killed(folder: str) -> tuple[list[Path], list[Path]]:
    """What killed writers leave in a target, and files of others under similar names."""
    array = Path(folder, "dsst_dlatitude")
    torn = [Path(folder, f"zarr.{TORN}"), array / f"zarr.{TORN}", array / f"c/1/0/0.{TORN}"]
    others = [
        array / "c/1/0/0.partial",  # without digits
        array / f"c/1/0/notes.{TORN}",  # not of a chunk
        array / "other" / f"0.{TORN}",  # not where chunks are
    ]
    return torn, others


def leave(*files: list[Path]) -> None:
    """Makes empty files: a writer may be killed before it writes its first byte."""
    for path in chain(*files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def there(paths: list[Path]) -> list[bool]:
    """Which of the files in ``out.zarr.partial`` are in the target that was made of it."""
    return [Path("out.zarr", *path.parts[1:]).exists() for path in paths]


def test_a_run_that_goes_on_removes_what_killed_writers_left(stopped: str, fdgrad: Called) -> None:
    torn, others = files_of_the_killed("out.zarr.partial")
    leave(torn, others)
    code, _, err = fdgrad("run", stopped)
    assert code == 0, err
    assert (there(torn), there(others)) == ([False] * 3, [True] * 3)
    assert fdgrad("verify", stopped)[0] == 0


def test_a_run_that_lost_a_worker_removes_what_that_left(
    fdgrad: Called, write: Write, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Task.compute
    torn, others = files_of_the_killed("out.zarr.partial")

    def dies_once(task: Task, attempts: Any) -> Any:
        if not torn[0].exists():
            leave(torn, others)
            died = SimpleNamespace(address="tcp://10.0.0.7:1")
            raise KilledWorker("region", died, 0)  # type: ignore[arg-type]
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", dies_once)
    code, _, err = fdgrad("run", write(target=TARGET, cluster=on_a_cluster))
    assert code == 0, err
    assert "the worker tcp://10.0.0.7:1 died of region 0" in err
    assert (there(torn), there(others)) == ([False] * 3, [True] * 3)


def test_a_run_that_nothing_disturbed_does_not_look(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list a target of a million files takes as long as to make sure that they are there."""
    looked: list[Any] = []
    monkeypatch.setattr(zarr_target, "unlink", lambda *given: looked.append(given))
    assert fdgrad("run", write(target=TARGET))[0] == 0
    assert looked == []


def test_a_repair_removes_what_a_killed_one_left(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    torn, others = files_of_the_killed("out.zarr")
    leave(torn, others)
    assert fdgrad("run", "--repair", config)[0] == 0
    assert (there(torn), there(others)) == ([False] * 3, [True] * 3)
