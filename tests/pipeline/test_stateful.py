"""Journal and target under all that may befall them, in any order.

A run finishes, fails in a region, is killed before any of its effects on files, meets a second one;
the source grows or changes, the config changes, stored bytes rot, somebody leaves a file. The truth
is the accessor on the whole source. A run that says it succeeded is right; one that refuses has a
reason that this model knows; whoever was killed has left nothing with holes under the final name.

``FDGRAD_SOAK=N`` tries N histories, drawn at random; ``make soak`` does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from failing import failing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from killing import at_effect, killed

import fdgrad_dask
from fdgrad_dask import pipeline
from fdgrad_dask.errors import FdgradError, OutputError
from fdgrad_dask.pipeline.execute import lock
from fdgrad_dask.pipeline.store.folder import Folder

assert fdgrad_dask.__all__  # the accessor is registered

SOAK = int(os.environ.get("FDGRAD_SOAK", "0"))
STEP = 2  # of time in a chunk, of source and target
STEPS: list[dict[str, Any]] = [{"dim": "time"}, {"dim": "y"}, {"dim": "time", "accuracy": 4}]
Source = tuple[tuple[int, float], ...]
"""Of each step, by what its values are drawn and when it is."""


def dataset(source: Source) -> xr.Dataset:
    values = [np.random.default_rng(seed).normal(size=4) for seed, _ in source]
    return xr.Dataset(
        {"t": (("time", "y"), np.array(values, np.float32))},
        {"time": [at for _, at in source], "y": np.arange(4.0) ** 1.5},
    )


def answer(source: Source, step: int) -> np.ndarray:
    return dataset(source).t.fdgrad.gradient(**STEPS[step]).values


class Histories(RuleBasedStateMachine):
    """One target, and what the model knows of it."""

    def __init__(self, ending: str = ".zarr") -> None:
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.folder = os.path.join(self.root, "out")
        os.mkdir(self.folder)
        self.final = os.path.join(self.folder, f"out{ending}")
        self.seeds = iter(range(10**6))
        self.step = 0
        self.source: Source = ()
        self.published: tuple[Source, int] | None = None
        self.begun: set[tuple[Source, int]] = set()  # what unfinished runs were of
        self.rotten: dict[str, bytes] = {}
        self.has_lost_records = False
        self.strange: dict[str, str] = {}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(lock, "_TORN", 0.01)
        self.patch.setattr(lock, "_POLL", 0.001)
        self.patch.setattr(os, "fsync", lambda _: None)

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.root)

    # --- The source, the config, the disk, somebody else --------------------------------------

    @initialize(steps=st.integers(5, 8))
    def begin(self, steps: int) -> None:
        self.source = tuple((next(self.seeds), float(at)) for at in range(steps))
        self.write_source(0)

    def write_source(self, first: int) -> None:
        """Its chunks from that of step ``first`` on, and its metadata: the others stay as old."""
        made = os.path.join(self.root, "made.zarr")
        encoding = {"t": {"chunks": (STEP, 4)}, "time": {"chunks": (100,)}}
        dataset(self.source).to_zarr(made, encoding=encoding, zarr_format=3, consolidated=False)
        kept = [f"t/c/{chunk}/0" for chunk in range(first // STEP)]
        there = os.path.join(self.root, "in.zarr")
        for key in kept:
            shutil.copy2(os.path.join(there, key), os.path.join(made, key))  # with its time
        shutil.rmtree(there, ignore_errors=True)
        os.rename(made, there)

    @precondition(lambda self: len(self.source) < 14)
    @rule(steps=st.integers(1, 3), hours=st.sampled_from([1.0, 1.0, 2.5]))
    def grow(self, steps: int, hours: float) -> None:
        before = len(self.source)
        for _ in range(steps):
            self.source += ((next(self.seeds), self.source[-1][1] + hours),)
        self.write_source(before)

    @rule(at=st.integers(0, 4))
    def change_source(self, at: int) -> None:
        """Of one chunk the values alone."""
        source = list(self.source)
        source[at] = (next(self.seeds), source[at][1])
        self.source = tuple(source)
        held = {
            chunk: Path(self.root, "in.zarr", f"t/c/{chunk}/0")
            for chunk in range(-(-len(source) // STEP))
            if chunk != at // STEP
        }
        kept = {chunk: (path.read_bytes(), path.stat()) for chunk, path in held.items()}
        self.write_source(0)
        for chunk, (content, status) in kept.items():
            held[chunk].write_bytes(content)
            os.utime(held[chunk], ns=(status.st_atime_ns, status.st_mtime_ns))

    @rule(step=st.integers(0, len(STEPS) - 1))
    def change_config(self, step: int) -> None:
        self.step = step

    @precondition(lambda self: self.shards())
    @rule(which=st.integers(0), how=st.sampled_from(["flip", "cut", "empty", "delete"]))
    def rot(self, which: int, how: str) -> None:
        """Bytes of a stored shard, of the published target or of the one that grows."""
        shards = self.shards()
        path = shards[which % len(shards)]
        held = path.read_bytes()
        at = which % max(1, len(held))
        flipped = held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :] if held else b""
        now = {"flip": flipped, "cut": held[: len(held) // 2], "empty": b"", "delete": b""}[how]
        path.unlink()  # it may be linked to one of another folder
        if how != "delete":
            path.write_bytes(now)
        if held:
            self.rotten[str(path)] = now

    def shards(self) -> list[Path]:
        return sorted(
            path for path in Path(self.folder).glob("out.zarr*/dt_d*/c/*/*") if path.is_file()
        )

    @rule(where=st.sampled_from(["out.zarr", "out.zarr.partial", "out.zarr.journal", "."]))
    def leave_a_file(self, where: str) -> None:
        folder = os.path.join(self.folder, where)
        if os.path.isdir(folder) and not self.strange:
            name = f"notes-{next(self.seeds)}.txt"
            Path(folder, name).write_text(name)
            self.strange[name] = where

    @precondition(lambda self: self.strange)
    @rule()
    def take_it_away(self) -> None:
        for path in self.strangers():
            path.unlink()
        self.strange.clear()

    def strangers(self) -> list[Path]:
        return list(Path(self.folder).rglob("notes-*.txt"))

    # --- Runs ---------------------------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any]:
        return {
            "source": {"path": os.path.join(self.root, "in.zarr")},
            "steps": [{"operator": "gradient", "inputs": ["t"], "options": STEPS[self.step]}],
            "target": {
                "path": self.final,
                "chunks": {"time": STEP},
                "regions": {"time": STEP},
                **({"extend": "time"} if self.final.endswith(".zarr") else {}),
            },
            "cluster": {"kind": "threads", "workers": 1, "threads": 1},
        }

    @rule(how=st.sampled_from(["", "", "fresh", "repair"]))
    def run(self, how: str) -> None:
        self.attempt(how)

    @rule(how=st.sampled_from(["", "", "fresh", "repair"]), last=st.integers(0, 4))
    def fail_in_a_region(self, how: str, last: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            failing(patch, last)
            self.attempt(how, may_fail="enough of it")

    @rule(
        how=st.sampled_from(["", "", "fresh", "repair"]),
        number=st.integers(1, 110),
        torn=st.booleans(),
    )
    def kill(self, how: str, number: int, torn: bool) -> None:
        with killed(self.folder, number, torn=torn) as watch:
            error = self.call(how)
        if watch.is_called:
            self.begun.add((self.source, self.step))
            self.has_lost_records |= how != ""
            self.find_published()
        else:
            self.judge(how, error)

    @rule(
        how=st.sampled_from(["", "fresh"]),
        other=st.sampled_from(["", "fresh"]),
        number=st.integers(1, 110),
    )
    def meet_a_second(self, how: str, other: str, number: int) -> None:
        """Another process runs while the first stands before one of its effects."""
        said: list[FdgradError | None] = []

        def second(_: str | None) -> None:
            thread = threading.Thread(target=lambda: said.append(self.call(other)), daemon=True)
            thread.start()
            thread.join(20)
            assert said, "the second run waits for the first"

        with at_effect(self.folder, number, second) as watch:
            error = self.call(how)
        if said and "is locked by" not in str(said[0]):
            assert number < 6 or number > watch.count - 6, "two runs at once"
            self.judge(other, said[0])
        self.judge(how, error)

    @rule()
    def find_the_lock_of_another_host(self) -> None:
        """Which is alive; the run is refused and nothing changes."""
        journal = Path(self.folder, "out.zarr.journal")
        with lock.locked(Folder(str(journal)), self.final):
            error = self.call("fresh")
        assert isinstance(error, OutputError)
        assert "is locked by" in str(error)

    def call(self, how: str) -> FdgradError | None:
        try:
            pipeline.run(self.config, fresh=how == "fresh", repair=how == "repair")
        except FdgradError as error:
            return error
        return None

    def attempt(self, how: str, may_fail: str = "") -> None:
        error = self.call(how)
        if error and may_fail and may_fail in str(error):
            self.begun.add((self.source, self.step))
            self.has_lost_records |= how != ""
            self.find_published()
        else:
            self.judge(how, error)

    def judge(self, how: str, error: FdgradError | None) -> None:
        """What a run said that nobody disturbed."""
        if error is None:
            self.published = (self.source, self.step)
            self.begun.clear()
            self.has_lost_records = False
            self.forget_what_was_written_again()
        else:
            assert isinstance(error, OutputError), error
            reasons = self.reasons(how, str(error))
            assert reasons, f"refused without a reason: {error}"
            if "--repair computes them again" in str(error):
                self.judge("repair", self.call("repair"))

    def reasons(self, how: str, said: str) -> list[str]:
        """Why a run may be refused."""
        earlier = {*self.begun, *([self.published] if self.published else [])}
        found = {
            "a file of somebody else": self.strange,
            "nothing to repair": how == "repair" and (not earlier or "without --repair" in said),
            "another config": how != "fresh" and any(step != self.step for _, step in earlier),
            "another source": how != "fresh"
            and any(source != self.source[: len(source)] for source, _ in earlier),
            "a longer source": how == "repair" and any(s != self.source for s, _ in earlier),
            "damage": how == "" and self.rotten,
            "records were forgotten": how == "" and self.has_lost_records,
        }
        return [reason for reason, holds in found.items() if holds]

    # --- What holds -----------------------------------------------------------------------------

    def find_published(self) -> None:
        """After a run that was cut off: the target is the old one, or the new one."""
        new = (self.source, self.step)
        if os.path.isdir(self.final) and not self.agrees(self.final, self.published):
            assert self.agrees(self.final, new), "neither the old target nor the new one"
            self.published = new
        self.forget_what_was_written_again()

    def forget_what_was_written_again(self) -> None:
        """A partial target that became the final one took its rotten shards along."""
        rotten = {}
        for path, content in self.rotten.items():
            for folder in ("out.zarr", "out.zarr.partial", "out.zarr.old"):
                key = Path(path).relative_to(self.folder).parts[1:]
                there = Path(self.folder, folder, *key)
                found = there.read_bytes() if there.exists() else b""
                if there.parent.parent.is_dir() and found == content:
                    rotten[str(there)] = content
        self.rotten = rotten

    def agrees(self, folder: str, with_: tuple[Source, int] | None) -> bool:
        """Whether a target is bit for bit what it should be, apart from what has rotted."""
        if with_ is None:
            return False
        found, truth = xr.open_zarr(folder, consolidated=True), answer(*with_)
        array = next(iter(found.data_vars.values()))
        if array.shape != truth.shape or not found.time.equals(dataset(with_[0]).time):
            return False
        if array.name != f"dt_d{STEPS[with_[1]]['dim']}":
            return False
        for chunk in range(-(-len(truth) // STEP)):
            at = slice(chunk * STEP, (chunk + 1) * STEP)
            key = Path(folder, str(array.name), "c", str(chunk), "0")
            if str(key) in self.rotten:
                continue
            if not (key.exists() and key.stat().st_size):
                return False
            if array[at].values.tobytes() != truth[at].tobytes():
                return False
        return True

    @invariant()
    def what_is_published_is_right(self) -> None:
        if os.path.isdir(self.final):
            assert self.agrees(self.final, self.published)
        elif self.published:  # it was killed between two renames
            assert self.agrees(f"{self.final}.old", self.published)

    @invariant()
    def what_is_not_ours_stays(self) -> None:
        assert {path.name: path.read_text() for path in self.strangers()} == {
            name: name for name in self.strange
        }

    @invariant()
    def no_lock_outlives_its_owner(self) -> None:
        owner = lock.living_owner(Folder(f"{self.final}.journal"))
        assert owner is None

    @rule()
    def verify(self) -> None:
        """It calls complete what is complete, and nothing else; it names what has rotted."""
        said = ""
        try:
            pipeline.verify(self.config)
        except OutputError as error:
            said = str(error)
        rotten = [path for path in self.rotten if path.startswith(f"{self.final}/")]
        is_complete = (
            self.published == (self.source, self.step)
            and os.path.isdir(self.final)
            and not os.path.isdir(f"{self.final}.partial")
        )
        assert not said or not is_complete or rotten or self.has_lost_records, said
        assert said or (is_complete and not rotten)
        if "is broken" in said and not self.has_lost_records:
            assert all(os.path.relpath(path, self.final) in said for path in rotten)


# --- What it found, one at a time -----------------------------------------------------------------


@pytest.fixture
def machine() -> Iterator[Histories]:
    machine = Histories()
    machine.begin(steps=5)
    yield machine
    machine.teardown()


@pytest.mark.parametrize("left", ["all of it", "a half of it", "empty folders"])
def test_a_replaced_target_that_was_not_removed_is_not_in_the_way(
    left: str, machine: Histories
) -> None:
    """Killed after the two renames of a fresh run, then run with --fresh."""
    machine.run("")
    old = shutil.copytree(machine.final, f"{machine.final}.old")
    for path in [path for path in Path(old).rglob("*") if path.is_file()]:
        if left == "empty folders" or (left == "a half of it" and path.parts[-3] == "c"):
            path.unlink()
    machine.run("fresh")
    assert sorted(os.listdir(machine.folder)) == ["out.zarr", "out.zarr.journal"]


def test_an_old_target_of_somebody_else_stays(machine: Histories) -> None:
    machine.run("")
    theirs = Path(f"{machine.final}.old", "dt_dtime", "c", "0")
    theirs.parent.mkdir(parents=True)
    theirs.write_text("notes")
    assert "is in the way; move it" in str(machine.call("fresh"))
    assert theirs.read_text() == "notes"


@pytest.mark.parametrize("number", [11, 20])
def test_what_was_stopped_before_it_was_laid_out_is_not_repaired(
    number: int, machine: Histories
) -> None:
    """It wrote into the old target in its place, or published one without coordinates."""
    machine.run("")
    machine.change_config(2)
    machine.kill("fresh", number, False)
    error = machine.call("repair")
    assert "run without --repair, which resumes it" in str(error)
    machine.what_is_published_is_right()
    machine.run("")
    machine.what_is_published_is_right()
    assert machine.published == (machine.source, 2)


@pytest.fixture(scope="module")
def effects() -> int:
    """How many effects on files a run of a netCDF target has."""
    machine = Histories(".nc")
    machine.begin(steps=5)
    with at_effect(machine.folder, 0, lambda _: None) as watch:
        assert machine.call("") is None
    machine.teardown()
    return watch.count


@pytest.mark.parametrize("before_the_end", [6, 8, 11, 14, 19])
def test_a_file_that_has_its_name_is_complete_wherever_its_run_was_killed(
    before_the_end: int, effects: int
) -> None:
    """A folder that was half deleted was taken for one that grows, or for somebody else's."""
    machine = Histories(".nc")
    machine.begin(steps=5)
    with killed(machine.folder, effects - before_the_end, torn=False):
        machine.call("")
    assert os.path.exists(machine.final)
    assert machine.call("") is None
    pipeline.verify(machine.config)
    with xr.open_dataset(machine.final) as found:
        assert found.dt_dtime.values.tobytes() == answer(machine.source, 0).tobytes()
    assert sorted(os.listdir(machine.folder)) == ["out.nc", "out.nc.journal"]
    machine.teardown()


def test_whatever_befalls_a_target() -> None:
    chosen = (
        settings(max_examples=SOAK, stateful_step_count=30, derandomize=False, print_blob=True)
        if SOAK
        else settings(max_examples=5, stateful_step_count=8)
    )
    run_state_machine_as_test(Histories, settings=chosen)


@pytest.mark.skipif(not SOAK, reason="a thousand kills: make soak")
@pytest.mark.parametrize("torn", [False, True], ids=["between effects", "in a write"])
@pytest.mark.parametrize("what", ["first", "fresh", "extend", "repair"])
def test_a_kill_before_each_effect_loses_nothing(what: str, torn: bool) -> None:
    """Until a number is reached that the run does not come to; then it goes on, and is right."""
    how = "" if what in ("first", "extend") else what
    for number in range(1, 1000):
        machine = Histories()
        machine.begin(steps=5)
        if what != "first":
            machine.run("")
        if what == "extend":
            machine.grow(3, 1.0)
        if what == "repair":
            machine.rot(1, "flip")
        with killed(machine.folder, number, torn=torn) as watch:
            machine.call(how)
        if watch.is_called:
            machine.begun.add((machine.source, machine.step))
            machine.has_lost_records = what in ("fresh", "repair")
            machine.find_published()
            machine.what_is_published_is_right()
            machine.run("repair" if what == "repair" else "")
            machine.what_is_published_is_right()
            machine.verify()
            assert machine.published == (machine.source, machine.step)
        machine.teardown()
        if not watch.is_called:
            print(f"{what}: {number - 1} kills")
            return
