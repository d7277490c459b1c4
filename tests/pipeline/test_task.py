"""What a task computes, writes and records: counted by hand, on one thread and on several."""

from __future__ import annotations

import resource
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute import task as tasks
from fdgrad_dask.pipeline.execute.journal import key_of
from fdgrad_dask.pipeline.execute.task import Attempt, Task, peak_memory, sampled
from fdgrad_dask.pipeline.planning.job import Job, looked_at

VALUES = np.random.default_rng(5).standard_normal((8, 6))


@pytest.fixture
def job() -> Job:
    """Four regions of two rows along `y`, and a series along `x` that has no `y`."""
    made = xr.Dataset({"a": (("y", "x"), VALUES), "s": ("x", VALUES[0])})
    encoding = {"a": {"chunks": (4, 6)}, "s": {"chunks": (6,)}}
    made.to_zarr("in.zarr", encoding=encoding, zarr_format=3, consolidated=False)
    step = {"operator": "gradient", "options": {"dim": "x"}}
    sections = {
        "source": {"path": "in.zarr"},
        "steps": [{**step, "inputs": [name]} for name in "as"],
        "target": {"path": "out.zarr", "chunks": {"y": 2}, "regions": {"y": 2}},
        "cluster": {"kind": "threads", "workers": 1, "threads": 1},
    }
    return looked_at(Config.model_validate(sections))


def task_of(job: Job, **more: Any) -> Task:
    given = {"threads": 1, **more}
    made = Task(job.config, job.source, job.workload.shards, job.halos, job.pieces, **given)
    made.store.lay_out(job.template)
    return made


def attempts(job: Job, *numbers: int) -> list[Attempt]:
    return [Attempt(number, job.plan.span(number)) for number in numbers]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_record_by_hand(threads: int, job: Job) -> None:
    assert job.plan.count == 4
    task = task_of(job, threads=threads, worker="tcp://7")
    again = Attempt(1, job.plan.span(1), number=3)
    ((first, _), (second, _)) = task.compute([*attempts(job, 0), again])
    assert (first.number, first.attempt, first.worker) == (0, 1, "tcp://7")
    assert (second.number, second.attempt) == (1, 3)
    assert first.key == key_of({"y": (0, 2), "x": (0, 6)})
    # A chunk of four rows is decoded for two of them; the series is written by the first alone.
    assert first.bytes_read == 8 * (4 * 6 + 6)
    assert first.bytes_written == 8 * (2 * 6 + 6)
    assert second.bytes_read == 8 * 4 * 6
    assert second.bytes_written == 8 * 2 * 6
    assert set(first.checksums) == {"da_dx/c/0/0", "ds_dx/c/0"}
    assert set(second.checksums) == {"da_dx/c/1/0"}
    for record in (first, second):
        assert record.read_seconds > 0
        assert record.write_seconds > 0
        assert record.read_seconds + record.write_seconds < threads * record.seconds
        assert record.inputs


def test_rows_that_begin_in_the_middle_are_written_where_they_lie(job: Job) -> None:
    task = task_of(job)
    for numbers in ((2, 3), (1,), (0,)):
        for record, parcel in task.compute(attempts(job, *numbers)):
            assert record.worker == threading.current_thread().name
            task.store.accept(parcel)
    task.store.publish([], {})
    with xr.open_zarr("out.zarr", consolidated=False) as found:
        np.testing.assert_array_equal(found.da_dx, np.gradient(VALUES, axis=1))
        np.testing.assert_array_equal(found.ds_dx, np.gradient(VALUES[0]))


def test_the_worker_of_the_first_region_must_see_what_the_driver_sees(job: Job) -> None:
    seen = tasks.fingerprint(job.config.source)
    (file,) = seen
    task = task_of(job, inputs=seen, first=1)
    assert len(task.compute(attempts(job, 0, 1))) == 2
    other = replace(task, inputs={file: "another"})
    assert len(other.compute(attempts(job, 0, 2))) == 2
    with pytest.raises(InputError, match=r"sees another .*in.zarr than the driver \(.*, there ano"):
        other.compute(attempts(job, 0, 1))


def test_the_peak_of_memory_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def high_water() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmHWM:")]
        return 1024 * int(line.split()[1])

    def of_usage() -> int:
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    before = high_water()
    assert before <= peak_memory() <= high_water()

    def missing(path: Path) -> str:
        raise OSError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    before = of_usage()
    assert 1024 * before <= peak_memory() <= 1024 * of_usage()
    monkeypatch.setattr(sys, "platform", "darwin")
    before = of_usage()
    assert before <= peak_memory() <= of_usage()


def test_a_sample_in_numbers(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds, of which two read 4 MiB and three write what there is."""
    compute, spans = Task.compute, []

    def measured(task: Task, given: list[Attempt]) -> Any:
        spans.append((given[0].region, given[0].span))
        ((record, parcel),) = compute(task, given)
        times = {"seconds": 10.0, "read_seconds": 2.0, "write_seconds": 3.0}
        return [(replace(record, **times, bytes_read=2**22, bytes_written=2**20), parcel)]

    monkeypatch.setattr(Task, "compute", measured)
    lines = sampled(job)
    assert spans == 4 * [(0, {"y": (0, 2), "x": (0, 6)})]  # each once to compile
    assert lines[:3] == [
        "sample   the first region, on one thread of this machine: 1.00 MiB",
        "         read              2.000 s      4.00 MiB      2.00 MiB/s",
        "         compute           5.000 s      1.00 MiB    204.80 kiB/s",
    ]
    for line, compression in zip(lines[3:], ("fast", "archive"), strict=True):
        said, _, ratio = line.removesuffix(" : 1").rpartition(", ")
        took = "         write {:14} 3.000 s      1.00 MiB    341.33 kiB/s"
        assert said.split() == took.format(compression).split()
        stored = 2**20 / float(ratio)
        assert 100 < stored < 1000  # of 144 bytes and what codecs and checksums add
